/**
 * Which shard is home to which partition, within one region; and the reshard that is changing it. A region's map is its
 * own affair: other regions ask the region, never a shard of it.
 */
import { CardumeError } from '../base/errors.ts';
import { type Placement, partitionKey } from '../topology/partition.ts';
import type { EngineName, RegionName, ServiceName } from '../topology/topology.ts';

/** JSON. */
export interface ShardMap {
  /** Grows with every change; 0: as the topology said at the region's first start. */
  readonly version: number;
  readonly shards: readonly ShardOfMap[];
  /** Service → partition key → name of its home. */
  readonly homes: Readonly<Record<ServiceName, Readonly<Record<string, string>>>>;
  /**
   * The same for partitions of other regions that are held here, as copies, or as homes since their region was lost.
   * They stay where they are.
   */
  readonly guests?: Readonly<Record<ServiceName, Readonly<Record<string, string>>>>;
  /** Of guests that may not be held whole here: what is held of them, by service and partition key. */
  readonly held?: Readonly<Record<ServiceName, Readonly<Record<string, HeldGuest>>>>;
  readonly reshard: Reshard | null;
}

/** `dropping`: a part of what was held may be missing; it is deleted to the end before anything else stands in its place. */
export type HeldGuest = 'sealed' | 'nothing' | 'dropping';

export interface ShardOfMap {
  readonly service: ServiceName;
  /** Unique within the region: `orders-4`. */
  readonly name: string;
  readonly engine: EngineName;
}

export interface Reshard {
  readonly service: ServiceName;
  readonly begunMs: number;
  /**
   * `moving`: partitions go one after another. `following`: all have gone, and what they left behind follows them, so
   * that they can go back. `returning`: they go back. `dropping`: what is left behind is deleted.
   */
  readonly phase: 'moving' | 'following' | 'returning' | 'dropping';
  readonly moves: readonly PartitionMove[];
}

export interface PartitionMove {
  readonly partition: number;
  readonly from: string;
  readonly to: string;
  /** `waiting`: nothing of it stands in `to`. `copying`: a copy grows there. `moved`: its home is there. */
  readonly state: 'waiting' | 'copying' | 'moved';
}

export interface ReshardWish {
  readonly service: ServiceName;
  /** Number of shards. */
  readonly to?: number | undefined;
  /** Of the shards that come to be; what the service's shards have now when left out. */
  readonly engine?: EngineName | undefined;
  /** In place of `to`: single partitions, by key, to shards that there are. */
  readonly moves?: readonly { readonly partition: number; readonly to: string }[] | undefined;
}

export const SHARDS_MAX = 64;

export function initialMap(
  placement: Placement,
  region: RegionName,
  services: readonly ServiceName[],
  engine: EngineName,
): ShardMap {
  const homes: Record<ServiceName, Record<string, string>> = {};
  const shards: ShardOfMap[] = [];
  for (const service of services) {
    const own: Record<string, string> = {};
    for (const partition of placement.partitionsOf(service, region))
      own[partitionKey(partition)] = placement.shardOf(partition);
    homes[service] = own;
    for (const name of new Set(Object.values(own))) shards.push({ service, name, engine });
  }
  return { version: 0, shards, homes, reshard: null };
}

/** With the partitions of other regions, each in the shard that it has there, or in the service's first. */
export function withGuests(
  map: ShardMap,
  placement: Placement,
  regions: readonly RegionName[],
  services: readonly ServiceName[],
): ShardMap {
  let hasChanged = false;
  const guests = Object.fromEntries(
    services.map((service) => {
      const known = map.guests?.[service] ?? {};
      const names = map.shards.filter((one) => one.service === service).map(({ name }) => name);
      const own: Record<string, string> = { ...known };
      for (const partition of regions.flatMap((region) => placement.partitionsOf(service, region))) {
        const key = partitionKey(partition);
        const [first] = names;
        if (first === undefined || own[key] !== undefined) continue;
        const there = placement.shardOf(partition);
        own[key] = names.includes(there) ? there : first;
        hasChanged = true;
      }
      return [service, own];
    }),
  );
  return hasChanged ? { ...map, version: map.version + 1, guests } : map;
}

