/** Bounded reads of committed rows over one connection; prepared once. Each call blocks its thread. */
import { CardumeError } from '../../base/errors.ts';
import type { Database, SqlRow } from '../../host/disk.ts';
import { decodePositions } from '../archive/positions.ts';
import type { StreamRows } from '../archive/reading.ts';
import { checkReadBound, type Epochs } from '../engine.ts';
import type { Entry, PartitionKey } from '../log.ts';
import { hasTable } from './schema.ts';
import { endOf, partitionOf, positionOf, spotOf } from './spot.ts';

/** Rows as they stand. */
export interface SqliteReader {
  readPartition(partition: PartitionKey, afterPosition: number, entriesMax: number): Entry[];
  readStream(partition: PartitionKey, stream: string, fromVersion: number, entriesMax: number): StreamRows;
  /** @throws CardumeError `storage-failed` when it is remembered, and its entry is lost */
  findAnswer(partition: PartitionKey, key: string): Entry | null;
  epochAt(partition: PartitionKey, position: number): number | null;
  epochs(): Epochs;
  /** At most up to the one that goes beyond so many bytes of text. */
  rows(partition: PartitionKey, afterPosition: number, upTo: number, bytesMax?: number): Entry[];
}

export const COLUMNS = 'spot, epoch, stream, version, type, data, meta, key, at_ms, checksum';
// `+spot`: the stream's index finds the rows, not the partition's range.
// `LIMIT ? + 0`: with a bare parameter SQLite prepares the statement again at every execution (sharding/sqlite.ts).
const BY_STREAM = `SELECT ${COLUMNS} FROM entries WHERE stream = ?1 AND version >= ?2 AND +spot > ?3 AND +spot < ?4
  ORDER BY version LIMIT ?5 + 0`;
/** In the same statement, which costs no more: a stream without rows is asked for all the time, and mostly is a new one. */
const BY_STREAM_OR_ENDED = `SELECT * FROM (${BY_STREAM}) UNION ALL
  SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, positions FROM ended_streams
  WHERE partition = ?6 AND stream = ?1`;

export function openReader(database: Database): SqliteReader {
  const behind = database.prepare(
    `SELECT ${COLUMNS} FROM entries WHERE spot > ? AND spot < ? ORDER BY spot LIMIT ? + 0`,
  );
  const between = database.prepare(
    `SELECT ${COLUMNS} FROM entries WHERE spot > ? AND spot <= ? ORDER BY spot`,
  );
  const byStream = database.prepare(BY_STREAM);
  const byStreamOrEnded = onceThere(database, () => database.prepare(BY_STREAM_OR_ENDED));
  let hasEnded = byStreamOrEnded();
  const byKey = database.prepare(
    `SELECT a.position, ${COLUMNS.replaceAll(/\w+/g, 'e.$&')} FROM answers a
     LEFT JOIN entries e ON e.spot = ? + a.position WHERE a.partition = ? AND a.key = ?`,
  );
  const epoch = database.prepare('SELECT epoch FROM entries WHERE spot = ?');
  const epochs = database.prepare('SELECT partition, epoch FROM heads');
  return {
    readPartition(partition, afterPosition, entriesMax) {
      checkReadBound(entriesMax);
      return behind.all(spotOf(partition, afterPosition), endOf(partition), entriesMax).map(entryOf);
    },
    readStream(partition, stream, fromVersion, entriesMax) {
      checkReadBound(entriesMax);
      const asked = [stream, fromVersion, spotOf(partition, 0), endOf(partition), entriesMax] as const;
      if (hasEnded === null) {
        const rows = byStream.all(...asked);
        // A program that knows archives may have opened the log since.
        if (rows[0]?.['version'] !== Math.max(1, fromVersion)) hasEnded = byStreamOrEnded();
        if (hasEnded === null) return { rows: rows.map(entryOf), positions: [] };
      }
      const rows = hasEnded.all(...asked, partition);
      const ended = rows.at(-1)?.['spot'] === null ? (rows.pop() as SqlRow) : null;
      const positions = ended === null ? [] : decodePositions(ended['checksum'] as Uint8Array);
      return { rows: rows.map(entryOf), positions };
    },
    findAnswer(partition, key) {
      const row = byKey.get(spotOf(partition, 0), partition, key);
      if (row === undefined) return null;
      if (row['spot'] === null) throw lostAnswer(partition, row['position'] as number);
      return entryOf(row);
    },
    epochAt(partition, position) {
      const row = epoch.get(spotOf(partition, position));
      return row === undefined ? null : (row['epoch'] as number);
    },
    rows(partition, afterPosition, upTo, bytesMax = Number.POSITIVE_INFINITY) {
      const entries: Entry[] = [];
      let bytes = 0;
      for (const row of between.iterate(spotOf(partition, afterPosition), spotOf(partition, upTo))) {
        const entry = entryOf(row);
        entries.push(entry);
        bytes += entry.data.length + (entry.meta?.length ?? 0);
        if (bytes >= bytesMax) break;
      }
      return entries;
    },
    epochs: () => epochs.all().map((row) => [row['partition'] as number, row['epoch'] as number] as const),
  };
}

/** Of the archive's tables, which an older program has not made, and a newer one may make while its log is read beside. */
export function onceThere<T>(database: Database, prepare: () => T): () => T | null {
  let prepared: T | null = null;
  return () => {
    if (prepared === null && hasTable(database, 'ended_streams')) prepared = prepare();
    return prepared;
  };
}

function lostAnswer(partition: PartitionKey, position: number): CardumeError {
  return new CardumeError(
    'storage-failed',
    `partition ${partition} has no row at position ${position}, where a remembered answer stands: bring the log back from a backup`,
  );
}

export function entryOf(row: SqlRow): Entry {
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
