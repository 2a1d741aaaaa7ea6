/** What the steps of ../archive/making.ts read and write in SQLite, and what of an archive a dropped copy takes with it. */

import { transaction } from '../../database/sqlite/transaction.ts';
import type { Database, SqlRow } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import type { ArchiveStore, RowAt, StreamVersion } from '../archive/making.ts';
import { nameOf } from '../archive/name.ts';
import { encodePositions } from '../archive/positions.ts';
import type { Segment } from '../archive/segment.ts';
import { EMPTY_CHECKSUM } from '../checksum.ts';
import { COPY } from '../copies.ts';
import { fencedError } from '../group-commit.ts';
import type { Head, PartitionKey } from '../log.ts';
import { archiveOf, folderOf } from './archive.ts';
import type { SqliteReader } from './reader.ts';
import { markArchived } from './schema.ts';
import { endOf, positionOf, spotOf } from './spot.ts';

/** What of a partition's archive goes with its rows: see copies.ts. */
export interface ArchiveDrop {
  /**
   * The last segments first, behind all that finds something in them.
   * @returns how many rows: fewer than `rowsMax`, none is left; and what those that it deleted were called
   */
  dropRows(partition: PartitionKey, rowsMax: number): { readonly rows: number; readonly files: string[] };
  removeFiles(files: readonly string[]): Promise<void>;
}

