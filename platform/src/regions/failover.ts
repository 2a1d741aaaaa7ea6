/**
 * What happens when a region is lost. One region at a time is the *steward*: a key bound to its own lease says so. It
 *
 *   sees      that a region's lease has ended, and still has a moment later
 *   asks      the other regions that live whether they see the same: no single observer decides
 *   fences    every copy of the lost region's partitions, in the epochs of the next term: what the lost region may still send
 *             is refused from here on
 *   promotes  of each partition the copy with the greatest (last epoch, position), in one change at the coordinator that
 *             holds only as long as the lost region has no lease
 *
 * A partition whose answers waited for a second region is promoted only when every other copy was read, since any of them
 * may be the one that has the last answer; else it stays unavailable, and that is said. Copies in regions that may not be home
 * are left out of all of it: they did not count when an answer, or an effect, waited for a second region.
 */
import { isCardumeError } from '../base/errors.ts';
import type { Change, Condition, Coordinator } from '../discovery/coordinator.ts';
import { firstEpochOf } from '../events/epoch.ts';
import type { Clock } from '../host/host.ts';
import { type Partition, partitionKey } from '../topology/partition.ts';
import type { Residency } from '../topology/residency.ts';
import type { RegionName, ServiceName } from '../topology/topology.ts';
import { type Home, type Homes, keyOfHome, type StandingHome } from './homes.ts';
import { keyOfLease, LEASES } from './region-lease.ts';
import { afterLoss, without } from './unclean.ts';

export const STEWARD = 'steward';

/** JSON. Copies are fenced below the epoch. */
export type FenceRequest = readonly (readonly [service: string, partition: number, epoch: number])[];

/** JSON. Where each copy stands. */
export type FenceAnswer = readonly (readonly [
  service: string,
  partition: number,
  lastEpoch: number,
  position: number,
])[];

