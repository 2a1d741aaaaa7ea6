/** Runs plans on one shard's database on a server. */
import type { SqlRow } from '../host/disk.ts';
import type { SqlDatabase } from '../host/sql.ts';
import { mysql } from './mysql.ts';
import type { Plan } from './plan.ts';
import { groupsOf, rowsMax, type Sql, selectGroups, selectRows } from './sql.ts';
import type { Value } from './table.ts';

/** @returns rows of `plan.columns`: up to `plan.fetch` in the plan's order, or the shard's part of each group */
export async function readPlan(database: SqlDatabase, plan: Plan): Promise<Value[][]> {
  if (plan.aggregate === null) return cellsOf(database, plan, selectRows(plan, mysql));
  return groupsOf(plan, mysql, await cellsOf(database, plan, selectGroups(plan, mysql)));
}

/** Statements one after another, until there are as many rows as are wanted. */
async function cellsOf(database: SqlDatabase, plan: Plan, statements: readonly Sql[]): Promise<Value[][]> {
  const [only] = statements;
  if (statements.length === 1 && only !== undefined)
    return (await database.rows(only.text, [...only.values, BigInt(rowsMax(plan))])).map(valuesOf);
  return database.session(async (session) => {
    // One snapshot for all ranges, taken with the first read.
    await session.exec('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await session.exec('START TRANSACTION');
    const read: Value[][] = [];
    for (const { text, values } of statements) {
      const wanted = rowsMax(plan) - read.length;
      if (wanted === 0) break;
      read.push(...(await session.rows(text, [...values, BigInt(wanted)])).map(valuesOf));
    }
    await session.exec('COMMIT');
    return read;
  });
}

function valuesOf(row: SqlRow): Value[] {
  return Object.values(row).map((cell) => cellValue(cell as Value | Uint8Array));
}

/** A cell as a server gives it: text is bytes there. */
export function cellValue(cell: Value | Uint8Array): Value {
  if (!(cell instanceof Uint8Array)) return cell;
  return Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength).toString();
}