export function homesIn(map: ShardMap, service: ServiceName, name: string): number[] {
  return keysIn(map.homes[service], name);
}

export function guestsIn(map: ShardMap, service: ServiceName, name: string): number[] {
  return keysIn(map.guests?.[service], name);
}

function keysIn(places: Readonly<Record<string, string>> = {}, name: string): number[] {
  return Object.entries(places)
    .filter(([, place]) => place === name)
    .map(([partition]) => Number(partition));
}

/** Partitions of which the shard follows a copy. */
export function copiesIn({ reshard }: ShardMap, name: string): number[] {
  if (reshard === null || reshard.phase === 'dropping') return [];
  const isThere = ({ from, to, state }: PartitionMove): boolean =>
    (state === 'copying' && to === name && reshard.phase === 'moving') ||
    (state === 'moved' && from === name);
  return reshard.moves.filter(isThere).map(({ partition }) => partition);
}

/** Partitions of which something stands in the shard that is not its home: copies, and what is left of them. */
export function remainsIn({ reshard }: ShardMap, name: string): number[] {
  const isThere = ({ from, to, state }: PartitionMove): boolean =>
    (state === 'copying' && to === name) || (state === 'moved' && from === name);
  return (reshard?.moves ?? []).filter(isThere).map(({ partition }) => partition);
}

/** Services that the topology has got since. */
export function withServices(map: ShardMap, initial: ShardMap): ShardMap {
  const fresh = Object.keys(initial.homes).filter((service) => map.homes[service] === undefined);
  if (fresh.length === 0) return map;
  const homes = Object.fromEntries(
    fresh.map((service) => [service, initial.homes[service] as Record<string, string>]),
  );
  const shards = initial.shards.filter(({ service }) => fresh.includes(service));
  return {
    ...map,
    version: map.version + 1,
    shards: [...map.shards, ...shards],
    homes: { ...map.homes, ...homes },
  };
}

/** @throws CardumeError `conflict` while another reshard is under way, `invalid-input` for what cannot be */
export function planReshard(
  map: ShardMap,
  wish: ReshardWish,
  nowMs: number,
  /** That shards may have. */
  engines: readonly EngineName[],
): ShardMap {
  const { service } = wish;
  if (map.reshard !== null) {
    const { service: other, phase } = map.reshard;
    throw new CardumeError(
      'conflict',
      `a reshard of '${other}' is ${phase}: finish it, or roll it back, first`,
    );
  }
  if (map.homes[service] === undefined) {
    const names = Object.keys(map.homes).join(', ');
    throw invalid('/service', `there is no service '${service}' here; there are ${names}`);
  }
  if (wish.engine !== undefined && !engines.includes(wish.engine))
    throw invalid('/engine', `expected an engine of the topology: ${engines.join(', ')}`);
  const shards =
    wish.moves === undefined ? targetsOf(map, wish) : map.shards.filter((one) => one.service === service);
  const moves = (
    wish.moves === undefined ? spread(map, service, shards) : chosen(map, service, shards, wish.moves)
  ).map(({ partition, to }): PartitionMove => {
    const from = (map.homes[service] as Record<string, string>)[partition] as string;
    return { partition, from, to, state: 'waiting' };
  });
  if (moves.length === 0) throw new CardumeError('conflict', 'every partition stands there already');
  const known = new Set(map.shards.map(({ name }) => name));
  return {
    ...map,
    version: map.version + 1,
    shards: [...map.shards, ...shards.filter(({ name }) => !known.has(name))],
    reshard: { service, begunMs: nowMs, phase: 'moving', moves },
  };
}