/** @param onEnded streams are about to be known as ended */
export function archiveStore(
  host: Pick<Host, 'disk'>,
  path: string,
  database: Database,
  rows: SqliteReader,
  homes: () => readonly Head[],
  onEnded: () => void,
): ArchiveStore & ArchiveDrop {
  const { disk } = host;
  const folder = folderOf(path);
  const archive = archiveOf(host, path, database);
  const statements = {
    head: database.prepare(
      `SELECT min(forgotten, position - 1) AS up_to FROM heads WHERE partition = ? AND epoch = ? AND batch <> ${COPY}`,
    ),
    last: database.prepare(
      'SELECT last, checksum, cleared FROM segments WHERE partition = ? ORDER BY last DESC LIMIT 1',
    ),
    versions: database.prepare(
      `SELECT version, spot FROM entries WHERE stream = ? AND version > ? AND +spot > ? AND +spot < ?
       ORDER BY version LIMIT ? + 0`,
    ),
    stand: database.prepare(
      'INSERT INTO segments (partition, last, epoch, first, before, checksum, cleared) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ),
    end: database.prepare(
      `INSERT INTO ended_streams (partition, stream, version, positions) VALUES (?, ?, ?, ?)
       ON CONFLICT (partition, stream) DO UPDATE SET version = excluded.version, positions = excluded.positions`,
    ),
    uncleared: database.prepare(
      `SELECT e.spot, e.stream, e.version, e.checksum, coalesce(z.version, 0) AS ended FROM entries e
       LEFT JOIN ended_streams z ON z.partition = ? AND z.stream = e.stream
       WHERE e.spot > ? AND e.spot <= ? ORDER BY e.spot LIMIT ? + 0`,
    ),
    older: database.prepare(
      `SELECT spot, checksum FROM entries WHERE stream = ? AND version > 0 AND +spot > ? AND +spot <= ?
       ORDER BY version LIMIT ? + 0`,
    ),
    remove: database.prepare('DELETE FROM entries WHERE spot = ?'),
    cleared: database.prepare(
      `UPDATE segments SET cleared = ?2
       WHERE partition = ?1 AND last = (SELECT max(last) FROM segments WHERE partition = ?1)`,
    ),
    dropEnded: database.prepare(
      `DELETE FROM ended_streams WHERE partition = ? AND stream IN
       (SELECT stream FROM ended_streams WHERE partition = ? LIMIT ?)`,
    ),
    lastSegments: database.prepare('SELECT * FROM segments WHERE partition = ? ORDER BY last DESC LIMIT ?'),
    dropSegment: database.prepare('DELETE FROM segments WHERE partition = ? AND last = ?'),
  };
  const rowAt = ({ spot, checksum }: SqlRow): RowAt => ({
    position: positionOf(spot as number),
    checksum: checksum as Uint8Array,
  });
  const checkHome = ({ partition, epoch }: Head): void => {
    if (statements.head.get(partition, epoch) === undefined) throw fencedError(partition);
  };

  return {
    ...archive,
    homes,
    async span({ partition, epoch }) {
      const head = statements.head.get(partition, epoch);
      if (head === undefined) return null;
      const last = statements.last.get(partition) as { last: number; checksum: Uint8Array } | undefined;
      const { last: position, checksum } = last ?? { last: 0, checksum: EMPTY_CHECKSUM };
      return { position, checksum, upTo: head['up_to'] as number };
    },
    rows: async (...asked) => rows.rows(...asked),
    async versions(partition, streams, after, max) {
      const found: StreamVersion[] = [];
      const from = after === null ? 0 : streams.indexOf(after.stream);
      for (const [i, stream] of streams.slice(from).entries()) {
        const behind = i === 0 && after !== null ? after.version : 0;
        const left = max - found.length;
        const some = statements.versions.all(stream, behind, spotOf(partition, 0), endOf(partition), left);
        for (const { version, spot } of some)
          found.push({ stream, version: version as number, position: positionOf(spot as number) });
        if (found.length === max) break;
      }
      return found;
    },
    async write(segment, bytes) {
      await disk.makeFolder(folder);
      await disk.write(archive.whereIs(segment), bytes);
      return archive.bytesOf(segment);
    },
    async stand(home, { segment, ended }) {
      const { partition, epoch, first, last, before, checksum } = segment;
      onEnded();
      transaction(database, () => {
        checkHome(home);
        statements.stand.run(partition, last, epoch, first, before, checksum, first - 1);
        for (const [stream, positions] of ended)
          statements.end.run(partition, stream, positions.length, encodePositions(positions));
        markArchived(database);
      });
    },
    async unwanted(partition, rowsMax) {
      const segment = statements.last.get(partition) as { last: number; cleared: number } | undefined;
      if (segment === undefined || segment.cleared >= segment.last) return null;
      const { last, cleared } = segment;
      const from = spotOf(partition, cleared);
      const looked = statements.uncleared.all(partition, from, spotOf(partition, last), rowsMax);
      const unwanted = looked.filter(
        ({ version, ended }) => version === null || (version as number) <= (ended as number),
      );
      const streams = new Set(unwanted.flatMap(({ version, stream }) => (version === null ? [] : [stream])));
      const older: SqlRow[] = [];
      for (const stream of streams)
        older.push(
          ...statements.older.all(stream as string, spotOf(partition, 0), from, rowsMax - older.length),
        );
      // First those that stand before, in ranges that were looked through long ago.
      if (older.length === rowsMax) return { rows: older.map(rowAt), upTo: cleared };
      const upTo = looked.length < rowsMax ? last : positionOf(looked.at(-1)?.['spot'] as number);
      return { rows: [...older, ...unwanted].map(rowAt), upTo };
    },
    clear: async (home, unwanted) =>
      transaction(database, () => {
        checkHome(home);
        for (const { position } of unwanted.rows) statements.remove.run(spotOf(home.partition, position));
        if (unwanted.upTo !== null) statements.cleared.run(home.partition, unwanted.upTo);
      }),
    dropRows(partition, rowsMax) {
      const ended = statements.dropEnded.run(partition, partition, rowsMax).changes;
      if (ended === rowsMax) return { rows: ended, files: [] };
      const segments = statements.lastSegments.all(partition, rowsMax - ended) as unknown as Segment[];
      for (const { last } of segments) statements.dropSegment.run(partition, last);
      return { rows: ended + segments.length, files: segments.map(nameOf) };
    },
    async removeFiles(files) {
      for (const name of files) await disk.remove(`${folder}/${name}`);
    },
  };
}
