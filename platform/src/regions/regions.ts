/**
 * One region among others: it holds a lease to write, follows what is at home elsewhere, is followed, and takes over what
 * a lost region was home to.
 *
 *   const regions = openRegions({ … });
 *   await regions.join();              who is home to what is known, and the region may write
 *   …                                  shards are opened by it
 *   regions.begin();                   copies follow, homes are kept
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Across } from '../cqrs/across.ts';
import type { Shard } from '../cqrs/shard.ts';
import type { Coordinator, News, Value } from '../discovery/coordinator.ts';
import type { Head } from '../events/log.ts';
import type { Clock } from '../host/host.ts';
import type { Freshness } from '../sharding/query.ts';
import { type Partition, partitionKey, placeOfKey } from '../topology/partition.ts';
import { type Holding, residencyIn } from '../topology/residency.ts';
import type { RegionName, ServiceName, Topology } from '../topology/topology.ts';
import { type Alone, openAlone } from './alone.ts';
import { type Failover, type FenceAnswer, type FenceRequest, openFailover } from './failover.ts';
import { type Homes, keyOfHome, openHomes } from './homes.ts';
import { type Keeper, openKeeper } from './keeper.ts';
import { areFresh, type NearByGround } from './near-by.ts';
import { openQuarantines, type QuarantineGround } from './quarantine/quarantine.ts';
import type { QuarantineShard } from './quarantine/shelf.ts';
import { keyOfLease, openRegionLease, type RegionLease } from './region-lease.ts';
import { packCheckpoint, unpackCheckpoint } from './replication/checkpoints.ts';
import { type ChecksumsAt, commonPosition } from './replication/divergence.ts';
import { type Follower, openFollower } from './replication/follower.ts';
import type { PartitionOf } from './replication/pages.ts';
import { openSource, type ReplicateRequest, type Source } from './replication/source.ts';
import type { RegionsRequest, RegionsStatus } from './requests.ts';
import { settleReturned } from './returned.ts';
import { type SwitchedOver, switchOver } from './switchover.ts';
import { takenUp } from './taken-up.ts';
import { openWatching } from './watching.ts';
import { openWatermarks, type Watermarks } from './watermarks.ts';

/** What regions need of the shards that are hosted here. */
export interface RegionsShards {
  /** The shard that holds the partition, as a home or a copy; undefined: its service is not hosted here. */
  holder(service: ServiceName, partition: number): Pick<Shard, 'log' | 'moving' | 'resubmit'> | undefined;
  /** All that are open here, by name. */
  shardsOf(service: ServiceName): ReadonlyMap<string, QuarantineShard>;
  hold(service: ServiceName, partition: number): () => void;
  isHeld(service: ServiceName, partition: number): boolean;
  isHere(service: ServiceName, partition: number): boolean;
  /** @throws CardumeError `fenced` when another process has the region by now */
  check(): void;
  /** It takes part in a reshard of this region. */
  isResharded(service: ServiceName, partition: number): boolean;
  setHome(service: ServiceName, partition: number, isHere: boolean): void;
}

