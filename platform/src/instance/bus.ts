/**
 * The bus of one instance: what is hosted here is a function call, everything else is one message to the region that
 * is home to it.
 */

import { CardumeError, isCardumeError } from '../base/errors.ts';
import { type Place, parseId } from '../base/id.ts';
import type { AggregateOf, Answer, Bus, StreamEvent } from '../cqrs/bus.ts';
import type { Shard } from '../cqrs/shard.ts';
import { decodeToken } from '../events/token.ts';
import type { Clock } from '../host/host.ts';
import type { Peers } from '../links/peer.ts';
import { type Within, withDeadline } from '../sharding/deadline.ts';
import { explain } from '../sharding/explain.ts';
import { isKnownBefore, type Plan } from '../sharding/plan.ts';
import type { Freshness, Query } from '../sharding/query.ts';
import { type Answered, answered, type Cluster, gather } from '../sharding/scatter.ts';
import type { Row, Table } from '../sharding/table.ts';
import { type Target, targetsOf } from '../sharding/target.ts';
import { decodeRows } from '../sharding/wire.ts';
import { type Placement, partitionKey, placeOfKey } from '../topology/partition.ts';
import type { RegionName } from '../topology/topology.ts';
import { type AtHome, MOVED_MS_MAX } from './at-home.ts';
import type { Hosted } from './hosted.ts';
import { asJson, type LoadAnswer, type Message, type ScanAnswer, unpackState } from './message.ts';

/** What is known of other regions' copies that are held here. */
export interface Copies {
  /** Whether all of the partitions are as fresh here as is asked for. */
  areFresh(service: string, partitions: readonly number[], freshness: Freshness): boolean;
  /** Grows when copies are followed anew: what was read across that is not what it seems. */
  readonly turns: number;
}

export interface BusOptions {
  readonly clock: Clock;
  readonly here: RegionName;
  readonly regions: readonly RegionName[];
  readonly placement: Placement;
  readonly atHome: AtHome;
  readonly hosted: Hosted;
  /** Null: no other region's copies are held here. */
  readonly copies: Copies | null;
  readonly tables: ReadonlyMap<string, Table>;
  readonly peers: Pick<Peers, 'request' | 'stream'>;
  /** Of a query. */
  readonly readDeadlineMs: number;
}

/** Whether a read that may be old is answered from what is held here. */
export function areFreshIn(
  copies: Pick<Copies, 'areFresh'> | null,
  service: string,
  partitions: readonly number[],
  freshness: Freshness | null,
): boolean {
  return (
    copies !== null &&
    freshness !== null &&
    freshness.maxStalenessMs > 0 &&
    copies.areFresh(service, partitions, freshness)
  );
}

const FOLLOW_AGAIN_MS = 50;
/** No region's name: all that is asked for stands here. */
const HELD_HERE = '';

