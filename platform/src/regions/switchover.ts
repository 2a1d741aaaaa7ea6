/**
 * A planned move of partitions from this region to another: nothing is lost, and callers wait instead of failing.
 *
 *   drain     callers of the partition wait at a gate; what was begun becomes durable
 *   catch up  the other region has acknowledged all of it
 *   switch    the partition is released here, and the coordinator names its new home and term
 *   go on     callers find it there
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { ShardMoving } from '../cqrs/shard-moving.ts';
import type { ProcessCheckpoint } from '../cqrs/storage.ts';
import type { Condition, Coordinator } from '../discovery/coordinator.ts';
import type { Log } from '../events/log.ts';
import type { Clock } from '../host/host.ts';
import { type Partition, partitionKey } from '../topology/partition.ts';
import type { RegionName, ServiceName } from '../topology/topology.ts';
import { HOMES, type Home, type Homes, keyOfHome } from './homes.ts';
import { without } from './unclean.ts';
import { untilReached, type Watermarks } from './watermarks.ts';

export interface LeavingShard {
  readonly log: Pick<Log, 'head' | 'settled'>;
  readonly moving: Pick<ShardMoving, 'release'>;
}

export interface SwitchoverGround {
  readonly clock: Clock;
  /** The instance closes. */
  readonly isOver: () => boolean;
  readonly here: RegionName;
  readonly coordinator: Coordinator;
  readonly homes: Homes;
  readonly watermarks: Watermarks;
  /** This process has the region's lease, in a change at the coordinator. @throws CardumeError `partition-unavailable` */
  readonly lease: () => Condition;
  readonly shardOf: (service: ServiceName, partition: number) => LeavingShard | undefined;
  readonly hold: (service: ServiceName, partition: number) => () => void;
  /** The coordinator's values are known here from now on. */
  readonly learn: (values: Parameters<Homes['learn']>[0]) => void;
  /** What is done for the partition runs in turn; what was released and has no other home is adopted again behind it. */
  readonly inTurn: <T>(partition: Partition, work: () => Promise<T>) => Promise<T>;
  /** Where processes stand, for whoever takes the partition up. */
  readonly handOver: (
    to: RegionName,
    service: ServiceName,
    checkpoints: readonly ProcessCheckpoint[],
  ) => Promise<void>;
}

/** JSON. */
export interface SwitchedOver extends Moved {
  /** Partitions that are still to move: whoever asked asks again. The version before leaves none. */
  readonly left?: number;
  /** Partitions that stay, since the other region may not be home to them. */
  readonly kept: number;
  /** Sentences. */
  readonly keptWhy: readonly string[];
}

export interface Moved {
  /** How many have moved. */
  readonly partitions: number;
  /** The longest that callers of one partition waited. */
  readonly heldMs: number;
}

/** At the same time. */
const TOGETHER = 8;
const CATCH_UP_MS_MAX = 3_000;
const READ_AGAIN_MS = 100;
/** None is begun behind it: whoever asked over a long line hears of the first ones before it gives up waiting. */
const BEGIN_MS_MAX = 1_500;

/** @throws CardumeError what keeps a partition from moving: it is at home here still, and those before it have moved */
export async function switchOver(
  ground: SwitchoverGround,
  to: RegionName,
  partitions: readonly Partition[],
): Promise<Moved> {
  const waiting = [...partitions];
  const { clock } = ground;
  const sinceMs = clock.monotonicMs();
  let heldMs = 0;
  async function work(): Promise<void> {
    while (clock.monotonicMs() - sinceMs < BEGIN_MS_MAX) {
      const one = waiting.shift();
      if (one === undefined) return;
      const ms = await ground.inTurn(one, () => switchOne(ground, to, one));
      heldMs = Math.max(heldMs, ms);
    }
  }
  const done = await Promise.allSettled(Array.from({ length: TOGETHER }, work));
  for (const one of done) if (one.status === 'rejected') throw one.reason;
  return { partitions: partitions.length - waiting.length, heldMs: Math.round(heldMs) };
}

/** @returns how long its callers were held */
async function switchOne(ground: SwitchoverGround, to: RegionName, partition: Partition): Promise<number> {
  const { clock, watermarks } = ground;
  const { service } = partition;
  const key = partitionKey(partition);
  const { region, term } = ground.homes.find(partition);
  const shard = ground.shardOf(service, key);
  const before = shard?.log.head(key);
  if (region !== ground.here || shard === undefined || before === undefined)
    throw new CardumeError('conflict', `partition ${key} of '${service}' is not at home in ${ground.here}`);
  // What is far behind is brought close first: callers wait for the last entries alone.
  await untilReached(clock, watermarks, to, service, key, before.position, CATCH_UP_MS_MAX);
  const letGo = ground.hold(service, key);
  const sinceMs = clock.monotonicMs();
  try {
    await shard.log.settled(key);
    const { position } = shard.log.head(key) ?? before;
    await untilReached(clock, watermarks, to, service, key, position, CATCH_UP_MS_MAX);
    const { head, checkpoints } = await shard.moving.release(key);
    if (head.position !== position)
      throw new CardumeError('conflict', `partition ${key} of '${service}' was written while it moved`);
    await ground.handOver(to, service, checkpoints);
    await name(ground, to, partition, term);
    return clock.monotonicMs() - sinceMs;
  } finally {
    letGo();
  }
}

/**
 * Nobody is home to the partition until it is known what the coordinator says, however long that takes. What else is noted
 * beside the home meanwhile (that it is clean again) does not stop the move: it is asked for again, on top.
 * @param term in which the partition was released
 * @throws CardumeError `conflict` when another home stands there, or a later term, or another process has the region's lease
 */
async function name(
  { clock, isOver, coordinator, homes, learn, here, lease }: SwitchoverGround,
  to: RegionName,
  partition: Partition,
  term: number,
): Promise<void> {
  const key = keyOfHome(partition);
  let isSent = false;
  for (;;) {
    const { revision, ...before } = homes.find(partition);
    if (before.region === to && before.term === term + 1) return;
    if (before.region !== here || before.term !== term) throw standsElse(key);
    const home: Home = { region: to, term: term + 1, ...without(before, (region) => region === to) };
    try {
      // Whoever has begun to serve the region since, or replaces it, has taken the lease: nothing is moved behind their back.
      const own = lease();
      const value = JSON.stringify(home);
      const { done, revision: now } = await coordinator.change([{ key, revision }, own], [{ key, value }]);
      isSent = true;
      // Callers wait: what is known is not read again.
      learn(done ? [{ key, value, revision: now }] : (await coordinator.read(key)).values);
      if (!done && homes.find(partition).revision === revision && lease().revision === own.revision)
        throw standsElse(key);
    } catch (error) {
      isSent ||= isCardumeError(error, 'unknown-outcome');
      if (!isSent || !isCardumeError(error) || error.code === 'conflict' || isOver()) throw error;
      await clock.sleep(READ_AGAIN_MS);
    }
  }
}

const standsElse = (key: string): CardumeError =>
  new CardumeError('conflict', `another home stands for ${key.slice(HOMES.length)}`);
