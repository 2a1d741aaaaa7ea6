/**
 * The shards that this instance hosts, and the way to the one that is home to a partition now. While a partition moves
 * its callers wait at a gate, for a bounded time; whoever was on the way to its old home is sent on to the new one.
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import type { StreamEvent } from '../cqrs/bus.ts';
import { tablesOf } from '../cqrs/projection.ts';
import type { Service } from '../cqrs/service.ts';
import type { Shard } from '../cqrs/shard.ts';
import type { Clock } from '../host/host.ts';
import type { Within } from '../sharding/deadline.ts';
import type { Plan } from '../sharding/plan.ts';
import type { Freshness } from '../sharding/query.ts';
import type { Table, Value } from '../sharding/table.ts';
import { partitionKey } from '../topology/partition.ts';

export interface Hosted {
  add(service: string, name: string, shard: Shard): void;
  remove(service: string, name: string): void;
  named(service: string, name: string): Shard | undefined;
  /** By name. */
  shardsOf(service: string): ReadonlyMap<string, Shard>;
  /** The partition's home is the shard from now on. */
  route(service: string, partition: number, name: string): void;
  /** The partition is held by the shard from now on, as a home or as a copy, whichever it was. */
  move(service: string, partition: number, name: string): void;
  /** The shard has a copy of a partition whose home is another region. */
  placeCopy(service: string, partition: number, name: string): void;
  /** Whether the partition's home is this region; where it is held stays. */
  setHome(service: string, partition: number, isHere: boolean): void;
  /** Nobody knows which shard holds the partition: it is found out at the next start. */
  lose(service: string, partition: number): void;
  /** The shard that holds the partition, as a home or as another region's copy. */
  holder(service: string, partition: number): Shard | undefined;
  /** The shard has rows of partitions whose home it is not: scans leave them out. */
  setCopy(name: string, partition: number, isThere: boolean): void;
  /** Callers of the partition wait. @returns lets them go on */
  hold(service: string, partition: number): () => void;
  /** Callers of the partition wait now. */
  isHeld(service: string, partition: number): boolean;
  isHere(service: string, partition: number): boolean;
  /**
   * Work at the partition's home.
   * @throws CardumeError `partition-unavailable` when it is not hosted here, or moves for longer than callers wait
   */
  call<T>(service: string, partition: number, work: (shard: Shard) => Promise<T>): Promise<T>;
  /** Events of a stream, from home to home. */
  follow(
    service: string,
    aggregate: string,
    id: string,
    partition: number,
    afterVersion: number,
    signal: AbortSignal,
  ): AsyncIterable<StreamEvent>;
  /**
   * Each shard's part of the answer: together every partition that is at home here, once.
   * @param expects those that the asker wants of this region, and no others: all must be at home here
   * @throws CardumeError `partition-unavailable` when one has another home
   */
  scan(
    service: string,
    plan: Plan,
    within: Within,
    freshness?: Freshness | null,
    expects?: readonly number[] | null,
  ): Promise<Value[][][]>;
  /** Each shard's part of the answer from whatever is held here, other regions' copies too. */
  scanHeld(service: string, plan: Plan, partitions: readonly number[], within: Within): Promise<Value[][][]>;
  /** Names of the shards that `scan` would ask. */
  asked(service: string, partitions: readonly number[] | null): string[];
  hosts(service: string, place: Place): boolean;
  all(): readonly Shard[];
}

/** How long callers of a moving partition wait. */
const HELD_MS_MAX = 10_000;

const AGAIN_MS = 5;
/** No move's number. */
const UNDER_WAY = -1;

interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
  /** Who holds it: it opens when the last one lets go. */
  holders: number;
}

