/** Runs plans on one shard's database on a server. */
import { inSnapshot } from '../database/mysql/snapshot.ts';
import type { SqlRow } from '../host/disk.ts';
import type { SqlDatabase, SqlSession, SqlWithin } from '../host/sql.ts';
import { openMeter } from './bytes.ts';
import { mysql } from './mysql.ts';
import type { Plan } from './plan.ts';
import { groupsOf, rowsMax, type Sql, selectGroups, selectRows } from './sql.ts';
import type { Value } from './table.ts';

/**
 * @returns rows of `plan.columns`: up to `plan.fetch` in the plan's order, or the shard's part of each group
 * @throws CardumeError `query-refused` when they take more memory than a query may
 */
export async function readPlan(database: SqlDatabase, plan: Plan, within?: SqlWithin): Promise<Value[][]> {
  const statements = statementsOf(plan);
  // One statement is a snapshot by itself.
  const cells =
    statements.length <= 1
      ? await cellsOf(database, plan, statements, within)
      : await inSnapshot(database, (session) => cellsOf(session, plan, statements), within);
  return plan.aggregate === null ? cells : groupsOf(plan, mysql, cells);
}

/** @param check of the snapshot that is read, before it is @returns null when its check says no */
export async function readPlanIf(
  database: SqlDatabase,
  plan: Plan,
  check: (session: SqlSession) => Promise<boolean>,
  within?: SqlWithin,
): Promise<Value[][] | null> {
  const read = async (session: SqlSession): Promise<Value[][] | null> =>
    (await check(session)) ? cellsOf(session, plan, statementsOf(plan)) : null;
  const cells = await inSnapshot(database, read, within);
  return plan.aggregate === null || cells === null ? cells : groupsOf(plan, mysql, cells);
}

function statementsOf(plan: Plan): readonly Sql[] {
  return plan.aggregate === null ? selectRows(plan, mysql) : selectGroups(plan, mysql);
}

/** Statements one after another, until there are as many rows as are wanted. */
async function cellsOf(
  session: Pick<SqlDatabase, 'rows'>,
  plan: Plan,
  statements: readonly Sql[],
  within?: SqlWithin,
): Promise<Value[][]> {
  const meter = openMeter();
  const read: Value[][] = [];
  for (const { text, values } of statements) {
    const wanted = rowsMax(plan) - read.length;
    if (wanted === 0) break;
    const cells = (await session.rows(text, [...values, BigInt(wanted)], within)).map(valuesOf);
    meter.add(cells);
    read.push(...cells);
  }
  return read;
}

function valuesOf(row: SqlRow): Value[] {
  return Object.values(row).map((cell) => cellValue(cell as Value | Uint8Array));
}

/** A cell as a server gives it: text is bytes there. */
export function cellValue(cell: Value | Uint8Array): Value {
  if (!(cell instanceof Uint8Array)) return cell;
  return Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength).toString();
}
