/** Runs plans on one shard's database on a server. */
import type { SqlRow } from '../host/disk.ts';
import type { SqlDatabase } from '../host/sql.ts';
import { mysql } from './mysql.ts';
import type { Plan } from './plan.ts';
import { groupsOf, selectGroups, selectRows } from './sql.ts';
import type { Value } from './table.ts';

/** @returns rows of `plan.columns`: up to `plan.fetch` in the plan's order, or the shard's part of each group */
export async function readPlan(database: SqlDatabase, plan: Plan): Promise<Value[][]> {
  if (plan.aggregate !== null) {
    const { text, values } = selectGroups(plan, mysql);
    return groupsOf(plan, mysql, (await database.rows(text, values)).map(cellsOf));
  }
  const ranges = selectRows(plan, mysql);
  const [only] = ranges;
  if (ranges.length === 1 && only !== undefined)
    return (await database.rows(only.text, [...only.values, BigInt(plan.fetch)])).map(cellsOf);
  return database.session(async (session) => {
    // One snapshot for all ranges, taken with the first read.
    await session.exec('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await session.exec('START TRANSACTION');
    const read: Value[][] = [];
    for (const { text, values } of ranges) {
      const wanted = plan.fetch - read.length;
      if (wanted === 0) break;
      read.push(...(await session.rows(text, [...values, BigInt(wanted)])).map(cellsOf));
    }
    await session.exec('COMMIT');
    return read;
  });
}

function cellsOf(row: SqlRow): Value[] {
  return Object.values(row).map((cell) => cellValue(cell as Value | Uint8Array));
}

/** A cell as a server gives it: text is bytes there. */
export function cellValue(cell: Value | Uint8Array): Value {
  if (!(cell instanceof Uint8Array)) return cell;
  return Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength).toString();
}
