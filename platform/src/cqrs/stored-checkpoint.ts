import { CardumeError } from '../base/errors.ts';
import type { TailSource } from '../events/tail.ts';

/**
 * A checkpoint as an engine stores it: the entry that was folded last. Epoch 0 is that of no entry: what was folded is being
 * discarded. It counts as position 0; for the version before it is one that the log does not have.
 */
export interface StoredCheckpoint {
  /** Name; '' for the one that all share which follow the log. */
  readonly build: string;
  readonly partition: number;
  readonly epoch: number;
  readonly position: number;
}

/** As it counts. */
export function counting(stored: StoredCheckpoint): StoredCheckpoint {
  return stored.epoch === 0 ? { ...stored, position: 0 } : stored;
}

/** Whether the log holds, at each checkpoint, the entry that was folded last. */
export async function standsOn(stored: readonly StoredCheckpoint[], source: TailSource): Promise<boolean> {
  const open = new Set(source.heads().map(({ partition }) => partition));
  for (const { partition, epoch, position } of stored) {
    if (!open.has(partition) || position === 0) continue;
    const [entry] = await source.read(partition, position - 1, 1);
    if (entry?.epoch !== epoch) return false;
  }
  return true;
}

/**
 * Partitions that a build was folded in, and the ones that follow were not: they have moved away since, and whoever
 * prepared the build did not know.
 */
export function strays(build: string, stored: readonly StoredCheckpoint[]): number[] {
  const shared = new Set(stored.filter((one) => one.build === '').map(({ partition }) => partition));
  return stored
    .filter((one) => one.build === build && !shared.has(one.partition))
    .map(({ partition }) => partition);
}

export function builtSince(): CardumeError {
  return new CardumeError('fenced', 'another process has built the same, and uses it');
}

/** @throws CardumeError `conflict`: to begin again is up to the process that has the shard */
export function checkStands(stands: boolean): void {
  if (!stands)
    throw new CardumeError(
      'conflict',
      'the read models were folded from another log: start the region first',
    );
}
