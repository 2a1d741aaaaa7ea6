/**
 * Reads that find what stands in segments. Whoever reads asks for rows first, in the one statement that a log without a
 * segment needs. Positions and versions have no gaps, and the last entry of a log always stands in a row: so rows
 * themselves tell what is missing, and that alone is looked for in segments.
 *
 * No transaction spans both. Rows are deleted behind a segment that holds them, and segments stay: what is found missing
 * is there. A copy that is dropped meanwhile loses its rows before its segments, the last ones first: then the rows are
 * read again, and tell less. What neither holds is lost, and told.
 */
import { CardumeError } from '../../base/errors.ts';
import type { Cryptography } from '../../host/cryptography.ts';
import type { Reader } from '../engine.ts';
import type { Entry, PartitionKey } from '../log.ts';
import { type Archive, type Archived, archivedIn } from './archived.ts';

/** Rows as they stand. Who has them at once says them at once: a promise more would be half as dear as the read. */
export interface RowReader extends Pick<Reader, 'epochs'> {
  readPartition(
    partition: PartitionKey,
    afterPosition: number,
    entriesMax: number,
  ): Entry[] | Promise<Entry[]>;
  readStream(
    partition: PartitionKey,
    stream: string,
    fromVersion: number,
    entriesMax: number,
  ): StreamRows | Promise<StreamRows>;
  findAnswer(partition: PartitionKey, key: string): Entry | null | Promise<Entry | null>;
}

/** Of one moment. */
export interface StreamRows {
  readonly rows: Entry[];
  /** Of a stream that has ended: the positions of its events up to there, the first version's first; else none. */
  readonly positions: readonly number[];
}

/** A copy that is dropped explains one of them. */
const TRIES_MAX = 3;

export function readingArchives(
  crypto: Pick<Cryptography, 'sha256'>,
  rows: RowReader,
  archive: Archive,
): Reader {
  const archived = archivedIn(crypto, archive);
  const readPartition = readingPartitions(rows.readPartition, archived, 'told');
  return {
    readPartition,
    readStream: readingStreams(rows.readStream, archived),
    findAnswer: async (partition, key) => rows.findAnswer(partition, key),
    epochs: rows.epochs,
    async epochAt(partition, position) {
      const [entry] = position < 1 ? [] : await readPartition(partition, position - 1, 1);
      return entry?.epoch ?? null;
    },
  };
}

/**
 * @param gaps what is nowhere is told; or, to whoever looks for all that is wrong, passed over
 * @throws CardumeError `storage-failed` (rejects) for what is missing, or damaged
 */
export function readingPartitions(
  readRows: RowReader['readPartition'],
  { reach, nextBehind, behind }: Archived,
  gaps: 'told' | 'passed over',
): Reader['readPartition'] {
  const triesMax = gaps === 'told' ? TRIES_MAX : 1;
  return async (partition, afterPosition, entriesMax) => {
    const page: Entry[] = [];
    let last = afterPosition;
    /** How often the next entry was looked for. */
    let tries = 0;
    const take = (entries: readonly Entry[]): void => {
      if (entries.length === 0) return;
      for (const entry of entries) page.push(entry);
      last = (page.at(-1) as Entry).position;
      tries = 0;
    };
    for (;;) {
      if (tries > 0 || last < reach(partition)) {
        take(await behind(partition, last, entriesMax - page.length));
        if (page.length === entriesMax) return page;
      }
      const asked = readRows(partition, last, entriesMax - page.length);
      const rows = asked instanceof Promise ? await asked : asked;
      const gap = gapIn(rows, last);
      if (gap === -1) return page.length === 0 ? rows : page.concat(rows);
      take(rows.slice(0, gap));
      tries += 1;
      if (tries <= triesMax) continue;
      if (gaps === 'told') throw lost(partition, last);
      const next = (await nextBehind(partition, last)) ?? Number.POSITIVE_INFINITY;
      last = Math.min(next, (rows[gap] as Entry).position) - 1;
      tries = 1;
    }
  };
}

function readingStreams(
  readRows: RowReader['readStream'],
  { at }: Pick<Archived, 'at'>,
): Reader['readStream'] {
  return async (partition, stream, fromVersion, entriesMax) => {
    const first = Math.max(1, fromVersion);
    for (let tries = 1; ; tries += 1) {
      const asked = readRows(partition, stream, first, entriesMax);
      const { rows, positions } = asked instanceof Promise ? await asked : asked;
      const next = rows[0]?.version ?? Number.POSITIVE_INFINITY;
      const wanted = positions.slice(first - 1, Math.min(next, first + entriesMax) - 1);
      const archived = wanted.length === 0 ? [] : await at(partition, wanted);
      const page = archived.length === 0 ? rows : archived.concat(rows).slice(0, entriesMax);
      const isWhole =
        archived.length === wanted.length &&
        page.every((entry, i) => entry.stream === stream && entry.version === first + i);
      if (isWhole) return page;
      if (tries === TRIES_MAX) throw lostOf(partition, stream);
    }
  };
}

/** @returns index of the first that does not follow the one before; -1 when all do */
function gapIn(rows: readonly Entry[], after: number): number {
  for (let i = 0; i < rows.length; i += 1) if (rows[i]?.position !== after + 1 + i) return i;
  return -1;
}

function lost(partition: PartitionKey, after: number): CardumeError {
  return new CardumeError(
    'storage-failed',
    `position ${after + 1} of partition ${partition} stands in no row and in no segment: bring the log and its archive back from a backup`,
  );
}

function lostOf(partition: PartitionKey, stream: string): CardumeError {
  return new CardumeError(
    'storage-failed',
    `events of '${stream}' in partition ${partition} stand neither in rows nor in segments: bring the log and its archive back from a backup`,
  );
}
