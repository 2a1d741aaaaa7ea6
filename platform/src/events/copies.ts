/**
 * Partitions that an engine keeps a copy of, while another log is their home: how a partition moves between shards. A
 * copy takes the home's entries as they are, each only behind the one before it, so it is always an exact beginning of
 * the home's. In a head the number of the batch says what it is: 0 for a copy, anything else for a home.
 *
 * A partition has one home at a time because it is released (its epoch grows, so whoever believed in the old one is
 * refused) before it is adopted elsewhere (its epoch grows again, above every one before).
 */
import { CardumeError } from '../base/errors.ts';
import type { Cryptography } from '../host/cryptography.ts';
import { checksumOf, sameChecksum } from './checksum.ts';
import type { Entry, Head, PartitionKey } from './log.ts';

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
   * The home's next entries, of one partition and in order; those that stand already are passed over.
   * @returns the entries that were added
   * @throws CardumeError `conflict` when they do not follow what stands: it is a copy of another history, or a home
   */
  copy(entries: readonly Entry[]): Promise<readonly Entry[]>;
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
   * Deletes a copy, a part at a time.
   * @returns entries that were deleted: fewer than `entriesMax` means that nothing of it is left
   * @throws CardumeError `conflict` when it is a home
   */
  drop(partition: PartitionKey, entriesMax: number): Promise<number>;
}

/** Number of the batch in a copy's head. */
export const COPY = 0;

/**
 * The entries that a copy lacks, checked one by one.
 * @throws CardumeError `conflict`
 */
export function missing(
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
export function headBehind(head: Head, entries: readonly Entry[]): Head {
  const last = entries.at(-1);
  if (last === undefined) return head;
  const { partition, position, checksum } = last;
  return { partition, epoch: Math.max(head.epoch, last.epoch), lastEpoch: last.epoch, position, checksum };
}

export function refusedCopy(partition: PartitionKey): CardumeError {
  return new CardumeError('conflict', `partition ${partition} is no copy here, or was moved in between`);
}