export function hostedShards(clock: Clock): Hosted {
  /** Service → partition → name. */
  const homes: Names = new Map();
  /** The same, also of other regions' partitions. */
  const places: Names = new Map();
  const shards = new Map<string, Shard>();
  const copies = new Map<string, Set<number>>();
  /** Shard → copies that came to it. */
  const arrivals = new Map<string, number>();
  const gates = new Map<string, Gate>();
  /** Moves that were begun. */
  let turns = 0;

  function find(service: string, partition: number): Shard | undefined {
    const name = homes.get(service)?.get(partition);
    return name === undefined ? undefined : shards.get(`${service}/${name}`);
  }

  function unavailable(service: string, partition: number): CardumeError {
    return new CardumeError(
      'partition-unavailable',
      `partition ${partition} of '${service}' is not hosted here`,
    );
  }

  /** Whether the failure may be that of a home that has moved away, or has tried to: then it is asked again. */
  function isMoved(error: unknown, turnBefore: number): boolean {
    if (isCardumeError(error, 'fenced')) return gates.size > 0; // its epoch grows while it moves
    return isCardumeError(error, 'partition-unavailable') && (gates.size > 0 || turns !== turnBefore);
  }

  async function pass(service: string, partition: number, untilMs: number): Promise<void> {
    const gate = gates.get(`${service}/${partition}`);
    if (gate === undefined) return;
    const left = untilMs - clock.monotonicMs();
    const late = Promise.withResolvers<void>();
    const timer = clock.after(Math.max(0, left), () =>
      late.reject(
        new CardumeError('partition-unavailable', `partition ${partition} of '${service}' is moving`, {
          retryAfterS: 1,
        }),
      ),
    );
    try {
      await Promise.race([gate.opened, late.promise]);
    } finally {
      timer.cancel();
    }
  }

  async function callThroughGate<T>(
    service: string,
    partition: number,
    work: (shard: Shard) => Promise<T>,
  ): Promise<T> {
    const untilMs = clock.monotonicMs() + HELD_MS_MAX;
    for (;;) {
      await pass(service, partition, untilMs);
      const shard = find(service, partition);
      if (shard === undefined) throw unavailable(service, partition);
      const turn = turns;
      try {
        return await work(shard);
      } catch (error) {
        if (!isMoved(error, turn) || clock.monotonicMs() >= untilMs) throw error;
        if (!gates.has(`${service}/${partition}`)) await clock.sleep(AGAIN_MS);
      }
    }
  }

  function homesAt(service: string, name: string, among: readonly number[] | null): number[] {
    const own = [...(homes.get(service) ?? [])].filter(([, home]) => home === name).map(([key]) => key);
    return among === null ? own : own.filter((partition) => among.includes(partition));
  }

  /** How many partitions have rows in the shard, of a reshard as well. */
  function standing(service: string, name: string): number {
    const held = [...(places.get(service) ?? [])].filter(([, place]) => place === name);
    return new Set([...held.map(([partition]) => partition), ...(copies.get(name) ?? [])]).size;
  }

  /** Name of a shard → the partitions that it is asked for. */
  function askedFor(service: string, partitions: readonly number[] | null): Map<string, number[]> {
    const asked = new Map<string, number[]>();
    for (const name of new Set(homes.get(service)?.values())) {
      const own = homesAt(service, name, partitions);
      if (own.length > 0) asked.set(name, own);
    }
    return asked;
  }

  /** @param isFiltered rows of the shards' own partitions alone, whatever else they hold */
  async function scanOnce(
    service: string,
    plan: Plan,
    within: Within,
    freshness: Freshness | null | undefined,
    expects: readonly number[] | null,
    isFiltered: boolean,
  ): Promise<Value[][][] | null> {
    const asked = askedFor(service, expects ?? plan.partitions);
    const parts = await Promise.all(
      [...asked].map(async ([name, own]) => {
        const shard = shards.get(`${service}/${name}`);
        if (shard === undefined)
          throw new CardumeError('partition-unavailable', `'${name}' is not hosted here`);
        // What has come home since the asker looked at its map is in another region's answer.
        const isPart = expects !== null && own.length < homesAt(service, name, null).length;
        if (isPart || isFiltered || (copies.get(name)?.size ?? 0) > 0)
          return shard.scan({ ...plan, partitions: own }, own, within, freshness);
        const before = arrivals.get(name);
        const rows = await shard.scan(plan, own, within, freshness);
        return before === arrivals.get(name) ? rows : null; // a copy that came meanwhile may have been read as well
      }),
    );
    return parts.includes(null) ? null : (parts as Value[][][]);
  }

  function setCopy(name: string, partition: number, isThere: boolean): void {
    const own = copies.get(name) ?? new Set();
    copies.set(name, own);
    if (isThere && !own.has(partition)) arrivals.set(name, (arrivals.get(name) ?? 0) + 1);
    if (isThere) own.add(partition);
    else own.delete(partition);
  }

  return {
    add(service, name, shard) {
      shards.set(`${service}/${name}`, shard);
    },
    remove: (service, name) => void shards.delete(`${service}/${name}`),
    named: (service, name) => shards.get(`${service}/${name}`),
    shardsOf(service) {
      const own = [...shards].filter(([key]) => key.startsWith(`${service}/`));
      return new Map(own.map(([key, shard]) => [key.slice(service.length + 1), shard]));
    },
    route(service, partition, name) {
      setIn(homes, service, partition, name);
      setIn(places, service, partition, name);
    },
    move(service, partition, name) {
      const isHome = homes.get(service)?.has(partition) ?? false;
      if (isHome) setIn(homes, service, partition, name);
      setIn(places, service, partition, name);
      setCopy(name, partition, !isHome);
    },
    placeCopy(service, partition, name) {
      setIn(places, service, partition, name);
      setCopy(name, partition, true);
    },
    setHome(service, partition, isHere) {
      const name = places.get(service)?.get(partition);
      if (name === undefined || isHere === (homes.get(service)?.has(partition) ?? false)) return;
      turns += 1;
      if (isHere) setIn(homes, service, partition, name);
      else homes.get(service)?.delete(partition);
      setCopy(name, partition, !isHere);
    },
    lose(service, partition) {
      homes.get(service)?.delete(partition);
      places.get(service)?.delete(partition);
    },
    holder(service, partition) {
      const name = places.get(service)?.get(partition);
      return name === undefined ? undefined : shards.get(`${service}/${name}`);
    },
    setCopy,
    hold(service, partition) {
      const key = `${service}/${partition}`;
      const { promise, resolve } = Promise.withResolvers<void>();
      turns += 1;
      const gate = gates.get(key) ?? { opened: promise, open: resolve, holders: 0 };
      gates.set(key, gate);
      gate.holders += 1;
      return () => {
        gate.holders -= 1;
        if (gate.holders > 0) return;
        gates.delete(key);
        gate.open();
      };
    },
    isHeld: (service, partition) => gates.has(`${service}/${partition}`),
    isHere: (service, partition) => find(service, partition) !== undefined,
    call(service, partition, work) {
      if (gates.size > 0) return callThroughGate(service, partition, work);
      const shard = find(service, partition);
      if (shard === undefined) return Promise.reject(unavailable(service, partition));
      const turn = turns;
      return work(shard).catch((error: unknown) => {
        if (!isMoved(error, turn)) throw error;
        return callThroughGate(service, partition, work);
      });
    },
    async *follow(service, aggregate, id, partition, afterVersion, signal) {
      let after = afterVersion;
      while (!signal.aborted) {
        await pass(service, partition, clock.monotonicMs() + HELD_MS_MAX);
        const shard = find(service, partition);
        if (shard === undefined) throw unavailable(service, partition);
        const turn = turns;
        try {
          for await (const event of shard.follow(aggregate, id, partition, after, signal)) {
            after = event.version;
            yield event;
          }
          return;
        } catch (error) {
          if (!isMoved(error, turn)) throw error;
          if (!gates.has(`${service}/${partition}`)) await clock.sleep(AGAIN_MS);
        }
      }
    },
    async scan(service, plan, within, freshness, expects = null) {
      const untilMs = clock.monotonicMs() + HELD_MS_MAX;
      for (;;) {
        // What moves already may have moved when the answer comes, and its gate be gone.
        const turn = gates.size > 0 ? UNDER_WAY : turns;
        try {
          const elsewhere = expects?.find((partition) => find(service, partition) === undefined);
          if (elsewhere !== undefined) throw unavailable(service, elsewhere);
          const parts =
            (await scanOnce(service, plan, within, freshness, expects, false)) ??
            (await scanOnce(service, plan, within, freshness, expects, true));
          if (parts !== null) return parts;
        } catch (error) {
          // A partition has begun to move: the whole answer is made again when it stands.
          if (!isMoved(error, turn) || clock.monotonicMs() >= untilMs) throw error;
          for (const partition of homes.get(service)?.keys() ?? []) await pass(service, partition, untilMs);
          await clock.sleep(AGAIN_MS);
          within.signal.throwIfAborted();
        }
      }
    },
    async scanHeld(service, plan, partitions, within) {
      const wanted = new Set(partitions);
      const byShard = Map.groupBy(
        [...(places.get(service) ?? [])].filter(([partition]) => wanted.has(partition)),
        ([, name]) => name,
      );
      return Promise.all(
        [...byShard].map(([name, held]) => {
          const shard = shards.get(`${service}/${name}`);
          if (shard === undefined)
            throw new CardumeError('partition-unavailable', `'${name}' is not hosted here`);
          const own = held.map(([partition]) => partition);
          const isAll = own.length === standing(service, name);
          return shard.scanHeld({ ...plan, partitions: isAll ? null : own }, own, within);
        }),
      );
    },
    asked: (service, partitions) => [...askedFor(service, partitions).keys()],
    hosts: (service, place) => find(service, partitionKey(place)) !== undefined,
    all: () => [...shards.values()],
  };
}

/** Service → partition → name of a shard. */
type Names = Map<string, Map<number, string>>;

function setIn(names: Names, service: string, partition: number, name: string): void {
  names.set(service, (names.get(service) ?? new Map<number, string>()).set(partition, name));
}

/** Tables of all services by `<service>/<table>`. */
export function tableIndex(services: readonly Service[]): ReadonlyMap<string, Table> {
  const tables = new Map<string, Table>();
  for (const service of services) {
    for (const table of tablesOf(service.projections)) tables.set(`${service.name}/${table.name}`, table);
  }
  return tables;
}
