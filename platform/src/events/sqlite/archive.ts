/** The archive of a log in SQLite: segments are files in a folder beside it, and two tables say which stand. */
import { basename, dirname } from 'node:path';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import type { Archive, EndedOf } from '../archive/archived.ts';
import { nameOf } from '../archive/name.ts';
import { decodePositions } from '../archive/positions.ts';
import { readingArchives } from '../archive/reading.ts';
import type { Segment } from '../archive/segment.ts';
import type { Reader } from '../engine.ts';
import { onceThere, type SqliteReader } from './reader.ts';

/** `orders-0.log.db` → `orders-0.archive` */
export function folderOf(path: string): string {
  return `${dirname(path)}/${basename(path).replace(/(\.log)?\.db$/, '')}.archive`;
}

export function archiveOf(
  { disk }: Pick<Host, 'disk'>,
  path: string,
  database: Database,
): Archive & { readonly ended: EndedOf } {
  const folder = folderOf(path);
  const statements = onceThere(database, () => ({
    segmentBehind: database.prepare(
      'SELECT * FROM segments WHERE partition = ? AND last > ? ORDER BY last LIMIT 1',
    ),
    ended: database.prepare('SELECT positions FROM ended_streams WHERE partition = ? AND stream = ?'),
  }));
  const whereIs = (segment: Segment): string => `${folder}/${nameOf(segment)}`;
  return {
    whereIs,
    segmentBehind: async (partition, position) =>
      (statements()?.segmentBehind.get(partition, position) as unknown as Segment | undefined) ?? null,
    bytesOf: (segment) => disk.read(whereIs(segment)),
    async ended(partition, streams) {
      const found = new Map<string, readonly number[]>();
      for (const stream of streams) {
        const row = statements()?.ended.get(partition, stream);
        if (row !== undefined) found.set(stream, decodePositions(row['positions'] as Uint8Array));
      }
      return found;
    },
  };
}

/** Of all that stands. */
export function wholeReader(
  host: Pick<Host, 'crypto' | 'disk'>,
  path: string,
  database: Database,
  rows: SqliteReader,
): Reader {
  return readingArchives(host.crypto, rows, archiveOf(host, path, database));
}
