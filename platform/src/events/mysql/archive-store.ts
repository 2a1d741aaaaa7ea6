/** What the steps of ../archive/making.ts read and write on a server, and what of an archive a dropped copy takes with it. */

import { again } from '../../database/mysql/again.ts';
import { insertRows } from '../../database/mysql/insert.ts';
import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import type { ArchiveStore, RowAt, StreamVersion, Unwanted } from '../archive/making.ts';
import { encodePositions } from '../archive/positions.ts';
import { EMPTY_CHECKSUM } from '../checksum.ts';
import { COPY } from '../copies.ts';
import { fencedError } from '../group-commit.ts';
import type { Head, PartitionKey } from '../log.ts';
import { amongStreams } from './among-streams.ts';
import { archiveOf, rowsBetween } from './archive.ts';
import { deleteRows } from './delete.ts';
import { type ArchiveTables, bytesOf, type Rows, rowsOf, textOf } from './reader.ts';
import { markArchived } from './schema.ts';

const ENDED_COLUMNS = ['partition_key', 'stream', 'version', 'positions'];
const SEGMENT_COLUMNS =
  'partition_key, last_position, epoch, first_position, before_checksum, checksum, cleared, bytes';

/** @param onEnded streams are about to be known as ended */
export function archiveStore(
  clock: Clock,
  database: SqlDatabase,
  tables: ArchiveTables,
  homes: () => readonly Head[],
  onEnded: () => void,
): ArchiveStore {
  const rows = rowsOf(clock, database);
  const asHome = (home: Head, work: (session: SqlSession) => Promise<void>): Promise<void> =>
    again(clock, () =>
      database.session(async (session) => {
        await session.exec('START TRANSACTION');
        await checkHome(session, home);
        await work(session);
        await session.exec('COMMIT');
      }),
    );

  return {
    ...archiveOf(rows, tables),
    homes,
    async span({ partition, epoch }) {
      const [head] = await rows(
        'SELECT position, forgotten FROM log_heads WHERE partition_key = ? AND epoch = ? AND batch <> ?',
        [partition, epoch, COPY],
      );
      if (head === undefined) return null;
      const last = await lastSegment(rows, partition);
      return {
        position: (last?.['last_position'] as number | undefined) ?? 0,
        checksum: (last?.['checksum'] as Uint8Array | undefined) ?? EMPTY_CHECKSUM,
        upTo: Math.min(head['forgotten'] as number, (head['position'] as number) - 1),
      };
    },
    async rows(partition, afterPosition, upTo, bytesMax) {
      const last =
        bytesMax === undefined ? upTo : await filling(rows, partition, afterPosition, upTo, bytesMax);
      return rowsBetween(rows, partition, afterPosition, last);
    },
    async versions(partition, streams, after, max) {
      const name = after === null ? null : bytesOf(after.stream);
      const behind = 'AND (stream > ? OR (stream = ? AND version > ?))';
      const from = name === null || after === null ? [] : [name, name, after.version];
      const sql = 'SELECT stream, version, position FROM log_entries WHERE partition_key = ? AND version > 0';
      const also = `${from.length === 0 ? '' : behind} ORDER BY stream, version LIMIT ?`;
      const found = await amongStreams(rows, sql, partition, streams, [also, [...from, BigInt(max)]]);
      return found.map(
        (row): StreamVersion => ({
          stream: textOf(row['stream']),
          version: row['version'] as number,
          position: row['position'] as number,
        }),
      );
    },
    write: async (_segment, bytes) => bytes,
    async stand(home, { segment, bytes, ended }) {
      const { partition, epoch, first, last, before, checksum } = segment;
      onEnded();
      await asHome(home, async (session) => {
        if ((await lastSegment(session.rows, partition))?.['last_position'] === last) return; // a try whose answer was lost
        await session.run(`INSERT INTO log_segments (${SEGMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, [
          partition,
          last,
          epoch,
          first,
          before,
          checksum,
          first - 1,
          bytes,
        ]);
        const ends = [...ended].map(([stream, positions]): SqlValue[] => [
          partition,
          bytesOf(stream),
          positions.length,
          encodePositions(positions),
        ]);
        const newer = 'ON DUPLICATE KEY UPDATE version = VALUES(version), positions = VALUES(positions)';
        await insertRows(session, 'log_ended_streams', ENDED_COLUMNS, ends, newer);
        await markArchived(session);
      });
    },
    unwanted: (partition, rowsMax) => unwantedIn(rows, partition, rowsMax),
    clear: (home, { rows: unwanted, upTo }) =>
      asHome(home, async (session) => {
        const { partition } = home;
        const positions = unwanted.map(({ position }) => position);
        await deleteRows(session, 'log_entries', 'position', partition, positions);
        if (upTo === null) return;
        await session.run(
          'UPDATE log_segments SET cleared = ? WHERE partition_key = ? ORDER BY last_position DESC LIMIT 1',
          [upTo, partition],
        );
      }),
  };
}

/** Keeps others away from it. */
async function checkHome(session: SqlSession, { partition, epoch }: Head): Promise<void> {
  const [head] = await session.rows(
    'SELECT batch FROM log_heads WHERE partition_key = ? AND epoch = ? FOR UPDATE',
    [partition, epoch],
  );
  if (head === undefined || head['batch'] === COPY) throw fencedError(partition);
}

async function lastSegment(rows: Rows, partition: PartitionKey): Promise<SqlRow | undefined> {
  const [last] = await rows(
    `SELECT last_position, checksum, cleared FROM log_segments WHERE partition_key = ?
      ORDER BY last_position DESC LIMIT 1`,
    [partition],
  );
  return last;
}

/** @returns position of the row that goes beyond so many bytes, or the last one */
async function filling(
  rows: Rows,
  partition: PartitionKey,
  afterPosition: number,
  upTo: number,
  bytesMax: number,
): Promise<number> {
  const sizes = await rows(
    `SELECT position, LENGTH(data) + COALESCE(LENGTH(meta), 0) AS bytes FROM log_entries
      WHERE partition_key = ? AND position > ? AND position <= ? ORDER BY position`,
    [partition, afterPosition, upTo],
  );
  let bytes = 0;
  for (const row of sizes) {
    bytes += Number(row['bytes']);
    if (bytes >= bytesMax) return row['position'] as number;
  }
  return upTo;
}

async function unwantedIn(rows: Rows, partition: PartitionKey, rowsMax: number): Promise<Unwanted | null> {
  const segment = await lastSegment(rows, partition);
  const { last_position: last = 0, cleared = 0 } = (segment ?? {}) as Record<string, number>;
  if (cleared >= last) return null;
  const looked = await rows(
    `SELECT e.position, e.stream, e.version, e.checksum, COALESCE(z.version, 0) AS ended FROM log_entries e
      LEFT JOIN log_ended_streams z ON z.partition_key = e.partition_key AND z.stream = e.stream
      WHERE e.partition_key = ? AND e.position > ? AND e.position <= ? ORDER BY e.position LIMIT ?`,
    [partition, cleared, last, BigInt(rowsMax)],
  );
  const unwanted = looked.filter(
    ({ version, ended }) => version === null || (version as number) <= Number(ended),
  );
  const streams = new Set(
    unwanted.flatMap(({ version, stream }) => (version === null ? [] : [textOf(stream)])),
  );
  const sql = 'SELECT position, checksum FROM log_entries WHERE partition_key = ? AND version > 0';
  const also = 'AND position <= ? ORDER BY stream, version LIMIT ?';
  const older = await amongStreams(rows, sql, partition, [...streams], [also, [cleared, BigInt(rowsMax)]]);
  // First those that stand before, in ranges that were looked through long ago.
  if (older.length >= rowsMax) return { rows: older.map(rowAt), upTo: cleared };
  const upTo = looked.length < rowsMax ? last : (looked.at(-1)?.['position'] as number);
  return { rows: [...older, ...unwanted].map(rowAt), upTo };
}

function rowAt(row: SqlRow): RowAt {
  return { position: row['position'] as number, checksum: row['checksum'] as Uint8Array };
}

/** Of one statement: each has megabytes. */
const SEGMENTS_DROPPED_MAX = 16;

/** What of a partition's archive goes with its rows, the last segments last. @returns how many rows: fewer than `rowsMax`, none is left */
export async function dropArchive(
  session: SqlSession,
  partition: PartitionKey,
  rowsMax: number,
): Promise<number> {
  const ended = await session.run('DELETE FROM log_ended_streams WHERE partition_key = ? LIMIT ?', [
    partition,
    BigInt(rowsMax),
  ]);
  if (ended.changes === rowsMax) return rowsMax;
  const segments = await session.run(
    'DELETE FROM log_segments WHERE partition_key = ? ORDER BY last_position DESC LIMIT ?',
    [partition, BigInt(Math.min(SEGMENTS_DROPPED_MAX, rowsMax - ended.changes))],
  );
  // There may be more.
  return segments.changes === SEGMENTS_DROPPED_MAX ? rowsMax : ended.changes + segments.changes;
}
