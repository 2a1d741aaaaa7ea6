/** The last entries of a copy move into the quarantine, and what rests on them is forgotten: see `Copies.cut`. */
import { insertRows } from '../../database/mysql/insert.ts';
import type { SqlValue } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlSession } from '../../host/sql.ts';
import { EMPTY_CHECKSUM } from '../checksum.ts';
import { refusedCut } from '../copies.ts';
import { checkReadBound } from '../engine.ts';
import type { Entry, Head, PartitionKey } from '../log.ts';
import { deleteRows } from './delete.ts';
import { quarantine } from './quarantine.ts';
import { bytesOf, COLUMNS, entryOf, textOf } from './reader.ts';
import { rowsAmong } from './replaced-answers.ts';

/** In the caller's transaction, which has locked the head, and seen that the copy ends there. */
export async function cutIn(
  clock: Clock,
  session: SqlSession,
  { partition, position: end }: Head,
  afterPosition: number,
  entriesMax: number,
): Promise<void> {
  checkReadBound(entriesMax);
  if (end <= afterPosition) return;
  await checkArchive(session, partition, afterPosition);
  const rows = await session.rows(
    `SELECT ${COLUMNS} FROM log_entries WHERE partition_key = ? AND position > ? ORDER BY position DESC LIMIT ?`,
    [partition, afterPosition, BigInt(entriesMax)],
  );
  const entries = rows.map(entryOf);
  const position = end - entries.length;
  await quarantine(clock, session, entries);
  await forgetAnswers(session, partition, entries, position);
  const positions = entries.map((entry) => entry.position);
  await deleteRows(session, 'log_entries', 'position', partition, positions);
  await session.run(
    'UPDATE log_heads SET position = ?, checksum = ?, forgotten = LEAST(forgotten, ?) WHERE partition_key = ?',
    [position, (await checksumAt(session, partition, position)) ?? EMPTY_CHECKSUM, position, partition],
  );
}

async function checksumAt(
  session: SqlSession,
  partition: PartitionKey,
  position: number,
): Promise<Uint8Array | null> {
  const sql = 'SELECT checksum FROM log_entries WHERE partition_key = ? AND position = ?';
  const [row] = await session.rows(sql, [partition, position]);
  return (row?.['checksum'] as Uint8Array | undefined) ?? null;
}

async function checkArchive(
  session: SqlSession,
  partition: PartitionKey,
  afterPosition: number,
): Promise<void> {
  const sql = 'SELECT MAX(last_position) AS last FROM log_segments WHERE partition_key = ?';
  const [row] = await session.rows(sql, [partition]);
  const archivedUpTo = (row?.['last'] as number | null) ?? 0;
  const stands = afterPosition === 0 || (await checksumAt(session, partition, afterPosition)) !== null;
  if (archivedUpTo > afterPosition || !stands) throw refusedCut(partition, afterPosition, archivedUpTo);
}

/** An older answer of a key counts again, unless its days were over. @param upTo the last position that is left */
async function forgetAnswers(
  session: SqlSession,
  partition: PartitionKey,
  entries: readonly Entry[],
  upTo: number,
): Promise<void> {
  const keyed = entries.flatMap(({ key, position }) => (key === null ? [] : [{ key, position }]));
  const positions = keyed.map(({ position }) => position);
  const keys = [...new Set(keyed.map(({ key }) => key))].map(bytesOf);
  const of = 'WHERE partition_key = ? AND';
  const answers = await rowsAmong(
    session,
    `SELECT answer_key, position FROM log_answers ${of} answer_key`,
    partition,
    keys,
  );
  const counting = answers.filter((row) => (row['position'] as number) > upTo);
  const replaced = await rowsAmong(
    session,
    `SELECT position, older FROM log_replaced_answers ${of} position`,
    partition,
    positions,
  );
  const olderOf = new Map(replaced.map((row) => [row['position'] as number, row['older'] as number]));
  await deleteRows(
    session,
    'log_answers',
    'answer_key',
    partition,
    counting.map((row) => row['answer_key'] as SqlValue),
  );
  await deleteRows(session, 'log_replaced_answers', 'position', partition, [...olderOf.keys()]);
  const [head] = await session.rows(`SELECT forgotten FROM log_heads WHERE partition_key = ?`, [partition]);
  const forgotten = head?.['forgotten'] as number;
  const recalled = new Map<number, string>();
  for (const row of counting) {
    let older = olderOf.get(row['position'] as number);
    while (older !== undefined && older > upTo) older = olderOf.get(older);
    if (older !== undefined && older > forgotten) recalled.set(older, textOf(row['answer_key']));
  }
  const found = await rowsAmong(
    session,
    `SELECT position, answer_key FROM log_entries ${of} position`,
    partition,
    [...recalled.keys()],
  );
  const standing = found.filter(
    ({ position, answer_key: key }) => key !== null && recalled.get(position as number) === textOf(key),
  );
  await insertRows(
    session,
    'log_answers',
    ['partition_key', 'answer_key', 'position'],
    standing.map((row): SqlValue[] => [partition, row['answer_key'] as SqlValue, row['position'] as number]),
  );
}
