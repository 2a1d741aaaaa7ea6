/** Entries that segments hold: found by position, from segments that an engine keeps somewhere. */
import type { Cryptography } from '../../host/cryptography.ts';
import type { Entry, PartitionKey } from '../log.ts';
import { type OpenSegment, openSegment, type Segment } from './segment.ts';

/** Where an engine keeps segments, and finds them. A log that has no tables for them has none. */
export interface Archive {
  /** The first that holds something behind the position. */
  segmentBehind(partition: PartitionKey, position: number): Promise<Segment | null>;
  /** @returns null when there are none */
  bytesOf(segment: Segment): Promise<Uint8Array | null>;
  /** Where those bytes stand, for errors: a place that is used once. */
  whereIs(segment: Segment): string;
}

/** Of the streams that have ended: the positions of their events, the first version's first. */
export type EndedOf = (
  partition: PartitionKey,
  streams: readonly string[],
) => Promise<ReadonlyMap<string, readonly number[]>>;

/** All that throws is `storage-failed`, for a segment that should hold an entry and is missing or damaged. */
export interface Archived {
  /** How far the segments of a partition are known to reach. */
  reach(partition: PartitionKey): number;
  /** Position of the first entry that segments hold behind another one. */
  nextBehind(partition: PartitionKey, position: number): Promise<number | null>;
  /** Behind a position, without a gap: none when no segment holds the next one. */
  behind(partition: PartitionKey, after: number, entriesMax: number): Promise<Entry[]>;
  /** At these positions, in order; those that no segment holds are left out. */
  at(partition: PartitionKey, positions: readonly number[]): Promise<Entry[]>;
  /** The block that holds a position: none when no segment does. */
  blockAt(partition: PartitionKey, position: number): Promise<readonly Entry[]>;
}

/** Of one reader: whoever walks a partition needs the same one for many pages. At most 4 MiB each. */
const OPEN_SEGMENTS_MAX = 2;

export function archivedIn(crypto: Pick<Cryptography, 'sha256'>, archive: Archive): Archived {
  const open = new Map<string, OpenSegment>();
  const reaches = new Map<PartitionKey, number>();
  const reach = (partition: PartitionKey): number => reaches.get(partition) ?? 0;

  /** @returns the one that holds the position */
  async function openedAt(partition: PartitionKey, position: number): Promise<OpenSegment | null> {
    const segment = await archive.segmentBehind(partition, position - 1);
    if (segment === null) {
      if (position <= reach(partition)) reaches.delete(partition); // it was dropped since
      return null;
    }
    if (segment.first > position) return null;
    reaches.set(partition, Math.max(reach(partition), segment.last));
    const where = archive.whereIs(segment);
    const known = open.get(where);
    const bytes = known === undefined ? await archive.bytesOf(segment) : null;
    if (known === undefined && bytes === null && !(await stands(segment)))
      return openedAt(partition, position);
    const opened = known ?? openSegment(crypto, segment, bytes, where);
    open.delete(where);
    open.set(where, opened);
    for (const oldest of open.keys()) if (open.size > OPEN_SEGMENTS_MAX) open.delete(oldest);
    return opened;
  }

  /** One that is dropped loses its row before its bytes. */
  async function stands(segment: Segment): Promise<boolean> {
    const found = await archive.segmentBehind(segment.partition, segment.first - 1);
    return found !== null && archive.whereIs(found) === archive.whereIs(segment);
  }

  const nextBehind: Archived['nextBehind'] = async (partition, position) => {
    const segment = await archive.segmentBehind(partition, position);
    return segment === null ? null : Math.max(segment.first, position + 1);
  };

  const behind: Archived['behind'] = async (partition, after, entriesMax) => {
    const entries: Entry[] = [];
    let last = after;
    while (entries.length < entriesMax) {
      const opened = await openedAt(partition, last + 1);
      if (opened === null) break;
      for (let block = blockOf(opened, last + 1); block < opened.blocks.length; block += 1) {
        for (const entry of opened.read(block)) if (entry.position > last) entries.push(entry);
        if (entries.length >= entriesMax) break;
      }
      last = (entries.at(-1) as Entry).position;
    }
    return entries.slice(0, entriesMax);
  };

  const blockAt: Archived['blockAt'] = async (partition, position) => {
    const opened = await openedAt(partition, position);
    return opened === null ? [] : opened.read(blockOf(opened, position));
  };

  /** A stream's events mostly stand near each other, so most blocks are opened once. */
  const at: Archived['at'] = async (partition, positions) => {
    const entries: Entry[] = [];
    let block: readonly Entry[] = [];
    for (const position of positions) {
      if (entryIn(block, position) === undefined) block = await blockAt(partition, position);
      const entry = entryIn(block, position);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  };

  return { reach, nextBehind, behind, at, blockAt };
}

/** Of a block's entries, which have no gap. */
export function entryIn(block: readonly Entry[], position: number): Entry | undefined {
  return block[position - (block[0]?.position ?? 0)];
}

function blockOf({ blocks }: OpenSegment, position: number): number {
  return blocks.findLastIndex((first) => first <= position);
}
