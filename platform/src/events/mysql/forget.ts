/** Drops old answers. Time grows with position, so each partition is walked once, in order, a bounded part at a time. */

import { again } from '../../database/mysql/again.ts';
import type { SqlValue } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import type { PartitionKey } from '../log.ts';

const DROPPED_A_STATEMENT_MAX = 200;

/** @returns how many entries it looked at: fewer than `entriesMax` means that no older answer is left */
export async function forgetAnswers(
  clock: Clock,
  database: SqlDatabase,
  partitions: readonly PartitionKey[],
  beforeMs: number,
  entriesMax: number,
): Promise<number> {
  let looked = 0;
  for (const partition of partitions) {
    const left = entriesMax - looked;
    if (left === 0) break;
    looked += await again(clock, () =>
      database.session((session) => walk(session, partition, beforeMs, left)),
    );
  }
  return looked;
}

async function walk(
  session: SqlSession,
  partition: PartitionKey,
  beforeMs: number,
  entriesMax: number,
): Promise<number> {
  await session.exec('START TRANSACTION');
  const [head] = await session.rows('SELECT forgotten FROM log_heads WHERE partition_key = ? FOR UPDATE', [
    partition,
  ]);
  const from = head?.['forgotten'] as number;
  const rows = await session.rows(
    `SELECT position, answer_key, at_ms FROM log_entries WHERE partition_key = ? AND position > ?
      ORDER BY position LIMIT ?`,
    [partition, from, BigInt(entriesMax)],
  );
  let upTo = from;
  const old: SqlValue[][] = [];
  for (const { position, answer_key: key, at_ms: atMs } of rows) {
    if ((atMs as number) >= beforeMs) break;
    upTo = position as number;
    if (key !== undefined && key !== null) old.push([key, upTo]);
  }
  for (let i = 0; i < old.length; i += DROPPED_A_STATEMENT_MAX) {
    const some = old.slice(i, i + DROPPED_A_STATEMENT_MAX);
    const any = some.map(() => '(answer_key = ? AND position = ?)').join(' OR ');
    await session.run(`DELETE FROM log_answers WHERE partition_key = ? AND (${any})`, [
      partition,
      ...some.flat(),
    ]);
  }
  await session.run('UPDATE log_heads SET forgotten = ? WHERE partition_key = ?', [upTo, partition]);
  await session.exec('COMMIT');
  return upTo - from;
}
