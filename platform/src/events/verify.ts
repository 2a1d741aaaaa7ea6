/**
 * Walks a shard's log and says what is wrong with it: gaps in positions, epochs that go back, a broken chain of
 * checksums, gaps in the versions of a stream, answers and heads that do not fit their entries, rows and ended streams
 * that do not fit the segments, segments that are damaged or missing. Reads only; the log may be open elsewhere (what is
 * committed meanwhile is not seen: all is read in one snapshot).
 *
 * Cost: one pass over the entries in order, one over the index of streams; memory does not grow with the log.
 */
import { isCardumeError } from '../base/errors.ts';
import type { Cryptography } from '../host/cryptography.ts';
import type { Host } from '../host/host.ts';
import { checkArchived, checkSegments } from './archive/checking.ts';
import { checksumOf, EMPTY_CHECKSUM, sameChecksum } from './checksum.ts';
import type { LogPlace, Snapshot, Version } from './engine.ts';
import { driverOf } from './engines.ts';
import type { Entry, Head, PartitionKey } from './log.ts';

export interface Verification {
  readonly heads: readonly Head[];
  readonly entries: number;
  /** What is wrong, at most `FAULTS_MAX`; empty for a sound log. */
  readonly faults: readonly string[];
}

export const FAULTS_MAX = 100;
const PAGE_ENTRIES = 1_000;
const PAGE_VERSIONS = 5_000;

type Note = (fault: string) => void;

/** @throws CardumeError `storage-failed` when the log is missing, damaged, or written by a newer program */
export async function verifyLog(host: Host, place: LogPlace): Promise<Verification> {
  const driver = await driverOf(host, place);
  return driver.inspect(host, place, async (snapshot) => {
    const faults = new Set<string>();
    const note = (fault: string): void => {
      if (faults.size < FAULTS_MAX) faults.add(fault);
    };
    const heads = new Map((await snapshot.heads()).map((head) => [head.partition, head]));
    let entries = 0;
    for (const partition of new Set([...heads.keys(), ...(await snapshot.partitions())]))
      entries += await walk(host.crypto, snapshot, partition, heads.get(partition), note);
    await checkStreams(snapshot, note);
    for (const { partition, position } of await snapshot.strayAnswers(FAULTS_MAX))
      note(`partition ${partition}: an answer points to position ${position}, which has another key`);
    return { heads: [...heads.values()], entries, faults: [...faults] };
  });
}

/** @returns entries of the partition */
async function walk(
  crypto: Cryptography,
  snapshot: Snapshot,
  partition: PartitionKey,
  head: Head | undefined,
  note: Note,
): Promise<number> {
  let last: Pick<Entry, 'position' | 'epoch' | 'checksum'> = {
    position: 0,
    epoch: 0,
    checksum: EMPTY_CHECKSUM,
  };
  let entries = 0;
  await checkSegments(crypto, snapshot, partition, note);
  /** @returns null where a segment cannot be read */
  async function read(after: number): Promise<Entry[] | null> {
    try {
      return await snapshot.readPartition(partition, after, PAGE_ENTRIES);
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      note(error.message);
      return null;
    }
  }

  const archived = await checkArchived(snapshot, partition, note);
  for (;;) {
    const page = await read(last.position);
    if (page === null) {
      const segment = await snapshot.archive.segmentBehind(partition, last.position);
      if (segment === null) break;
      last = { ...last, position: segment.last, checksum: segment.checksum };
      continue;
    }
    for (const entry of page) {
      const at = `partition ${partition}, position ${entry.position}`;
      if (entry.position !== last.position + 1) note(`${at}: follows position ${last.position}`);
      if (entry.epoch < last.epoch) note(`${at}: epoch ${entry.epoch} after ${last.epoch}`);
      if (!sameChecksum(checksumOf(crypto, last.checksum, entry), entry.checksum)) {
        note(`${at}: the checksum does not fit the entry and the one before it`);
      }
      last = entry;
      entries += 1;
    }
    await archived.page(page);
    if (page.length < PAGE_ENTRIES) break;
  }
  archived.end();
  if (head === undefined) note(`partition ${partition}: has entries and no head`);
  else if (head.position !== last.position || !sameChecksum(head.checksum, last.checksum)) {
    note(`partition ${partition}: the head is at ${head.position}, the last entry at ${last.position}`);
  } else if (head.epoch < last.epoch)
    note(`partition ${partition}: the head's epoch is older than its entries`);
  return entries;
}

/** The index by stream and version holds all that is needed: one ordered pass. */
async function checkStreams(snapshot: Snapshot, note: Note): Promise<void> {
  let last: Version | null = null;
  for (;;) {
    const page: readonly Version[] = await snapshot.versions(last, PAGE_VERSIONS);
    for (const next of page) {
      const before: Version | null = last?.stream === next.stream ? last : null;
      if (next.version !== (before?.version ?? (await archivedBefore(snapshot, next))) + 1) {
        note(`stream '${next.stream}': version ${next.version} follows ${before?.version ?? 'nothing'}`);
      } else if (before !== null && !standsBehind(next, before)) {
        note(
          `stream '${next.stream}': version ${next.version} does not stand behind version ${before.version}`,
        );
      }
      last = next;
    }
    if (page.length < PAGE_VERSIONS) return;
  }
}

/** Versions before a stream's first row. */
async function archivedBefore(snapshot: Snapshot, { stream, version, partition }: Version): Promise<number> {
  if (version === 1) return 0;
  const positions = (await snapshot.ended(partition, [stream])).get(stream) ?? [];
  return Math.min(version - 1, positions.length);
}

function standsBehind(next: Version, before: Version): boolean {
  return next.partition === before.partition && next.position > before.position;
}
