/**
 * The archive of logs on a server: a segment is a row with its bytes, since instances share no folder, and the server's own
 * backups and replicas have it. Nothing is written before it stands: a step that was cut off leaves nothing behind.
 */
import type { SqlRow } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import type { Archive, EndedOf } from '../archive/archived.ts';
import { nameOf } from '../archive/name.ts';
import { decodePositions } from '../archive/positions.ts';
import { readingArchives } from '../archive/reading.ts';
import type { Segment } from '../archive/segment.ts';
import type { Reader } from '../engine.ts';
import type { Entry, PartitionKey } from '../log.ts';
import { amongStreams } from './among-streams.ts';
import { type ArchiveTables, COLUMNS, entryOf, openReader, type Rows, textOf } from './reader.ts';

export function archiveOf(rows: Rows, tables: ArchiveTables): Archive & { readonly ended: EndedOf } {
  return {
    whereIs: (segment) => `the row of log_segments for ${nameOf(segment)}`,
    async segmentBehind(partition, position) {
      if (!(await tables.look())) return null;
      const [row] = await rows(
        `SELECT partition_key, epoch, last_position, first_position, before_checksum, checksum FROM log_segments
          WHERE partition_key = ? AND last_position > ? ORDER BY last_position LIMIT 1`,
        [partition, position],
      );
      return row === undefined ? null : segmentOf(row);
    },
    async bytesOf({ partition, epoch, last }) {
      const [row] = await rows(
        'SELECT bytes FROM log_segments WHERE partition_key = ? AND last_position = ? AND epoch = ?',
        [partition, last, epoch],
      );
      return row === undefined ? null : (row['bytes'] as Uint8Array);
    },
    async ended(partition, streams) {
      if (!(await tables.look())) return new Map();
      const sql = 'SELECT stream, positions FROM log_ended_streams WHERE partition_key = ?';
      const found = await amongStreams(rows, sql, partition, streams);
      return new Map(
        found.map((row) => [textOf(row['stream']), decodePositions(row['positions'] as Uint8Array)]),
      );
    },
  };
}

function segmentOf(row: SqlRow): Segment {
  return {
    partition: row['partition_key'] as number,
    epoch: row['epoch'] as number,
    first: row['first_position'] as number,
    last: row['last_position'] as number,
    before: row['before_checksum'] as Uint8Array,
    checksum: row['checksum'] as Uint8Array,
  };
}

/** Of all that stands. */
export function wholeReader({ crypto }: Pick<Host, 'crypto'>, rows: Rows, tables: ArchiveTables): Reader {
  return readingArchives(crypto, openReader(rows, tables), archiveOf(rows, tables));
}

/** Rows of entries as they stand, whatever segments hold. */
export async function rowsBetween(
  rows: Rows,
  partition: PartitionKey,
  afterPosition: number,
  upTo: number,
): Promise<Entry[]> {
  const sql = `SELECT ${COLUMNS} FROM log_entries WHERE partition_key = ? AND position > ? AND position <= ? ORDER BY position`;
  return (await rows(sql, [partition, afterPosition, upTo])).map(entryOf);
}