export interface RegionsOptions {
  readonly clock: Clock;
  readonly crypto: QuarantineGround['crypto'];
  readonly topology: Topology;
  readonly here: RegionName;
  /** Unique to this process. */
  readonly instance: string;
  readonly services: readonly ServiceName[];
  readonly coordinator: Coordinator;
  readonly shards: RegionsShards;
  readonly ask: (region: RegionName, request: RegionsRequest) => Promise<Json>;
  readonly stream: (
    region: RegionName,
    request: ReplicateRequest,
    signal: AbortSignal,
  ) => AsyncIterable<Json>;
  /** The region may write up to this moment of the monotonic clock. */
  readonly onUntil: (untilMs: number) => void;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export interface Regions {
  readonly homes: Homes;
  /** Resolves when the region may write, and knows what it is home to. */
  join(): Promise<void>;
  /** @throws CardumeError `partition-unavailable` when the region's lease does not hold now */
  check(): void;
  isHome(partition: Partition): boolean;
  /** Runs when the partition does not come or go otherwise. */
  inTurn<T>(partition: Partition, work: () => Promise<T>): Promise<T>;
  across(service: ServiceName): Across;
  /** A shard is open: its commits go to the other regions. */
  add(service: ServiceName, shard: Pick<Shard, 'log' | 'moving'>): void;
  /** All shards are open. */
  begin(): void;
  replicate(from: RegionName, request: ReplicateRequest, signal: AbortSignal): AsyncIterable<Json>;
  /** @throws CardumeError */
  handle(from: RegionName, request: RegionsRequest): Promise<Json>;
  status(): RegionsStatus;
  /** Whether all of the partitions are as fresh here as is asked for. */
  areFresh(service: ServiceName, partitions: readonly number[], freshness: Freshness): boolean;
  /** Grows when copies are followed anew, or a home moves. */
  readonly turns: number;
  close(): Promise<void>;
}

export const LEASE_TTL_MS = 3_000;
const REPLICATED_MS_MAX = 5_000;
const CHECK_EVERY_MS = 1_000;
/** Regions that start together need not start at once. */
const NEVER_MET_MS = 20_000;

export function openRegions(options: RegionsOptions): Regions {
  const { clock, topology, here, coordinator, shards, services, report } = options;
  const homes = openHomes(topology);
  const residency = residencyIn(topology);
  const watermarks: Watermarks = openWatermarks(clock, REPLICATED_MS_MAX, (service, partition) =>
    residency.seconds(service, partition, here),
  );
  const alone: Alone = openAlone(clock, watermarks);
  const others = Object.keys(topology.regions).filter((region) => region !== here);
  const followers = new Map<RegionName, Follower>();
  const ended = new AbortController();
  const begunMs = clock.monotonicMs();
  let failover: Failover | null = null;
  let lease: RegionLease | null = null;
  let sessions = 0;
  let turns = 0;
  let isBegun = false;

  const homeShard = (service: ServiceName, partition: number) => {
    const shard = shards.holder(service, partition);
    return shard?.log.head(partition) === undefined ? undefined : shard;
  };
  const partitionOf = (service: ServiceName, key: number): Partition => ({ service, ...placeOfKey(key) });
  /** The global space is durable in two regions before anything of it is told. */
  const isAwaited = (service: ServiceName, partition: number): boolean =>
    placeOfKey(partition).scope === 0 || topology.services[service]?.durability === 'cross-region';

  /** Where answers wait for a second region nothing is promised that one region alone must keep. */
  function checkBound(service: ServiceName, partition: number): void {
    const msMax = topology.services[service]?.rpoMsMax;
    if (msMax === undefined || isAwaited(service, partition)) return;
    const ms = alone.ageMs(service, partition);
    if (ms <= msMax) return;
    throw new CardumeError(
      'replicas-behind',
      `no other region has had all of partition ${partition} of '${service}' for ${Math.round(ms)} ms, and ${msMax} ms are allowed`,
    );
  }

  const holdingHere = (service: ServiceName, partition: number): Holding =>
    residency.holding(service, partition, here);

  function checkMayBeHome(service: ServiceName, partition: number): void {
    if (holdingHere(service, partition) === 'whole') return;
    throw new CardumeError('partition-unavailable', residency.sentence(service, partition));
  }

  async function takeUp(service: ServiceName, partition: number, aboveEpoch = 0): Promise<Head> {
    const shard = shards.holder(service, partition);
    if (shard === undefined)
      throw new CardumeError(
        'partition-unavailable',
        `partition ${partition} of '${service}' is not held here`,
      );
    return takenUp(shard, partition, aboveEpoch, shards.check, async () => {
      await lease?.confirm();
      shards.check();
    });
  }

  const source: Source = openSource({
    here,
    homeOf: homeShard,
    watermarks,
    residency,
    check() {
      lease?.check();
      shards.check();
    },
    lost: (service, partition) => shards.setHome(service, partition, false),
    report,
  });
  const quarantines = openQuarantines({
    crypto: options.crypto,
    here,
    services,
    shardsOf: shards.shardsOf,
    holder: shards.holder,
    homeShard,
    homeOf: (service, partition) => homes.homeOf(partitionOf(service, partition)),
    residency,
    ask: (region, quarantine) => options.ask(region, { ask: 'quarantine', quarantine }),
  });
  const keeper: Keeper = openKeeper({
    clock,
    here,
    homes,
    services,
    shardOf: shards.holder,
    isHeld: shards.isHeld,
    hold: shards.hold,
    takeUp,
    check: shards.check,
    checkMayBeHome,
    setHome(service, partition, isHere) {
      if (shards.isHere(service, partition) === isHere) return; // what other regions have is known still
      watermarks.forget(service, partition);
      alone.left(service, partition);
      if (isHere)
        alone.came(service, partition, shards.holder(service, partition)?.log.head(partition)?.position ?? 0);
      shards.setHome(service, partition, isHere);
      source.remind(service, partition);
    },
    changed(partition) {
      followers.get(homes.homeOf(partition))?.restart();
    },
    report,
  });
  const watching = openWatching({
    clock,
    coordinator,
    others,
    learn,
    silentMs: (region) => followers.get(region)?.silentMs() ?? null,
    signal: ended.signal,
  });

  function learn(values: readonly (Value | News)[]): void {
    const changed = homes.learn(values);
    if (changed.length === 0 || !isBegun) return;
    turns += 1;
    keeper.moved(changed);
    for (const follower of followers.values()) follower.restart();
  }

  function wantedFrom(home: RegionName): PartitionOf[] {
    return services.flatMap((service) =>
      homes
        .partitionsOf(service, home)
        .map((partition): PartitionOf => [service, partitionKey(partition)])
        .filter(([, partition]) => holdingHere(service, partition) !== 'nothing'),
    );
  }

  async function cutBack(home: RegionName, service: ServiceName, partition: number): Promise<void> {
    const shard = shards.holder(service, partition);
    if (shard === undefined || homes.homeOf(partitionOf(service, partition)) !== home) return;
    const seen = await shard.moving.follow(partition);
    const ours: ChecksumsAt = (positions) => checksumsIn(shard, partition, positions);
    const theirs: ChecksumsAt = async (positions) =>
      (await options.ask(home, { ask: 'checksums', service, partition, positions })) as (string | null)[];
    const common = await commonPosition(ours, theirs, seen.position);
    await shard.moving.cut(seen, common);
    report('entries that were never replicated are quarantined', {
      service,
      partition,
      entries: seen.position - common,
      home,
    });
    quarantines.count(service);
  }

  async function outbid(service: ServiceName, partition: number): Promise<void> {
    const of = partitionOf(service, partition);
    const { revision, ...home } = homes.find(of);
    if (home.region !== here)
      throw new CardumeError('conflict', `partition ${partition} is not at home here`);
    lease?.check();
    const key = keyOfHome(of);
    await coordinator.change(
      [{ key, revision }],
      [{ key, value: JSON.stringify({ ...home, term: home.term + 1 }) }],
    );
    learn((await coordinator.read(key)).values);
  }

  async function fence(request: FenceRequest): Promise<FenceAnswer> {
    const fenced = await Promise.all(
      request.map(async ([service, partition, epoch]) => {
        if (shards.holder(service, partition) === undefined) return null;
        if (holdingHere(service, partition) === 'nothing') return null;
        try {
          const { lastEpoch, position } = await takeUp(service, partition, epoch);
          return [service, partition, lastEpoch, position] as const;
        } catch (error) {
          // It is a home here: whoever asks knows less than the coordinator does.
          if (isCardumeError(error, 'conflict')) return null;
          throw error;
        }
      }),
    );
    return fenced.filter((one) => one !== null);
  }

  function checkSoon(): void {
    clock.after(CHECK_EVERY_MS, () => {
      if (ended.signal.aborted) return;
      if (lease?.isHeld() === true) keeper.check();
      checkSoon();
    });
  }

  async function watchReturned(): Promise<void> {
    while (!ended.signal.aborted) {
      const follows = (region: RegionName, service: ServiceName, partition: number): boolean =>
        watermarks.by(service, partition, region) !== null;
      if (lease?.isHeld() === true) await settleReturned({ here, homes, coordinator, services, follows });
      await clock.sleep(CHECK_EVERY_MS);
    }
  }

  /** Follows nothing, takes nothing up and lets nothing go any more. */
  async function retire(): Promise<void> {
    ended.abort();
    await Promise.all([...followers.values()].map((follower) => follower.close()));
    await failover?.close();
    await keeper.close();
  }

  async function switchOverTo(to: RegionName, bornIn: RegionName | null): Promise<SwitchedOver> {
    if (!others.includes(to))
      throw new CardumeError(
        'invalid-input',
        `there is no other region '${to}'; there are ${others.join(', ')}`,
      );
    const own = services
      .flatMap((service) => homes.partitionsOf(service, here))
      .filter((partition) => bornIn === null || homes.bornIn(partition) === bornIn);
    const mayMove = ({ service, ...place }: Partition): boolean =>
      residency.holding(service, partitionKey(place), to) === 'whole';
    const moving = own.filter(mayMove);
    const kept = own.filter((partition) => !mayMove(partition));
    const why = new Set(
      kept.map(({ service, ...place }) => residency.sentence(service, partitionKey(place))),
    );
    if (moving.length === 0 && kept.length > 0) throw new CardumeError('conflict', [...why].join('; '));
    const busy = moving.find(({ service, ...place }) => shards.isResharded(service, partitionKey(place)));
    if (busy !== undefined)
      throw new CardumeError(
        'conflict',
        `'${busy.service}' is being resharded in ${here}: finish it, or roll it back, first`,
      );
    const done = await switchOver(
      {
        clock,
        isOver: () => ended.signal.aborted,
        here,
        coordinator,
        homes,
        watermarks,
        lease() {
          if (lease === null) throw new CardumeError('partition-unavailable', `${here} has not joined yet`);
          return lease.condition();
        },
        shardOf: homeShard,
        hold: shards.hold,
        learn,
        inTurn: keeper.inTurn,
        async handOver(region, service, checkpoints) {
          const packed = checkpoints.map(packCheckpoint);
          await options.ask(region, { ask: 'checkpoints', service, checkpoints: packed });
        },
      },
      to,
      moving,
    );
    return { ...done, left: moving.length - done.partitions, kept: kept.length, keptWhy: [...why] };
  }

  async function takeCheckpoints(service: ServiceName, packed: readonly Json[]): Promise<void> {
    for (const checkpoint of packed.map(unpackCheckpoint)) {
      const { partition } = checkpoint;
      checkMayBeHome(service, partition);
      await shards.holder(service, partition)?.moving.putCheckpoints(partition, [checkpoint]);
    }
  }

  async function savedCheckpoints(to: RegionName, service: ServiceName, partition: number): Promise<Json> {
    if (residency.holding(service, partition, to) !== 'whole') return [];
    const saved = (await homeShard(service, partition)?.moving.savedCheckpoints(partition)) ?? [];
    return saved.map(packCheckpoint);
  }

  function status(): RegionsStatus {
    const own = services.flatMap((service) => homes.partitionsOf(service, here));
    return {
      region: here,
      isHeld: lease?.isHeld() ?? false,
      partitions: own.length,
      alone: own.reduce((sum, { service, ...place }) => {
        const key = partitionKey(place);
        const position = shards.holder(service, key)?.log.head(key)?.position ?? 0;
        return sum + Math.max(0, position - watermarks.of(service, key));
      }, 0),
      aloneMs: Math.round(alone.oldestMs()),
      adopted: own.filter((partition) => homes.bornIn(partition) !== here).length,
      undecided: quarantines.undecided(),
      follows: [...followers.values()].map((follower) => follower.status()),
    };
  }

  const nearBy: NearByGround = {
    clock,
    here,
    homes,
    residency,
    isOpen: (service, partition) =>
      shards.isHere(service, partition) && homeShard(service, partition) !== undefined,
    heldAt: (ms) => lease?.heldAt(ms) === true,
    copyOf: (home, service, partition) => followers.get(home)?.copyOf(service, partition),
  };

  return {
    homes,
    join() {
      return new Promise((resolve) => {
        lease = openRegionLease({
          clock,
          coordinator,
          region: here,
          instance: options.instance,
          ttlMs: LEASE_TTL_MS,
          async taken() {
            await watching.refresh();
            await keeper.gone();
          },
          onUntil(untilMs) {
            options.onUntil(untilMs);
            resolve();
          },
          check: shards.check,
          superseded: () => void retire(),
          report,
        });
      });
    },
    check: () => lease?.check(),
    isHome: (partition) => homes.homeOf(partition) === here,
    inTurn: keeper.inTurn,
    across: (service) => ({
      watermark: (partition) => watermarks.of(service, partition),
      reached: (partition, position) => watermarks.reached(service, partition, position),
      onRise: (listener) =>
        watermarks.onRise((risen, partition, watermark) => {
          if (risen === service) listener(partition, watermark);
        }),
      isAwaited: (partition) => isAwaited(service, partition),
      unclean: (partition) => homes.find(partitionOf(service, partition)).unclean?.term ?? 0,
      checkBound: (partition) => checkBound(service, partition),
    }),
    add(service, shard) {
      source.add(service, shard);
      alone.add(service, shard.log);
    },
    begin() {
      isBegun = true;
      for (const home of others) {
        const follower = openFollower({
          clock,
          home,
          link: {
            replicate: (request, signal) => options.stream(home, request, signal),
            ack: (ack) => options.ask(home, { ask: 'ack', ack }),
          },
          newSession() {
            sessions += 1;
            return `${options.instance}/${sessions}`;
          },
          wanted: () => wantedFrom(home),
          shardOf: shards.holder,
          mayOpen: (service, partition) => holdingHere(service, partition) === 'whole',
          takeUp,
          diverged: (service, partition) => cutBack(home, service, partition),
          async fenced(service, partition) {
            await options.ask(home, { ask: 'outbid', service, partition });
          },
          async checkpointsOf(service, partition) {
            const saved = await options.ask(home, { ask: 'saved-checkpoints', service, partition });
            return ((saved ?? []) as readonly Json[]).map(unpackCheckpoint);
          },
          report,
        });
        followers.set(home, follower);
      }
      // What has changed while shards were opened.
      keeper.moved(services.flatMap((service) => homes.partitionsOf(service, here)));
      watching.begin();
      checkSoon();
      void watchReturned();
      quarantines.count();
      failover = openFailover({
        clock,
        here,
        regions: Object.keys(topology.regions),
        coordinator,
        homes,
        residency,
        leaseId: () => lease?.id() ?? null,
        hasMet: (region) =>
          followers.get(region)?.silentMs() != null || clock.monotonicMs() - begunMs > NEVER_MET_MS,
        seesLost: async (observer, region) =>
          (await options.ask(observer, { ask: 'sees-lost', region })) as boolean,
        fence: async (region, partitions) =>
          region === here
            ? fence(partitions)
            : ((await options.ask(region, { ask: 'fence', partitions })) as unknown as FenceAnswer),
        isAwaited,
        report,
      });
    },
    replicate: (from, request, signal) =>
      source.replicate(from, request, signal) as AsyncIterable<unknown> as AsyncIterable<Json>,
    async handle(from, request) {
      switch (request.ask) {
        case 'ack':
          return source.acked(from, request.ack) as unknown as Json;
        case 'checksums':
          return source.checksums(from, request.service, request.partition, request.positions);
        case 'fence':
          return (await fence(request.partitions)) as unknown as Json;
        case 'sees-lost':
          return watching.seesLost(request.region);
        case 'outbid':
          await outbid(request.service, request.partition);
          return null;
        case 'checkpoints':
          await takeCheckpoints(request.service, request.checkpoints);
          return null;
        case 'saved-checkpoints':
          return savedCheckpoints(from, request.service, request.partition);
        case 'switch-over':
          return (await switchOverTo(request.to, request.bornIn)) as unknown as Json;
        case 'quarantine':
          return quarantines.handle(request.quarantine);
        case 'status':
          return status() as unknown as Json;
      }
    },
    status,
    areFresh: (service, partitions, freshness) => areFresh(nearBy, service, partitions, freshness),
    get turns() {
      return turns + [...followers.values()].reduce((sum, follower) => sum + follower.sessions(), 0);
    },
    async close() {
      await retire();
      await lease?.close(false);
      await coordinator.close();
    },
  };
}

async function checksumsIn(
  { log }: Pick<Shard, 'log'>,
  partition: number,
  positions: readonly number[],
): Promise<(string | null)[]> {
  const found: (string | null)[] = [];
  for (const position of positions) {
    const [entry] = await log.readPartition(partition, position - 1, 1);
    found.push(entry?.position === position ? entry.checksum.toBase64() : null);
  }
  return found;
}

export { keyOfLease };
