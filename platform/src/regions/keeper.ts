/**
 * Keeps what this region hosts in step with who is home to what: a partition that has come is adopted, one that has gone
 * becomes a copy. Callers of a partition that comes wait at a gate until it is adopted.
 */
import { isCardumeError } from '../base/errors.ts';
import type { ShardMoving } from '../cqrs/shard-moving.ts';
import { firstEpochOf } from '../events/epoch.ts';
import type { Head, Log } from '../events/log.ts';
import type { Clock } from '../host/host.ts';
import { type Partition, partitionKey } from '../topology/partition.ts';
import type { RegionName, ServiceName } from '../topology/topology.ts';
import { type Homes, keyOfHome } from './homes.ts';

/** What the keeper needs of the shard that holds a partition. */
export interface KeptShard {
  readonly log: Pick<Log, 'head'>;
  readonly moving: Pick<ShardMoving, 'owns' | 'adopt' | 'release'>;
}

export interface KeeperGround {
  readonly clock: Clock;
  readonly here: RegionName;
  readonly homes: Homes;
  /** That are hosted here. */
  readonly services: readonly ServiceName[];
  /** Undefined: its service is not hosted here. */
  readonly shardOf: (service: ServiceName, partition: number) => KeptShard | undefined;
  /** Callers of the partition wait: it moves. */
  readonly isHeld: (service: ServiceName, partition: number) => boolean;
  /** Callers of the partition wait. @returns lets them go on */
  readonly hold: (service: ServiceName, partition: number) => () => void;
  /** The partition is what the map says by now. */
  readonly changed: (partition: Partition) => void;
  /** Callers find the partition here from now on, or not any more. */
  readonly setHome: (service: ServiceName, partition: number, isHere: boolean) => void;
  /** @throws CardumeError `fenced` when another process has the region by now */
  readonly check: () => void;
  /** @throws CardumeError when the topology lets other regions alone be home to the partition */
  readonly checkMayBeHome: (service: ServiceName, partition: number) => void;
  /** Takes a copy up: see takenUp. @returns its head */
  readonly takeUp: (service: ServiceName, partition: number) => Promise<Head>;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export interface Keeper {
  /** Homes have changed. What has to be done is begun in this turn. */
  moved(partitions: readonly Partition[]): void;
  /** Runs when nothing else is under way for the partition; behind it, whatever came of it, the map is followed again. */
  inTurn<T>(partition: Partition, work: () => Promise<T>): Promise<T>;
  /** What should be at home here and is not, for whatever reason, is adopted, and the other way round; not what moves now. */
  check(): void;
  /** Resolves when nothing is at home here any more that the map has given to others. */
  gone(): Promise<void>;
  close(): Promise<void>;
}

const AGAIN_MS = 100;

export function openKeeper(ground: KeeperGround): Keeper {
  const { clock, here, homes, shardOf, report } = ground;
  /** What is done for each partition, one after another. */
  const lines = new Map<string, Promise<void>>();
  const going = new Set<Promise<void>>();
  let isClosed = false;

  const isHome = (partition: Partition): boolean => homes.homeOf(partition) === here;
  const isServed = ({ log, moving }: KeptShard, key: number): boolean =>
    log.head(key) !== undefined && moving.owns(key);

  /** @returns whether something was done */
  async function come(partition: Partition): Promise<boolean> {
    const { service } = partition;
    const key = partitionKey(partition);
    const shard = shardOf(service, key);
    if (shard === undefined || !isHome(partition)) return false;
    const floor = firstEpochOf(homes.find(partition).term);
    // At home here already, in an earlier term: its copies elsewhere were fenced, and want a later one.
    if ((shard.log.head(key)?.epoch ?? floor) < floor) await shard.moving.release(key);
    const isNew = !isServed(shard, key);
    if (isNew) {
      ground.checkMayBeHome(service, key);
      // What was cut off half way stands as it was before, or as a copy one epoch above.
      const half = shard.log.head(key);
      const epoch = half === undefined ? (await ground.takeUp(service, key)).epoch : half.epoch + 1;
      ground.check(); // in files that another process has moved things in, a copy may be an old one
      await shard.moving.adopt(key, epoch, floor);
    }
    ground.setHome(service, key, true);
    return isNew;
  }

  /** @returns whether something was done */
  async function go(partition: Partition): Promise<boolean> {
    const key = partitionKey(partition);
    const shard = shardOf(partition.service, key);
    if (shard === undefined || isHome(partition) || shard.log.head(key) === undefined) return false;
    try {
      await shard.moving.release(key);
    } catch (error) {
      // Another process of this region has it; it does what there is to do.
      if (!isCardumeError(error, 'fenced') && !isCardumeError(error, 'partition-unavailable')) throw error;
    }
    return true;
  }

  async function untilDone(
    partition: Partition,
    work: (partition: Partition) => Promise<boolean>,
  ): Promise<void> {
    for (let tries = 0; !isClosed; tries += 1) {
      try {
        // What was tried and failed may have stood in somebody's way meanwhile.
        if ((await work(partition)) || tries > 0) ground.changed(partition);
        return;
      } catch (error) {
        if (!isCardumeError(error)) throw error;
        if (tries % 50 === 0 && !isClosed)
          report('a partition does not follow its home, and will be tried again', {
            partition: keyOfHome(partition),
            error,
          });
        await clock.sleep(AGAIN_MS);
      }
    }
  }

  function line(partition: Partition, work: () => Promise<void>): Promise<void> {
    const name = keyOfHome(partition);
    const done = (lines.get(name) ?? Promise.resolve()).then(work).finally(() => {
      if (lines.get(name) === done) lines.delete(name);
    });
    lines.set(name, done);
    return done;
  }

  function moved(partitions: readonly Partition[]): void {
    for (const partition of partitions) {
      const key = partitionKey(partition);
      if (isHome(partition)) {
        const letGo = ground.hold(partition.service, key);
        void line(partition, () => untilDone(partition, come).finally(letGo));
      } else {
        ground.setHome(partition.service, key, false);
        const done = line(partition, () => untilDone(partition, go)).finally(() => going.delete(done));
        going.add(done);
      }
    }
  }

  return {
    moved,
    inTurn(partition, work) {
      return new Promise((resolve, reject) => {
        void line(partition, async () => {
          await work().then(resolve, reject);
          moved([partition]);
        });
      });
    },
    check() {
      const astray = homes.all().filter((partition) => {
        const { service } = partition;
        const key = partitionKey(partition);
        const shard = ground.services.includes(service) ? shardOf(service, key) : undefined;
        if (shard === undefined || lines.has(keyOfHome(partition)) || ground.isHeld(service, key))
          return false;
        // A writer that is opened again brings back what it had before.
        return isHome(partition) ? !isServed(shard, key) : shard.log.head(key) !== undefined;
      });
      moved(astray);
    },
    async gone() {
      await Promise.all(going);
    },
    async close() {
      isClosed = true;
      await Promise.all(lines.values());
    },
  };
}
