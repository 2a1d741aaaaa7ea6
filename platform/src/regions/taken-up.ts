/** How a copy is taken up in a shard, whatever stands there. */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { ShardMoving } from '../cqrs/shard-moving.ts';
import type { Head, Log } from '../events/log.ts';

export interface CopyShard {
  readonly log: Pick<Log, 'head'>;
  readonly moving: Pick<ShardMoving, 'begin' | 'follow' | 'unseat'>;
}

/**
 * Takes a copy up, or begins one. An earlier process of the region, which this one has replaced, may have adopted the
 * partition a moment ago, and not know yet: it is taken from it.
 * @param aboveEpoch whoever opens the copy later, does so in an epoch above this one
 * @param check throws when another process has the files by now
 * @param confirm asks the coordinator, too
 * @returns its head
 * @throws CardumeError `conflict` when the partition is at home here
 */
export async function takenUp(
  { log, moving }: CopyShard,
  partition: number,
  aboveEpoch: number,
  check: () => void,
  confirm: () => Promise<void>,
): Promise<Head> {
  if (log.head(partition) !== undefined)
    throw new CardumeError('conflict', `partition ${partition} is at home here`);
  const stands = await moving.follow(partition, aboveEpoch).catch(nullWhereConflict);
  if (stands !== null) return stands;
  check(); // what is missing in files that another process has moved things in was dropped
  if ((await moving.begin(partition).catch(nullWhereConflict)) === null) {
    await confirm();
    await moving.unseat(partition);
  }
  return moving.follow(partition, aboveEpoch);
}

function nullWhereConflict(error: unknown): null {
  if (isCardumeError(error, 'conflict')) return null;
  throw error;
}
