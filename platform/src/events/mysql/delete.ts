import type { SqlValue } from '../../host/disk.ts';
import type { SqlSession } from '../../host/sql.ts';
import type { PartitionKey } from '../log.ts';

const DROPPED_A_STATEMENT_MAX = 200;

/** Rows of a partition, by a column. */
export async function deleteRows(
  session: SqlSession,
  table: string,
  column: string,
  partition: PartitionKey,
  values: readonly SqlValue[],
): Promise<void> {
  for (let i = 0; i < values.length; i += DROPPED_A_STATEMENT_MAX) {
    const some = values.slice(i, i + DROPPED_A_STATEMENT_MAX);
    await session.run(
      `DELETE FROM ${table} WHERE partition_key = ? AND ${column} IN (${some.map(() => '?').join(', ')})`,
      [partition, ...some],
    );
  }
}