export interface FailoverGround {
  readonly clock: Clock;
  readonly here: RegionName;
  readonly regions: readonly RegionName[];
  readonly coordinator: Coordinator;
  readonly homes: Homes;
  readonly residency: Pick<Residency, 'homes' | 'sentence'>;
  /** Of this region; null while it has none. */
  readonly leaseId: () => string | null;
  /** A region that was never there, since this one began, may be about to start. */
  readonly hasMet: (region: RegionName) => boolean;
  /** Whether the region finds the other lost. @throws CardumeError when it cannot be asked */
  readonly seesLost: (observer: RegionName, lost: RegionName) => Promise<boolean>;
  /** @throws CardumeError when the region cannot be asked */
  readonly fence: (region: RegionName, request: FenceRequest) => Promise<FenceAnswer>;
  /** Answers of the partition wait for a second region. */
  readonly isAwaited: (service: ServiceName, partition: number) => boolean;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export interface Failover {
  close(): Promise<void>;
}

const LOOK_EVERY_MS = 200;
/** A region that stood still for a moment takes its lease again by itself. */
const GRACE_MS = 300;
/** Copies that cannot be read are waited for so long, where one that can is enough. */
const FENCE_PATIENCE_MS = 1_000;
const HOMES_A_CHANGE = 48;

interface Standing {
  readonly region: RegionName;
  readonly lastEpoch: number;
  readonly position: number;
}

/** Who is to be home to it in place of the one that stood when copies were fenced. */
interface Chosen {
  readonly partition: Partition;
  readonly home: StandingHome;
  readonly region: RegionName;
}

export function openFailover(ground: FailoverGround): Failover {
  const { clock, here, regions, coordinator, homes, residency, report } = ground;
  /** Since when each region has had no lease, as this one saw it. */
  const lostSinceMs = new Map<RegionName, number>();
  let isClosed = false;
  const told = new Set<string>();
  /** Lost regions of which partitions wait for them alone. */
  const toldBound = new Set<RegionName>();

  /** @returns regions with a lease; null when this region is not the steward */
  async function look(): Promise<ReadonlySet<RegionName> | null> {
    const lease = ground.leaseId();
    if (lease === null) return null;
    const [{ values: leases }, { values: stewards }] = await Promise.all([
      coordinator.read(LEASES),
      coordinator.read(STEWARD),
    ]);
    const live = new Set(leases.map(({ key }) => key.slice(LEASES.length)));
    const steward = stewards.find(({ key }) => key === STEWARD);
    if (steward !== undefined) return steward.value === here ? live : null;
    const { done } = await coordinator.change(
      [{ key: STEWARD, revision: 0 }],
      [{ key: STEWARD, value: here, lease }],
    );
    return done ? live : null;
  }

  async function agree(lost: RegionName, live: ReadonlySet<RegionName>): Promise<boolean> {
    const observers = regions.filter((region) => region !== here && region !== lost && live.has(region));
    if (observers.length === 0) return true; // nobody else is there to ask
    const seen = await Promise.allSettled(observers.map((observer) => ground.seesLost(observer, lost)));
    return seen.some((one) => one.status === 'fulfilled' && one.value);
  }

  async function once(): Promise<void> {
    const live = await look();
    if (live === null) {
      lostSinceMs.clear();
      return;
    }
    for (const region of regions) {
      if (live.has(region)) {
        lostSinceMs.delete(region);
        toldBound.delete(region);
        continue;
      }
      const nowMs = clock.monotonicMs();
      const sinceMs = lostSinceMs.get(region) ?? nowMs;
      lostSinceMs.set(region, sinceMs);
      const own = homes.all().filter((partition) => homes.homeOf(partition) === region);
      if (own.length === 0 || nowMs - sinceMs < GRACE_MS || !ground.hasMet(region)) continue;
      if (!(await agree(region, live))) continue;
      await replace(region, own, sinceMs);
    }
  }

  /** Regions that may be home to it in place of the lost one. */
  const successorsOf = (partition: Partition, lost: RegionName): readonly RegionName[] =>
    residency.homes(partition.service, partitionKey(partition)).filter((region) => region !== lost);

  async function replace(lost: RegionName, all: readonly Partition[], sinceMs: number): Promise<void> {
    const own = all.filter((partition) => successorsOf(partition, lost).length > 0);
    tellBound(
      lost,
      all.filter((partition) => !own.includes(partition)),
    );
    if (own.length === 0) return;
    // As they are now: of what is somebody else's by the time that copies have answered, nothing is known.
    const before = new Map(own.map((partition) => [partition, homes.find(partition)]));
    const standing = await fenceAll(lost, before);
    const isLate = clock.monotonicMs() - sinceMs > FENCE_PATIENCE_MS;
    const chosen: Chosen[] = [];
    let refused = 0;
    for (const [partition, home] of before) {
      const copies = standing.get(keyOfHome(partition)) ?? [];
      const isWhole = copies.length === successorsOf(partition, lost).length;
      const isAwaited = ground.isAwaited(partition.service, partitionKey(partition));
      if (copies.length === 0 || (!isWhole && (isAwaited || !isLate))) refused += 1;
      else chosen.push({ partition, home, region: furthest(copies, partitionKey(partition)) });
    }
    const promoted = await promote(lost, chosen);
    if (promoted > 0)
      report('partitions of a lost region have a new home', { lost, partitions: promoted, refused });
    else if (refused > 0 && isLate && !told.has(lost)) {
      told.add(lost);
      report('partitions of a lost region stay unavailable: not every other copy can be read', {
        lost,
        partitions: refused,
      });
    }
    if (refused === 0) told.delete(lost);
  }

  /** Partitions that wait for their region, since no other may be home to them. */
  function tellBound(lost: RegionName, bound: readonly Partition[]): void {
    if (bound.length === 0 || toldBound.has(lost)) return;
    toldBound.add(lost);
    const policies = new Set(
      bound.map((partition) => residency.sentence(partition.service, partitionKey(partition))),
    );
    report('partitions of a lost region wait for it: no other may be home to them', {
      lost,
      partitions: bound.length,
      policies: [...policies],
    });
  }

  /** By partition, the copies that were fenced and read. */
  async function fenceAll(
    lost: RegionName,
    before: ReadonlyMap<Partition, StandingHome>,
  ): Promise<ReadonlyMap<string, Standing[]>> {
    const requestTo = (region: RegionName): FenceRequest =>
      [...before]
        .filter(([partition]) => successorsOf(partition, lost).includes(region))
        .map(([partition, { term }]) => {
          const epoch = firstEpochOf(term + 1);
          return [partition.service, partitionKey(partition), epoch] as const;
        });
    const keys = new Map(
      [...before.keys()].map((partition) => [`${partition.service}/${partitionKey(partition)}`, partition]),
    );
    const found = new Map<string, Standing[]>();
    const fenced = await Promise.allSettled(
      regions
        .filter((region) => region !== lost)
        .map(async (region) => ({ region, answer: await ground.fence(region, requestTo(region)) })),
    );
    for (const one of fenced) {
      if (one.status === 'rejected') continue;
      const { region, answer } = one.value;
      for (const [service, partition, lastEpoch, position] of answer) {
        const of = keys.get(`${service}/${partition}`);
        if (of === undefined) continue;
        const name = keyOfHome(of);
        found.set(name, [...(found.get(name) ?? []), { region, lastEpoch, position }]);
      }
    }
    return found;
  }

  async function promote(lost: RegionName, chosen: readonly Chosen[]): Promise<number> {
    let promoted = 0;
    for (let from = 0; from < chosen.length; from += HOMES_A_CHANGE) {
      const some = chosen.slice(from, from + HOMES_A_CHANGE);
      const conditions: Condition[] = [{ key: keyOfLease(lost), revision: 0 }];
      const changes: Change[] = [];
      for (const { partition, home: before, region } of some) {
        const key = keyOfHome(partition);
        const term = before.term + 1;
        conditions.push({ key, revision: before.revision });
        // Where answers waited for a second region, the furthest of all copies has all that was told.
        const unclean = ground.isAwaited(partition.service, partitionKey(partition))
          ? without(before, (one) => one === region)
          : afterLoss(before, lost, term, region);
        const home: Home = { region, term, ...unclean };
        changes.push({ key, value: JSON.stringify(home) });
      }
      const { done } = await coordinator.change(conditions, changes);
      if (!done) return promoted; // it is back, or another steward was faster: the next look knows
      promoted += some.length;
    }
    return promoted;
  }

  async function run(): Promise<void> {
    while (!isClosed) {
      try {
        await once();
      } catch (error) {
        if (!isCardumeError(error)) throw error; // the coordinator cannot be asked: the next look tries again
      }
      await clock.sleep(LOOK_EVERY_MS);
    }
  }

  const running = run();
  return {
    async close() {
      isClosed = true;
      await running;
    },
  };
}

/** Of equal ones by the partition's number, so that the load of a lost region spreads. */
function furthest(copies: readonly Standing[], partition: number): RegionName {
  const best = copies.reduce((a, b) =>
    b.lastEpoch > a.lastEpoch || (b.lastEpoch === a.lastEpoch && b.position > a.position) ? b : a,
  );
  const equal = copies.filter(
    ({ lastEpoch, position }) => lastEpoch === best.lastEpoch && position === best.position,
  );
  return (equal[partition % equal.length] as Standing).region;
}