export function openBus(options: BusOptions): Bus {
  const { clock, here, regions, placement, atHome, hosted, copies, tables, peers, readDeadlineMs } = options;
  const { homeOf } = atHome;

  const cluster: Omit<Cluster<RegionName>, 'ask'> = {
    tableOf: (service, table) => tables.get(`${service}/${table}`),
    targetsOf: (query) => targetsOf(query, placement, regions),
  };

  /** Of all regions, or those that the caller names. */
  const partitionsOf = (service: string, named: readonly number[] | null | undefined): readonly number[] =>
    named ?? regions.flatMap((region) => placement.partitionsOf(service, region).map(partitionKey));

  const isFreshHere = (
    service: string,
    named: readonly number[] | null | undefined,
    freshness: Freshness | null,
  ): boolean => areFreshIn(copies, service, partitionsOf(service, named), freshness);

  /** What is held here answers, while it is as fresh as it was found. */
  async function whileFresh<T>(work: () => Promise<T>): Promise<T> {
    const turns = copies?.turns;
    const answer = await work();
    if (turns === copies?.turns) return answer;
    throw new CardumeError('partition-unavailable', 'copies of other regions are being followed anew');
  }

  /** @param held null: what is held here cannot tell */
  function nearBy<T>(
    service: string,
    partition: number,
    freshness: Freshness | null,
    held: (holder: Shard) => Promise<T | null>,
    fromHome: () => Promise<T>,
  ): Promise<T> {
    if (freshness === null) return fromHome();
    return atHome.again(true, async () => {
      const holder = hosted.holder(service, partition);
      const found =
        holder !== undefined && isFreshHere(service, [partition], freshness)
          ? await whileFresh(() => held(holder))
          : null;
      return found ?? fromHome();
    });
  }

  function ask<T>(region: RegionName, message: Message, signal?: AbortSignal): Promise<T> {
    return peers.request(region, asJson(message), signal) as Promise<T>;
  }

  async function scan(
    region: RegionName,
    service: string,
    plan: Plan,
    within: Within,
    freshness: Freshness | null,
  ): Promise<Answered> {
    const expects = homesAsked(region, service, plan);
    if (region === here) return answered(plan, await hosted.scan(service, plan, within, freshness, expects));
    const kind = isKnownBefore(plan) ? 'scan-region' : 'scan-region-2';
    const message: Message = { kind, service, plan, leftMs: within.leftMs(), freshness, expects };
    const answer = await ask<ScanAnswer>(region, message, within.signal).catch(async (error: unknown) => {
      if (kind === 'scan-region-2' && isCardumeError(error, 'internal')) await checkKnows(region);
      throw error;
    });
    return { shards: answer.shards, parts: answer.parts.map(decodeRows) };
  }

  /** Those that the region must still be home to when it has read: each is in the answer of one region. */
  function homesAsked(region: RegionName, service: string, plan: Plan): number[] {
    const own = placement.partitionsOf(service, region).map(partitionKey);
    return plan.partitions === null ? own : own.filter((partition) => plan.partitions?.includes(partition));
  }

  /** A region of the version before takes what it does not know for a fault of its own. */
  async function checkKnows(region: RegionName): Promise<void> {
    try {
      await ask(region, { kind: 'scan-kinds' });
    } catch (cause) {
      if (!isCardumeError(cause, 'internal')) throw cause;
      const detail = `'${region}' runs the version before, which knows neither joins nor unions`;
      throw new CardumeError('partition-unavailable', detail, { cause });
    }
  }

  async function asked(region: RegionName, query: Query): Promise<Target[]> {
    const { service } = query;
    const partitions = query.partitions ?? null;
    const names =
      region === here
        ? hosted.asked(service, partitions)
        : await ask<string[]>(region, { kind: 'asked', service, partitions });
    return names.map((shard) => ({ region, shard }));
  }

  return {
    send(to, id, command, sendOptions = {}): Promise<Answer> {
      const place = parseId(id);
      const partition = partitionKey(place);
      const { service, aggregate } = to;
      return atHome.ask(
        service,
        place,
        sendOptions.key !== undefined,
        () =>
          hosted.call(service, partition, (shard) =>
            shard.send(aggregate, id, command, sendOptions, partition),
          ),
        (home) => ask(home, { kind: 'send', service, aggregate, id, command, options: sendOptions }),
      );
    },
    load(of, id, isLasting = false, freshness = null) {
      const place = parseId(id);
      const partition = partitionKey(place);
      const { service, aggregate } = of;
      return nearBy(
        service,
        partition,
        freshness,
        (holder) => holder.loadHeld(aggregate, id, partition) as Promise<never>,
        () =>
          atHome.ask(
            service,
            place,
            true,
            () =>
              hosted.call(
                service,
                partition,
                (shard) => shard.load(aggregate, id, partition, isLasting) as Promise<never>,
              ),
            async (home) => {
              const message: Message = { kind: 'load', service, aggregate, id, lasting: isLasting };
              const { state, version, token, unclean = 0 } = await ask<LoadAnswer>(home, message);
              return { state: unpackState(state) as never, version, token, unclean };
            },
          ),
      );
    },
    async query(query, { deadlineMs = readDeadlineMs, signal, freshness = null } = {}) {
      if (!(deadlineMs >= 1)) throw new CardumeError('query-refused', 'deadlineMs: expected at least 1');
      const bound = Math.min(deadlineMs, readDeadlineMs);
      const asked: Cluster<RegionName> = {
        ...cluster,
        targetsOf: (part) =>
          part.region === undefined && isFreshHere(part.service, part.partitions, freshness)
            ? [HELD_HERE]
            : cluster.targetsOf(part),
        async ask(region, service, plan, within) {
          if (region !== HELD_HERE) return scan(region, service, plan, within, freshness);
          const partitions = partitionsOf(service, plan.partitions);
          return whileFresh(async () =>
            answered(plan, await hosted.scanHeld(service, plan, partitions, within)),
          );
        },
      };
      return withDeadline(clock, { deadlineMs: bound, signal }, (within) =>
        atHome.again(true, () => gather(query, asked, within), within.signal),
      );
    },
    explain: (query) =>
      explain(
        query,
        cluster.tableOf,
        async (part) =>
          (await Promise.all(cluster.targetsOf(part).map((region) => asked(region, part)))).flat(),
        readDeadlineMs,
      ),
    row(service, table, place, key, freshness = null) {
      const partition = partitionKey(place);
      return nearBy(
        service,
        partition,
        freshness,
        async (holder) => ({ row: await holder.rowHeld(table, partition, key) }),
        async () => ({
          row: await atHome.ask(
            service,
            place,
            true,
            () => hosted.call(service, partition, (shard) => shard.row(table, partition, key, freshness)),
            (home) => ask<Row | null>(home, { kind: 'row', service, table, partition, key, freshness }),
          ),
        }),
      ).then(({ row }) => row);
    },
    answered(service, place, key): Promise<Answer | null> {
      const partition = partitionKey(place);
      return atHome.ask(
        service,
        place,
        true,
        () => hosted.call(service, partition, (shard) => shard.answered(partition, key)),
        (home) => ask(home, { kind: 'answered', service, partition, key }),
      );
    },
    async reached(service, token) {
      const { partition } = decodeToken(token);
      await atHome.ask(
        service,
        placeOfKey(partition),
        true,
        () => hosted.call(service, partition, (shard) => shard.reached(token)),
        (home) => ask<void>(home, { kind: 'reached', service, token }),
      );
    },
    async *follow(of, id, afterVersion, signal): AsyncGenerator<StreamEvent, void, undefined> {
      const place = parseId(id);
      let after = afterVersion;
      let lastMs = clock.monotonicMs();
      while (!signal.aborted) {
        try {
          for await (const event of eventsFrom(of, id, place, after, signal)) {
            after = event.version;
            lastMs = clock.monotonicMs();
            yield event;
          }
          return;
        } catch (error) {
          if (!atHome.mayHaveMoved(error, true) || clock.monotonicMs() - lastMs > MOVED_MS_MAX) throw error;
          await clock.sleep(FOLLOW_AGAIN_MS);
        }
      }
    },
  };

  function eventsFrom(
    { service, aggregate }: AggregateOf<unknown>,
    id: string,
    place: Place,
    afterVersion: number,
    signal: AbortSignal,
  ): AsyncIterable<StreamEvent> {
    const home = homeOf(service, place);
    if (home === here)
      return hosted.follow(service, aggregate, id, partitionKey(place), afterVersion, signal);
    const message = asJson({ kind: 'follow', service, aggregate, id, afterVersion });
    return peers.stream(home, message, signal) as AsyncIterable<unknown> as AsyncIterable<StreamEvent>;
  }
}
