/** Bounded reads of committed entries over one connection; prepared once. Each call blocks its thread. */
import { assert } from '../base/assert.ts';
import type { Database, SqlRow } from '../host/disk.ts';
import type { Entry, PartitionKey } from './log.ts';

/** Rows that one read may return: at some 5 µs a row, it holds the thread for 50 ms. */
export const READ_ENTRIES_MAX = 10_000;

export interface Reader {
  readPartition(partition: PartitionKey, afterPosition: number, entriesMax: number): Entry[];
  readStream(partition: PartitionKey, stream: string, fromVersion: number, entriesMax: number): Entry[];
  findAnswer(partition: PartitionKey, key: string): Entry | null;
  /** Epoch of the entry at a position; null when there is none. */
  epochAt(partition: PartitionKey, position: number): number | null;
}

const COLUMNS =
  'e.partition, e.position, e.epoch, e.stream, e.version, e.type, e.data, e.meta, e.key, e.at_ms, e.checksum';

export function openReader(database: Database): Reader {
  const byPosition = database.prepare(
    `SELECT ${COLUMNS} FROM entries e WHERE partition = ? AND position > ? ORDER BY position LIMIT ?`,
  );
  // `+partition`: the stream's index finds the rows, not the partition's key.
  const byStream = database.prepare(
    `SELECT ${COLUMNS} FROM entries e WHERE stream = ? AND version >= ? AND +partition = ? ORDER BY version LIMIT ?`,
  );
  const byKey = database.prepare(
    `SELECT ${COLUMNS} FROM answers a JOIN entries e ON e.partition = a.partition AND e.position = a.position
     WHERE a.partition = ? AND a.key = ?`,
  );
  const epoch = database.prepare('SELECT epoch FROM entries WHERE partition = ? AND position = ?');
  return {
    readPartition(partition, afterPosition, entriesMax) {
      checkBound(entriesMax);
      return byPosition.all(partition, afterPosition, entriesMax).map(entryOf);
    },
    readStream(partition, stream, fromVersion, entriesMax) {
      checkBound(entriesMax);
      return byStream.all(stream, fromVersion, partition, entriesMax).map(entryOf);
    },
    findAnswer(partition, key) {
      const row = byKey.get(partition, key);
      return row === undefined ? null : entryOf(row);
    },
    epochAt(partition, position) {
      const row = epoch.get(partition, position);
      return row === undefined ? null : (row['epoch'] as number);
    },
  };
}

function checkBound(entriesMax: number): void {
  assert(
    entriesMax >= 1 && entriesMax <= READ_ENTRIES_MAX,
    `a read takes 1 to ${READ_ENTRIES_MAX} entries, not ${entriesMax}`,
  );
}

function entryOf(row: SqlRow): Entry {
  return {
    partition: row['partition'] as number,
    position: row['position'] as number,
    epoch: row['epoch'] as number,
    stream: row['stream'] as string,
    version: row['version'] as number | null,
    type: row['type'] as string,
    data: row['data'] as string,
    meta: row['meta'] as string | null,
    key: row['key'] as string | null,
    atMs: row['at_ms'] as number,
    checksum: row['checksum'] as Uint8Array,
  };
}
