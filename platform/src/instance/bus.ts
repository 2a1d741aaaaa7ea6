/**
 * The bus of one instance: what is hosted here is a function call, everything else is one message to the region that
 * is home to it.
 */

import { CardumeError, isCardumeError } from '../base/errors.ts';
import { type Place, parseId } from '../base/id.ts';
import type { Answer, Bus, StreamEvent } from '../cqrs/bus.ts';
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
import type { Hosted } from './hosted.ts';
import { asJson, type Message, type ScanAnswer, unpackState } from './message.ts';

export interface BusOptions {
  readonly clock: Clock;
  readonly here: RegionName;
  readonly regions: readonly RegionName[];
  readonly placement: Placement;
  readonly hosted: Hosted;
  readonly tables: ReadonlyMap<string, Table>;
  readonly peers: Pick<Peers, 'request' | 'stream'>;
  /** Of a query. */
  readonly readDeadlineMs: number;
}

export function openBus(options: BusOptions): Bus {
  const { clock, here, regions, placement, hosted, tables, peers, readDeadlineMs } = options;

  function homeOf(service: string, place: Place): RegionName {
    return placement.homeOf({ service, scope: place.scope, partition: place.partition });
  }

  const cluster: Omit<Cluster<RegionName>, 'ask'> = {
    tableOf: (service, table) => tables.get(`${service}/${table}`),
    targetsOf: (query) => targetsOf(query, placement, regions),
  };

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
    if (region === here) return answered(plan, await hosted.scan(service, plan, within, freshness));
    const kind = isKnownBefore(plan) ? 'scan-region' : 'scan-region-2';
    const message: Message = { kind, service, plan, leftMs: within.leftMs(), freshness };
    const answer = await ask<ScanAnswer>(region, message, within.signal).catch(async (error: unknown) => {
      if (kind === 'scan-region-2' && isCardumeError(error, 'internal')) await checkKnows(region);
      throw error;
    });
    return { shards: answer.shards, parts: answer.parts.map(decodeRows) };
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
      if (hosted.isHere(to.service, partition)) {
        return hosted.call(to.service, partition, (shard) =>
          shard.send(to.aggregate, id, command, sendOptions, partition),
        );
      }
      return ask(homeOf(to.service, place), {
        kind: 'send',
        service: to.service,
        aggregate: to.aggregate,
        id,
        command,
        options: sendOptions,
      });
    },
    load(of, id) {
      const place = parseId(id);
      const partition = partitionKey(place);
      const { service, aggregate } = of;
      if (hosted.isHere(service, partition))
        return hosted.call(
          service,
          partition,
          (shard) => shard.load(aggregate, id, partition) as Promise<never>,
        );
      const asked = ask<{ state: string; version: number; token: string }>(homeOf(service, place), {
        kind: 'load',
        service,
        aggregate,
        id,
      });
      return asked.then(({ state, version, token }) => {
        return { state: unpackState(state) as never, version, token };
      });
    },
    async query(query, { deadlineMs = readDeadlineMs, signal, freshness = null } = {}) {
      if (!(deadlineMs >= 1)) throw new CardumeError('query-refused', 'deadlineMs: expected at least 1');
      const bound = Math.min(deadlineMs, readDeadlineMs);
      const ask: Cluster<RegionName>['ask'] = (region, service, plan, within) =>
        scan(region, service, plan, within, freshness);
      return withDeadline(clock, { deadlineMs: bound, signal }, (within) =>
        gather(query, { ...cluster, ask }, within),
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
    async row(service, table, place, key, freshness = null): Promise<Row | null> {
      const home = homeOf(service, place);
      const partition = partitionKey(place);
      if (home === here)
        return hosted.call(service, partition, (shard) => shard.row(table, partition, key, freshness));
      return ask(home, { kind: 'row', service, table, partition, key, freshness });
    },
    async answered(service, place, key): Promise<Answer | null> {
      const home = homeOf(service, place);
      const partition = partitionKey(place);
      if (home === here) return hosted.call(service, partition, (shard) => shard.answered(partition, key));
      return ask(home, { kind: 'answered', service, partition, key });
    },
    async reached(service, token) {
      const { partition } = decodeToken(token);
      const home = homeOf(service, placeOfKey(partition));
      if (home === here) return hosted.call(service, partition, (shard) => shard.reached(token));
      await ask(home, { kind: 'reached', service, token });
    },
    follow(of, id, afterVersion, signal): AsyncIterable<StreamEvent> {
      const place = parseId(id);
      const home = homeOf(of.service, place);
      const { service, aggregate } = of;
      if (home === here) {
        const partition = partitionKey(place);
        return hosted.follow(service, aggregate, id, partition, afterVersion, signal);
      }
      const message = asJson({ kind: 'follow', service, aggregate, id, afterVersion });
      return peers.stream(home, message, signal) as AsyncIterable<unknown> as AsyncIterable<StreamEvent>;
    },
  };
}
