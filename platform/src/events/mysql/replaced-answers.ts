/**
 * A key may be used again after its days: of a copy, which forgets none, the newest answer is the one that counts. Which one
 * it took the place of is noted at its position, for the day when it is cut off.
 */
import { insertRows } from '../../database/mysql/insert.ts';
import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { SqlSession } from '../../host/sql.ts';
import type { Entry, PartitionKey } from '../log.ts';
import { bytesOf, textOf } from './reader.ts';

const IN_A_STATEMENT_MAX = 200;

/** Entries that were inserted just now; some of their answers may stand already. */
export async function replaceAnswers(session: SqlSession, entries: readonly Entry[]): Promise<void> {
  const replaced: SqlValue[][] = [];
  const newest: SqlValue[][] = [];
  for (const [partition, own] of Map.groupBy(entries, (entry) => entry.partition)) {
    const keyed = own.flatMap(({ key, position }) => (key === null ? [] : [{ key, position }]));
    const keys = [...new Set(keyed.map(({ key }) => key))];
    const rows = await rowsAmong(
      session,
      'SELECT answer_key, position FROM log_answers WHERE partition_key = ? AND answer_key',
      partition,
      keys.map(bytesOf),
    );
    const known = new Map(rows.map((row) => [textOf(row['answer_key']), row['position'] as number]));
    for (const { key, position } of keyed) {
      const older = known.get(key);
      // Some of theirs may stand already.
      if (older !== undefined && older < position) replaced.push([partition, position, older]);
      known.set(key, position);
    }
    for (const key of keys) newest.push([partition, bytesOf(key), known.get(key) as number]);
  }
  const again = 'ON DUPLICATE KEY UPDATE older = VALUES(older)';
  await insertRows(session, 'log_replaced_answers', ['partition_key', 'position', 'older'], replaced, again);
  const counts = 'ON DUPLICATE KEY UPDATE position = VALUES(position)';
  await insertRows(session, 'log_answers', ['partition_key', 'answer_key', 'position'], newest, counts);
}

/** @param sql ends in the column whose values are asked for */
export async function rowsAmong(
  session: SqlSession,
  sql: string,
  partition: PartitionKey,
  values: readonly SqlValue[],
): Promise<SqlRow[]> {
  const found: SqlRow[] = [];
  for (let i = 0; i < values.length; i += IN_A_STATEMENT_MAX) {
    const some = values.slice(i, i + IN_A_STATEMENT_MAX);
    found.push(
      ...(await session.rows(`${sql} IN (${some.map(() => '?').join(', ')})`, [partition, ...some])),
    );
  }
  return found;
}
