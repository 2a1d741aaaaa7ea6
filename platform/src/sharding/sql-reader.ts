/** Runs plans on one shard's database on a server. */
import type { SqlRow } from '../host/disk.ts';
import type { SqlDatabase, SqlWithin } from '../host/sql.ts';
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
  if (plan.aggregate === null) return cellsOf(database, plan, selectRows(plan, mysql), within);
  return groupsOf(plan, mysql, await cellsOf(database, plan, selectGroups(plan, mysql), within));
}

/** Statements one after another, until there are as many rows as are wanted. */
async function cellsOf(
  database: SqlDatabase,
  plan: Plan,
  statements: readonly Sql[],
  within?: SqlWithin,
): Promise<Value[][]> {
  const [only] = statements;
  if (only === undefined) return [];
  const meter = openMeter();
  const measured = (rows: readonly SqlRow[]): Value[][] => {
    const cells = rows.map(valuesOf);
    meter.add(cells);
    return cells;
  };
  if (statements.length === 1)
    return measured(await database.rows(only.text, [...only.values, BigInt(rowsMax(plan))], within));
  return database.session(async (session) => {
    // One snapshot for all ranges, taken with the first read.
    await session.exec('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await session.exec('START TRANSACTION');
    const read: Value[][] = [];
    for (const { text, values } of statements) {
      const wanted = rowsMax(plan) - read.length;
      if (wanted === 0) break;
      read.push(...measured(await session.rows(text, [...values, BigInt(wanted)])));
    }
    await session.exec('COMMIT');
    return read;
  }, within);
}

function valuesOf(row: SqlRow): Value[] {
  return Object.values(row).map((cell) => cellValue(cell as Value | Uint8Array));
}

/** A cell as a server gives it: text is bytes there. */
export function cellValue(cell: Value | Uint8Array): Value {
  if (!(cell instanceof Uint8Array)) return cell;
  return Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength).toString();
}
