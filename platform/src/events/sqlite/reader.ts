/** Bounded reads of committed entries over one connection; prepared once. Each call blocks its thread. */
import type { Database, SqlRow } from '../../host/disk.ts';
import { checkReadBound, type Epochs, type Reader } from '../engine.ts';
import type { Entry, PartitionKey } from '../log.ts';
import { endOf, partitionOf, positionOf, spotOf } from './spot.ts';

export interface SqliteReader {
  readPartition(partition: PartitionKey, afterPosition: number, entriesMax: number): Entry[];
  readStream(partition: PartitionKey, stream: string, fromVersion: number, entriesMax: number): Entry[];
  findAnswer(partition: PartitionKey, key: string): Entry | null;
  epochAt(partition: PartitionKey, position: number): number | null;
  epochs(): Epochs;
}

const COLUMNS = 'spot, epoch, stream, version, type, data, meta, key, at_ms, checksum';

export function openReader(database: Database): SqliteReader {
  // `LIMIT ? + 0`: with a bare parameter SQLite prepares the statement again at every execution (sharding/sqlite.ts).
  const bySpot = database.prepare(
    `SELECT ${COLUMNS} FROM entries WHERE spot > ? AND spot < ? ORDER BY spot LIMIT ? + 0`,
  );
  // `+spot`: the stream's index finds the rows, not the partition's range.
  const byStream = database.prepare(
    `SELECT ${COLUMNS} FROM entries WHERE stream = ? AND version >= ? AND +spot > ? AND +spot < ?
     ORDER BY version LIMIT ? + 0`,
  );
  const byKey = database.prepare('SELECT position FROM answers WHERE partition = ? AND key = ?');
  const at = database.prepare(`SELECT ${COLUMNS} FROM entries WHERE spot = ?`);
  const epoch = database.prepare('SELECT epoch FROM entries WHERE spot = ?');
  const epochs = database.prepare('SELECT partition, epoch FROM heads');
  return {
    readPartition(partition, afterPosition, entriesMax) {
      checkReadBound(entriesMax);
      return bySpot.all(spotOf(partition, afterPosition), endOf(partition), entriesMax).map(entryOf);
    },
    readStream(partition, stream, fromVersion, entriesMax) {
      checkReadBound(entriesMax);
      return byStream
        .all(stream, fromVersion, spotOf(partition, 0), endOf(partition), entriesMax)
        .map(entryOf);
    },
    findAnswer(partition, key) {
      const row = byKey.get(partition, key);
      return row === undefined
        ? null
        : entryOf(at.get(spotOf(partition, row['position'] as number)) as SqlRow);
    },
    epochAt(partition, position) {
      const row = epoch.get(spotOf(partition, position));
      return row === undefined ? null : (row['epoch'] as number);
    },
    epochs: () => epochs.all().map((row) => [row['partition'] as number, row['epoch'] as number] as const),
  };
}

/** The same for whoever does not know that it answers at once. */
export function patiently(reader: SqliteReader): Reader {
  return {
    readPartition: async (...asked) => reader.readPartition(...asked),
    readStream: async (...asked) => reader.readStream(...asked),
    findAnswer: async (...asked) => reader.findAnswer(...asked),
    epochAt: async (...asked) => reader.epochAt(...asked),
    epochs: reader.epochs,
  };
}

function entryOf(row: SqlRow): Entry {
  const spot = row['spot'] as number;
  return {
    partition: partitionOf(spot),
    position: positionOf(spot),
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
