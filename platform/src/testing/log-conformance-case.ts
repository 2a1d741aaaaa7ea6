/** One case of the logs' conformance suite, and what the cases share. */
import assert from 'node:assert/strict';
import { type ErrorCode, isCardumeError } from '../base/errors.ts';
import type { LogOptions } from '../events/events.ts';
import type { LogBounds } from '../events/group-commit.ts';
import type { Entry, Log, NewEntry, PartitionKey } from '../events/log.ts';
import type { Host } from '../host/host.ts';

export interface LogUnderTest {
  /** For checksums and time. */
  readonly host: Host;
  /** A further opener of the same storage, which is empty at first. */
  open(
    partitions?: readonly PartitionKey[],
    bounds?: Partial<LogBounds>,
    more?: Pick<LogOptions, 'isMapNew' | 'copies' | 'floors' | 'yielded' | 'mayServe'> &
      Partial<Pick<LogOptions, 'pool'>>,
  ): Promise<Log>;
  /** What `verifyLog` finds. */
  faults(): Promise<readonly string[]>;
  /**
   * Changes a byte in the middle of the first segments, by partition and position; once more, and they are as they were.
   * @returns how many there are
   */
  damageArchive(segmentsMax?: number): Promise<number>;
  /** The log forgets its first segment. */
  loseSegment(): Promise<void>;
}

/** Cases by title. */
export type LogCases = Readonly<Record<string, (log: LogUnderTest) => Promise<void>>>;

export const P = 33;
export const Q = 34;

export function event(stream: string, version: number, more: Partial<NewEntry> = {}): NewEntry {
  return {
    stream,
    version,
    type: 'Happened',
    data: '{}',
    meta: null,
    key: null,
    atMs: 1_700_000_000_000,
    ...more,
  };
}

/** An answer without an event. */
export function answer(stream: string, key: string, more: Partial<NewEntry> = {}): NewEntry {
  return { ...event(stream, 1), version: null, type: '', key, meta: '{"rejected":true}', ...more };
}

/** A stream of this many events, as one append. */
export function events(stream: string, count: number): NewEntry[] {
  return Array.from({ length: count }, (_, i) => event(stream, i + 1));
}

let refusedStreams = 0;

/** What every log refuses, whatever it holds: a gap within the append. */
export function refusable(): NewEntry[] {
  refusedStreams += 1;
  const stream = `refused-${refusedStreams}`;
  return [event(stream, 1), event(stream, 3)];
}

export async function fails(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error) => {
    if (!isCardumeError(error)) throw error;
    assert.equal(error.code, code, error.message);
    return true;
  });
}

/** Work that goes on beside the case: what it throws shows where it is awaited, and nowhere if the case failed before. */
export function beside<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}

export async function all(log: Log, partition: PartitionKey): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (;;) {
    const page = await log.readPartition(partition, entries.at(-1)?.position ?? 0, 500);
    entries.push(...page);
    if (page.length < 500) return entries;
  }
}

/** `stream@version`, in order. */
/** @returns how many entries of the copy were cut */
export async function cut(log: Log, partition: PartitionKey, after: number, max: number): Promise<number> {
  const seen = await log.moving.follow(partition);
  return seen.position - (await log.moving.cut(seen, after, max)).position;
}

export function names(entries: readonly Pick<NewEntry, 'stream' | 'version'>[]): string[] {
  return entries.map(({ stream, version }) => `${stream}@${version ?? '-'}`);
}

/** To compare by value, whatever holds the bytes of its checksum. */
export function plain(entry: Entry): unknown {
  return { ...entry, checksum: Buffer.from(entry.checksum).toString('hex') };
}

/** The next entries of a subscription, at most this many. */
export async function take(from: AsyncIterator<Entry>, count: number): Promise<Entry[]> {
  const entries: Entry[] = [];
  while (entries.length < count) {
    const next = await from.next();
    if (next.done === true) break;
    entries.push(next.value);
  }
  return entries;
}

export function follow(log: Log, partition: PartitionKey, after: string | null = null): AsyncIterator<Entry> {
  return log.subscribe(partition, after)[Symbol.asyncIterator]();
}
