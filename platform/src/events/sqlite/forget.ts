/** Drops old answers. Time grows with position, so each partition is walked once, in order, a bounded part at a time. */

import { transaction } from '../../database/sqlite/transaction.ts';
import type { Database } from '../../host/disk.ts';
import type { PartitionKey } from '../log.ts';
import { endOf, positionOf, spotOf } from './spot.ts';

/** @returns how many entries it looked at: fewer than `entriesMax` means that no older answer is left */
export type Forget = (partitions: Iterable<PartitionKey>, beforeMs: number, entriesMax: number) => number;

export function prepareForget(database: Database): Forget {
  const forgotten = database.prepare('SELECT forgotten FROM heads WHERE partition = ?');
  const entries = database.prepare(
    'SELECT spot, key, at_ms FROM entries WHERE spot > ? AND spot < ? ORDER BY spot LIMIT ? + 0',
  );
  const drop = database.prepare('DELETE FROM answers WHERE partition = ? AND key = ? AND position = ?');
  const note = database.prepare('UPDATE heads SET forgotten = ? WHERE partition = ?');

  function walk(partition: PartitionKey, beforeMs: number, entriesMax: number): number {
    const from = (forgotten.get(partition) as { forgotten: number }).forgotten;
    let upTo = from;
    for (const row of entries.all(spotOf(partition, from), endOf(partition), entriesMax)) {
      const { spot, key, at_ms: atMs } = row as { spot: number; key: string | null; at_ms: number };
      if (atMs >= beforeMs) break;
      upTo = positionOf(spot);
      if (key !== null) drop.run(partition, key, upTo);
    }
    note.run(upTo, partition);
    return upTo - from;
  }

  return (partitions, beforeMs, entriesMax) =>
    transaction(database, () => {
      let looked = 0;
      for (const partition of partitions) looked += walk(partition, beforeMs, entriesMax - looked);
      return looked;
    });
}
