/**
 * Makes segments, a bounded step at a time, of what stands below the remembered answers of a partition. Whatever a step
 * leaves behind a crash may find, and the next round goes on from there:
 *
 *   gather   a block of rows a step, in memory
 *   write    the segment's bytes, durable, under a name that nothing refers to
 *   verify   what was written is read back and walked, a block a step: against the chain, and against its rows
 *   stand    one transaction: from here on the segment is what is read, and the streams in it that have ended are known
 *   clear    rows of those streams, and answers without an event, are deleted, those of a block a step, behind a look at
 *            the segment that holds them: an ended stream's older rows are in older ones
 *
 * A stream ends with a type of event that its aggregate names, if no event follows in the log. Its row is the last one
 * to be looked for: should it go on later, rows behind the segments follow.
 *
 * A partition that is damaged is left where it is, and told when the round has come to its end: others do not wait for it.
 */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import type { Cryptography } from '../../host/cryptography.ts';
import type { Entry, Head, PartitionKey } from '../log.ts';
import { type Archive, archivedIn, type EndedOf, entryIn } from './archived.ts';
import {
  BLOCK_BYTES_MAX,
  BLOCK_ENTRIES_MAX,
  isSame,
  openSegment,
  type Segment,
  segmentWriter,
} from './segment.ts';

export interface ArchiveAsked {
  readonly ending: readonly Ending[];
  /** A segment has so many entries, or fewer that fill `SEGMENT_BYTES_MAX`; one is begun when there are as many. */
  readonly segmentEntriesMax: number;
}

/** Streams of a kind end with events of these types. Structured-cloneable. */
export interface Ending {
  /** What the streams' names begin with. */
  readonly streams: string;
  readonly types: readonly string[];
}

/** What an engine brings along. */
export interface ArchiveStore extends Archive {
  readonly ended: EndedOf;
  /** Partitions whose home it is. */
  homes(): readonly Head[];
  /** Null when the home is another host's by now. */
  span(home: Head): Promise<Span | null>;
  /** Rows as they stand, whatever segments hold; at most up to the one that goes beyond so many bytes. */
  rows(partition: PartitionKey, afterPosition: number, upTo: number, bytesMax?: number): Promise<Entry[]>;
  /** Of the rows of these streams, in an order of its own, with a stream's versions in theirs: some, behind one of them. */
  versions(
    partition: PartitionKey,
    streams: readonly string[],
    after: StreamVersion | null,
    max: number,
  ): Promise<readonly StreamVersion[]>;
  /** @returns what was written, read back */
  write(segment: Segment, bytes: Uint8Array): Promise<Uint8Array | null>;
  /** @param ended see `EndedOf`; whole @throws CardumeError `fenced` */
  stand(home: Head, made: Made): Promise<void>;
  /** @param rowsMax that are looked at, and about as many older ones of their streams @returns null when the last segment has been looked through */
  unwanted(partition: PartitionKey, rowsMax: number): Promise<Unwanted | null>;
  /** Deletes them. @throws CardumeError `fenced` */
  clear(home: Head, unwanted: Unwanted): Promise<void>;
}

export interface StreamVersion {
  readonly stream: string;
  readonly version: number;
  readonly position: number;
}

/** Rows that segments hold and nobody wants. */
export interface Unwanted {
  /** In any order. A stream's are its first versions that have rows. */
  readonly rows: readonly RowAt[];
  /** Without them nobody has to look up to there again; null: there are more. */
  readonly upTo: number | null;
}

export type RowAt = Pick<Entry, 'position' | 'checksum'>;

export interface Span {
  /** The last entry in segments. */
  readonly position: number;
  readonly checksum: Uint8Array;
  /** The last entry that may be: no answer is remembered up to it, and the last one of the log stands behind it. */
  readonly upTo: number;
}

export interface Made {
  readonly segment: Segment;
  readonly bytes: Uint8Array;
  readonly ended: ReadonlyMap<string, readonly number[]>;
}

/** Makes a step. @returns whether there is more to do */
export type ArchiveStep = (asked: ArchiveAsked) => Promise<boolean>;

/** Streams that are looked up together. */
const STREAMS_MAX = 200;
/** Their rows, at some 2 µs each. */
const VERSIONS_MAX = 2_000;
/** Of all streams that end in one segment: some 500 KB, in one transaction. Those beyond keep their rows. */
export const POSITIONS_MAX = 250_000;

export function archiving(crypto: Pick<Cryptography, 'sha256'>, store: ArchiveStore): ArchiveStep {
  let round: AsyncGenerator<void, void> | null = null;
  return async (asked) => {
    round ??= steps(crypto, store, asked);
    try {
      const { done = false } = await round.next();
      if (done) round = null;
      return !done;
    } catch (error) {
      round = null;
      throw error;
    }
  };
}

