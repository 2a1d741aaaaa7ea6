/**
 * Partitions that an engine keeps a copy of, while another log is their home: how a partition moves between shards. A
 * copy takes the home's entries as they are, each only behind the one before it, so it is always an exact beginning of
 * the home's. In a head the number of the batch says what it is: 0 for a copy, anything else for a home.
 *
 * A partition has one home at a time because it is released (its epoch grows, so whoever believed in the old one is
 * refused) before it is adopted elsewhere (its epoch grows again, above every one before).
 */
import { assert } from '../base/assert.ts';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Cryptography } from '../host/cryptography.ts';
import { checksumOf, sameChecksum } from './checksum.ts';
import type { Reader } from './engine.ts';
import type { Copied, CopyPage, CopyRefusal, Entry, Head, PartitionKey } from './log.ts';

export interface Copies {
  /** Of all copies that are followed here now. */
  heads(): Head[];
  /**
   * Begins a copy, or takes one up.
   * @returns its head; position 0 when it is new
   * @throws CardumeError `conflict` when it is a home
   */
  begin(partition: PartitionKey): Promise<Head>;
  /**
   * Takes a copy up.
   * @param aboveEpoch whoever opens it later, does so in an epoch above this one
   * @throws CardumeError `conflict` when it is a home, or has been dropped since
   */
  follow(partition: PartitionKey, aboveEpoch: number): Promise<Head>;
  /**
   * Something of a copy is about to be changed beside its entries: until the next ones come it is not in `heads`.
   * @throws CardumeError `conflict` when it is a home
   */
  check(partition: PartitionKey): Promise<void>;
  /**
   * Homes' next entries, in one transaction: at most `COPIED_ENTRIES_MAX`, one page a partition. What stands already is
   * passed over. A copy's epoch rises to that of the home that speaks, for good and also without entries, and whoever
   * speaks of an older one is refused, however its entries look: Raft's rule (Ongaro and Ousterhout, 2014, figure 2). A
   * page that is refused hinders no other.
   * @returns what became of each page, in their order
   */
  copy(pages: readonly CopyPage[]): Promise<readonly Copied[]>;
  /**
   * The copy becomes a home, in an epoch above its own.
   * @param epoch in which the copy must stand: whoever was paused does not take what others have opened since
   * @param floor the home's epoch is no less: see epoch.ts
   * @throws CardumeError `conflict` when it stands in another, or is somebody else's home
   */
  adopt(partition: PartitionKey, epoch: number, floor?: number): Promise<Head>;
  /**
   * The home becomes a copy, for good: no writer that had it open can append any more.
   * @returns its last head
   * @throws CardumeError `fenced` when it is another host's
   */
  release(partition: PartitionKey): Promise<Head>;
  /**
   * The home becomes a copy, whoever had it open: none of them can append any more.
   * @returns its head
   * @throws CardumeError `conflict` when it is none
   */
  unseat(partition: PartitionKey): Promise<Head>;
  /**
   * The last entries of a copy move into the quarantine, the newest first: its partition went on elsewhere without them. What
   * is left is a valid log after each call. Answers that they were are forgotten, and older ones of the same keys count again.
   * The copy's epoch stays: it has heard of the homes that it has heard of.
   * @param head where the copy was seen to end: whoever stood still cuts nothing that others have followed since
   * @returns where it ends now; more than `afterPosition` means that there is more to cut
   * @throws CardumeError `conflict` when it is a home, or ends elsewhere, or the position is not beyond the archive's segments
   */
  cut(head: Head, afterPosition: number, entriesMax: number): Promise<Head>;
  /**
   * Deletes a copy, a part at a time. What was cut off it before stays in the quarantine.
   * @returns entries that were deleted: fewer than `entriesMax` means that nothing of it is left
   * @throws CardumeError `conflict` when it is a home
   */
  drop(partition: PartitionKey, entriesMax: number): Promise<number>;
}

/** Number of the batch in a copy's head. */
export const COPY = 0;
/** Of one call, over all its pages. */
export const COPIED_ENTRIES_MAX = 10_000;

/** What a page does to its copy. */
export interface CopyStep {
  readonly from: Head;
  readonly to: Head;
  readonly added: readonly Entry[];
}

/**
 * @param read of the log that has the copy
 * @throws CardumeError `conflict`, `fenced`
 */
export async function stepOf(
  crypto: Pick<Cryptography, 'sha256'>,
  from: Head,
  { homeEpoch, entries }: CopyPage,
  read: Reader['readPartition'],
): Promise<CopyStep> {
  checkHomeEpoch(from, homeEpoch, entries);
  const added = missing(crypto, from, entries);
  const last = entries.at(-1);
  if (added.length === 0 && last !== undefined) await checkStands(from, last, read);
  const to = headBehind(from, added);
  return { from, to: { ...to, epoch: Math.max(to.epoch, homeEpoch ?? 0) }, added };
}

