import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { PartitionKey } from '../log.ts';
import { bytesOf, type Rows } from './reader.ts';

const IN_A_STATEMENT_MAX = 200;

/** @param sql of a table with streams; ends in its condition on the partition @param also behind the one on the streams */
export async function amongStreams(
  rows: Rows,
  sql: string,
  partition: PartitionKey,
  streams: readonly string[],
  [also, values]: readonly [sql: string, values: readonly SqlValue[]] = ['', []],
): Promise<SqlRow[]> {
  const found: SqlRow[] = [];
  for (let i = 0; i < streams.length; i += IN_A_STATEMENT_MAX) {
    const some = streams.slice(i, i + IN_A_STATEMENT_MAX);
    const marks = some.map(() => '?').join(', ');
    const part = await rows(`${sql} AND stream IN (${marks}) ${also}`, [
      partition,
      ...some.map(bytesOf),
      ...values,
    ]);
    for (const row of part) found.push(row);
  }
  return found;
}