/** @throws CardumeError `storage-failed` at its end, for partitions that are damaged, or could not be written */
async function* steps(
  crypto: Pick<Cryptography, 'sha256'>,
  store: ArchiveStore,
  { ending, segmentEntriesMax }: ArchiveAsked,
): AsyncGenerator<void, void> {
  const isEnd = ({ stream, type }: Entry): boolean =>
    ending.some(({ streams, types }) => stream.startsWith(streams) && types.includes(type));
  const failures: CardumeError[] = [];

  for (const home of store.homes()) {
    try {
      do yield* clear(home);
      while (yield* make(home));
    } catch (error) {
      if (isCardumeError(error, 'storage-failed')) failures.push(error);
      else if (!isCardumeError(error, 'fenced')) throw error; // fenced: it is another host's by now
    }
    yield; // also of one with nothing to do: a look costs two round trips to a server
  }
  const [first] = failures;
  if (first === undefined) return;
  const others = failures.length === 1 ? '' : ` (and ${failures.length - 1} more partitions failed)`;
  throw new CardumeError('storage-failed', `${first.message}${others}`, { cause: first });

  async function* clear(home: Head): AsyncGenerator<void, void> {
    for (;;) {
      const unwanted = await store.unwanted(home.partition, BLOCK_ENTRIES_MAX);
      if (unwanted === null) return;
      let left = unwanted.rows.toSorted((a, b) => a.position - b.position);
      while (left.length > 0) {
        const rows = await readBack(home.partition, left);
        left = left.slice(rows.length);
        await store.clear(home, { rows, upTo: left.length === 0 ? unwanted.upTo : null });
        yield;
      }
      if (unwanted.rows.length > 0) continue;
      await store.clear(home, unwanted);
      yield;
    }
  }

  /**
   * From what stands now: nothing that was read before counts, and they are deleted in the same step.
   * @returns the first of the rows, as far as one block holds them
   */
  async function readBack(partition: PartitionKey, rows: readonly RowAt[]): Promise<readonly RowAt[]> {
    const block = await archivedIn(crypto, store).blockAt(partition, (rows[0] as RowAt).position);
    const behind = rows.findIndex((row) => entryIn(block, row.position) === undefined);
    if (behind === 0) throw notHeld(partition, rows[0] as RowAt);
    const held = behind === -1 ? rows : rows.slice(0, behind);
    for (const row of held) {
      const entry = entryIn(block, row.position) as Entry;
      if (!isSame(row, entry)) throw damagedRow(entry);
    }
    return held;
  }

  /** @returns whether a segment stands that did not */
  async function* make(home: Head): AsyncGenerator<void, boolean> {
    const { partition } = home;
    const span = await store.span(home);
    if (span === null || span.upTo - span.position < segmentEntriesMax) return false;
    const writer = segmentWriter(home, span);
    const upTo = span.position + segmentEntriesMax;
    while (writer.last < upTo && !writer.isFull) {
      if ((await store.span(home)) === null) return false;
      const blockUpTo = Math.min(upTo, writer.last + BLOCK_ENTRIES_MAX);
      writer.add(await store.rows(partition, writer.last, blockUpTo, BLOCK_BYTES_MAX));
      yield;
    }
    const { segment, bytes } = writer.finish();
    const written = await store.write(segment, bytes);
    yield;
    const ends = yield* verify(segment, written);
    const ended = yield* allPositions(partition, ends);
    if ((await store.span(home)) === null) return false;
    await store.stand(home, { segment, bytes, ended });
    yield;
    return true;
  }

  /** @returns streams whose last event in the segment is an end, with its version */
  async function* verify(
    segment: Segment,
    bytes: Uint8Array | null,
  ): AsyncGenerator<void, Map<string, number>> {
    const opened = openSegment(crypto, segment, bytes, store.whereIs(segment));
    const ends = new Map<string, number>();
    for (const block of opened.blocks.keys()) {
      const entries = opened.read(block);
      const [first, last] = [entries[0] as Entry, entries.at(-1) as Entry];
      const rows = await store.rows(segment.partition, first.position - 1, last.position);
      for (const [i, entry] of entries.entries()) {
        if (!isSame(entry, rows[i])) throw damagedRow(entry);
        if (entry.version === null) continue;
        if (isEnd(entry)) ends.set(entry.stream, entry.version);
        else ends.delete(entry.stream);
      }
      yield;
    }
    return ends;
  }

  /**
   * Those of them that the log says nothing more of, with all their positions. Should one go on before the segment
   * stands, that follows in rows.
   */
  async function* allPositions(
    partition: PartitionKey,
    ends: ReadonlyMap<string, number>,
  ): AsyncGenerator<void, Map<string, readonly number[]>> {
    const ended = new Map<string, readonly number[]>();
    let left = POSITIONS_MAX;
    const streams = [...ends].flatMap(([stream, version]) => {
      if (version > left) return [];
      left -= version;
      return [stream];
    });
    for (let i = 0; i < streams.length; i += STREAMS_MAX) {
      const found = yield* positionsOf(partition, streams.slice(i, i + STREAMS_MAX));
      for (const [stream, positions] of found)
        if (positions.length === ends.get(stream)) ended.set(stream, positions);
    }
    return ended;
  }

  async function* positionsOf(
    partition: PartitionKey,
    streams: readonly string[],
  ): AsyncGenerator<void, Map<string, number[]>> {
    const known = await store.ended(partition, streams);
    const found = new Map(streams.map((stream) => [stream, [...(known.get(stream) ?? [])]]));
    let page: readonly StreamVersion[] = [];
    do {
      page = await store.versions(partition, streams, page.at(-1) ?? null, VERSIONS_MAX);
      for (const { stream, version, position } of page) {
        const positions = found.get(stream) as number[];
        if (version === positions.length + 1) positions.push(position);
      }
      yield;
    } while (page.length === VERSIONS_MAX);
    return found;
  }
}

function damagedRow({ partition, position }: Entry): CardumeError {
  return new CardumeError(
    'storage-failed',
    `the row at position ${position} of partition ${partition} does not fit its checksum: bring the log back from a backup`,
  );
}

function notHeld(partition: PartitionKey, { position }: RowAt): CardumeError {
  return new CardumeError(
    'storage-failed',
    `no segment holds position ${position} of partition ${partition}, and its row is not deleted: bring the archive back from a backup`,
  );
}