function checkHomeEpoch(
  { partition, epoch }: Head,
  homeEpoch: number | null,
  entries: readonly Entry[],
): void {
  if (homeEpoch === null) return;
  if (homeEpoch < epoch) {
    const detail = `partition ${partition} has heard of a home in epoch ${epoch}, and takes nothing of epoch ${homeEpoch}`;
    throw new CardumeError('fenced', detail);
  }
  const younger = entries.find((entry) => entry.epoch > homeEpoch);
  if (younger === undefined) return;
  const detail = `entry ${younger.position} of partition ${partition} is of epoch ${younger.epoch}, and its home of ${homeEpoch}`;
  throw new CardumeError('conflict', detail);
}

/** Whoever is told where the copy stands takes it for an answer: what is passed over must be the same. */
async function checkStands(head: Head, last: Entry, read: Reader['readPartition']): Promise<void> {
  const { partition, position, checksum } = last;
  const standing =
    position === head.position
      ? head
      : position > 0
        ? (await read(partition, position - 1, 1))[0]
        : undefined;
  if (partition === head.partition && standing !== undefined && sameChecksum(standing.checksum, checksum))
    return;
  throw new CardumeError(
    'conflict',
    `entry ${position} of partition ${partition} is not the one that stands in its copy`,
  );
}

/**
 * All pages at once; when one of them is refused only in the middle, one by one.
 * @param attempt one transaction; after a throw nothing of it stands
 */
export async function copyPages(
  pages: readonly CopyPage[],
  attempt: (pages: readonly CopyPage[]) => Promise<Copied[]>,
): Promise<Copied[]> {
  const entries = pages.reduce((sum, page) => sum + page.entries.length, 0);
  assert(
    entries <= COPIED_ENTRIES_MAX,
    `a copy takes ${COPIED_ENTRIES_MAX} entries at a time, not ${entries}`,
  );
  const partitions = new Set(pages.map(({ partition }) => partition));
  assert(partitions.size === pages.length, 'a partition has one page of a copy at a time');
  try {
    return await attempt(pages);
  } catch (error) {
    if (refusalOf(error) === null) throw error;
  }
  const copied: Copied[] = [];
  for (const page of pages) copied.push(await copyAlone(page, attempt));
  return copied;
}

/** What was believed of its head a moment ago may have been old: once more is enough to know. */
async function copyAlone(
  page: CopyPage,
  attempt: (pages: readonly CopyPage[]) => Promise<Copied[]>,
): Promise<Copied> {
  try {
    const [copied] = await attempt([page]);
    return copied as Copied;
  } catch (error) {
    const refused = refusalOf(error);
    if (refused === null) throw error;
    return { partition: page.partition, refused };
  }
}

/** @returns null for what is no refusal */
export function refusalOf(error: unknown): CopyRefusal | null {
  if (!isCardumeError(error, 'conflict') && !isCardumeError(error, 'fenced')) return null;
  return { code: error.code as CopyRefusal['code'], detail: error.message };
}

/**
 * The entries that a copy lacks, checked one by one.
 * @throws CardumeError `conflict`
 */
function missing(
  crypto: Pick<Cryptography, 'sha256'>,
  head: Head,
  entries: readonly Entry[],
): readonly Entry[] {
  const behind = entries.filter(({ position }) => position > head.position);
  let { position, checksum, lastEpoch: epoch } = head;
  for (const entry of behind) {
    const follows =
      entry.partition === head.partition &&
      entry.position === position + 1 &&
      entry.epoch >= epoch &&
      sameChecksum(entry.checksum, checksumOf(crypto, checksum, entry));
    if (!follows) {
      const detail = `entry ${entry.position} of partition ${entry.partition} does not follow entry ${position} of its copy`;
      throw new CardumeError('conflict', detail);
    }
    ({ position, checksum, epoch } = entry);
  }
  return behind;
}

/** The head behind the entries. */
function headBehind(head: Head, entries: readonly Entry[]): Head {
  const last = entries.at(-1);
  if (last === undefined) return head;
  const { partition, position, checksum } = last;
  return { partition, epoch: Math.max(head.epoch, last.epoch), lastEpoch: last.epoch, position, checksum };
}

export function refusedCut(
  partition: PartitionKey,
  afterPosition: number,
  archivedUpTo: number,
): CardumeError {
  const detail = `partition ${partition} cannot be cut behind position ${afterPosition}: up to ${archivedUpTo} it stands in an archive's segments`;
  return new CardumeError('conflict', detail);
}

/** @throws CardumeError `conflict` */
export function checkEndsAt(seen: Head, { position, checksum }: Head): void {
  if (position === seen.position && sameChecksum(checksum, seen.checksum)) return;
  const detail = `the copy of partition ${seen.partition} does not end at position ${seen.position} any more, but at ${position}`;
  throw new CardumeError('conflict', detail);
}

export function refusedCopy(partition: PartitionKey): CardumeError {
  return new CardumeError('conflict', `partition ${partition} is no copy here, or was moved in between`);
}