function targetsOf(map: ShardMap, { service, to, engine }: ReshardWish): ShardOfMap[] {
  const own = map.shards.filter((one) => one.service === service);
  const most = Object.keys(map.homes[service] ?? {}).length;
  if (to === undefined || !Number.isInteger(to) || to < 1 || to > Math.min(SHARDS_MAX, most))
    throw invalid('/to', `expected 1 to ${Math.min(SHARDS_MAX, most)} shards`);
  const wanted = engine ?? (own[0] as ShardOfMap).engine;
  const kept = own.filter((one) => one.engine === wanted).slice(0, to);
  // Behind the highest: shards of two engines stand beside each other while partitions move.
  let next = 1 + Math.max(...own.map(({ name }) => Number(name.slice(name.lastIndexOf('-') + 1))));
  while (kept.length < to) {
    kept.push({ service, name: `${service}-${next}`, engine: wanted });
    next += 1;
  }
  return kept;
}

interface Step {
  readonly partition: number;
  readonly to: string;
}

/** As few moves as make the shares equal, of the region's own partitions and of the global ones by themselves. */
function spread(map: ShardMap, service: ServiceName, shards: readonly ShardOfMap[]): Step[] {
  const homes = Object.entries(map.homes[service] as Record<string, string>).map(
    ([key, home]) => [Number(key), home] as const,
  );
  const scopes = Map.groupBy(homes, ([key]) => Math.floor(key / 1024));
  return [...scopes.values()].flatMap((partitions) => spreadOne(partitions, shards));
}

function spreadOne(
  partitions: readonly (readonly [number, string])[],
  shards: readonly ShardOfMap[],
): Step[] {
  const share = Math.floor(partitions.length / shards.length);
  let larger = partitions.length % shards.length;
  const held = new Map(shards.map(({ name }) => [name, 0]));
  const leaving: number[] = [];
  for (const [partition, home] of partitions) {
    const count = held.get(home);
    const isRoom = count !== undefined && (count < share || (count === share && larger > 0));
    if (!isRoom) {
      leaving.push(partition);
      continue;
    }
    if (count === share) larger -= 1;
    held.set(home, count + 1);
  }
  return leaving.map((partition) => {
    const [to, count] = [...held].reduce((least, one) => (one[1] < least[1] ? one : least));
    held.set(to, count + 1);
    return { partition, to };
  });
}

function chosen(
  map: ShardMap,
  service: ServiceName,
  shards: readonly ShardOfMap[],
  moves: readonly Step[],
): Step[] {
  const seen = new Set<number>();
  return moves.filter(({ partition, to }, i) => {
    const home = map.homes[service]?.[partition];
    if (home === undefined || seen.has(partition))
      throw invalid(`/moves/${i}/partition`, 'expected a partition of the service in this region, each once');
    if (!shards.some(({ name }) => name === to))
      throw invalid(`/moves/${i}/to`, `expected one of ${shards.map(({ name }) => name).join(', ')}`);
    seen.add(partition);
    return home !== to;
  });
}

function invalid(path: string, message: string): CardumeError {
  return new CardumeError('invalid-input', `${path}: ${message}`, { faults: [{ path, message }] });
}

export function withMove(map: ShardMap, partition: number, state: PartitionMove['state']): ShardMap {
  const reshard = map.reshard as Reshard;
  const { service } = reshard;
  const move = reshard.moves.find((one) => one.partition === partition) as PartitionMove;
  const own = { ...map.homes[service], [partition]: state === 'moved' ? move.to : move.from };
  const moves = reshard.moves.map((one) => (one === move ? { ...one, state } : one));
  return {
    ...map,
    version: map.version + 1,
    homes: { ...map.homes, [service]: own },
    reshard: { ...reshard, moves },
  };
}

export function withPhase(map: ShardMap, phase: Reshard['phase']): ShardMap {
  return { ...map, version: map.version + 1, reshard: { ...(map.reshard as Reshard), phase } };
}

/** The reshard has ended: shards without a partition leave the map. */
export function withoutReshard(map: ShardMap): ShardMap {
  const { service } = map.reshard as Reshard;
  const places = [map.homes[service], map.guests?.[service]];
  const used = new Set(places.flatMap((held) => Object.values(held ?? {})));
  const shards = map.shards.filter((one) => one.service !== service || used.has(one.name));
  return { ...map, version: map.version + 1, shards, reshard: null };
}
