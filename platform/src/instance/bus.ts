/**
 * The bus of one instance: what is hosted here is a function call, everything else is one message to the region that
 * is home to it.
 */

import { type Place, parseId } from '../base/id.ts';
import type { Json } from '../base/json.ts';
import type { Answer, Bus, StreamEvent } from '../cqrs/bus.ts';
import { decodeToken } from '../events/token.ts';
import { explain } from '../sharding/explain.ts';
import type { Peers } from '../sharding/peer.ts';
import { isBeyondVersionBefore, type Plan } from '../sharding/plan.ts';
import type { Query } from '../sharding/query.ts';
import { scatter } from '../sharding/scatter.ts';
import type { Row, Table, Value } from '../sharding/table.ts';
import { type Target, targetsOf } from '../sharding/target.ts';
import { decodeRows } from '../sharding/wire.ts';
import { type Placement, partitionKey, placeOfKey } from '../topology/partition.ts';
import type { RegionName } from '../topology/topology.ts';
import type { Hosted } from './hosted.ts';
import { asJson, type Message, unpackState } from './message.ts';

export interface BusOptions {
  readonly here: RegionName;
  readonly regions: readonly RegionName[];
  readonly placement: Placement;
  readonly hosted: Hosted;
  readonly tables: ReadonlyMap<string, Table>;
  readonly peers: Pick<Peers, 'request' | 'stream'>;
}

export function openBus(options: BusOptions): Bus {
  const { here, regions, placement, hosted, tables, peers } = options;

  function homeOf(service: string, place: Place): RegionName {
    return placement.homeOf({ service, scope: place.scope, partition: place.partition });
  }

  function tableOf({ service, table }: Query): Table {
    const found = tables.get(`${service}/${table}`);
    if (found === undefined) throw new Error(`no table '${table}' in the service '${service}'`);
    return found;
  }

  function ask<T>(region: RegionName, message: Message): Promise<T> {
    return peers.request(region, asJson(message)) as Promise<T>;
  }

  async function scan(
    { region, shard: name }: Target,
    service: string,
    plan: Plan,
  ): Promise<readonly (readonly Value[])[]> {
    if (region !== here) {
      const kind = isBeyondVersionBefore(plan) ? 'scan-2' : 'scan';
      return decodeRows(await ask<Json>(region, { kind, service, shard: name, plan }));
    }
    return hosted.shardNamed(service, name).scan(plan);
  }

  return {
    send(to, id, command, sendOptions = {}): Promise<Answer> {
      const place = parseId(id);
      const partition = partitionKey(place);
      const shard = hosted.find(to.service, partition);
      if (shard !== undefined) return shard.send(to.aggregate, id, command, sendOptions, partition);
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
      const shard = hosted.find(of.service, partition);
      if (shard !== undefined) return shard.load(of.aggregate, id, partition) as Promise<never>;
      const { service, aggregate } = of;
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
    async query(query) {
      const targets = targetsOf(query, placement, regions);
      return scatter(query, tableOf(query), targets, (target, plan) => scan(target, query.service, plan));
    },
    explain: (query) => explain(query, tableOf(query), targetsOf(query, placement, regions)),
    async row(service, table, place, key): Promise<Row | null> {
      const home = homeOf(service, place);
      const partition = partitionKey(place);
      if (home === here) return hosted.shardOf(service, partition).row(table, partition, key);
      return ask(home, { kind: 'row', service, table, partition, key });
    },
    async answered(service, place, key): Promise<Answer | null> {
      const home = homeOf(service, place);
      const partition = partitionKey(place);
      if (home === here) return hosted.shardOf(service, partition).answered(partition, key);
      return ask(home, { kind: 'answered', service, partition, key });
    },
    async reached(service, token) {
      const { partition } = decodeToken(token);
      const home = homeOf(service, placeOfKey(partition));
      if (home === here) return hosted.shardOf(service, partition).reached(token);
      await ask(home, { kind: 'reached', service, token });
    },
    follow(of, id, afterVersion, signal): AsyncIterable<StreamEvent> {
      const place = parseId(id);
      const home = homeOf(of.service, place);
      const { service, aggregate } = of;
      if (home === here) {
        const partition = partitionKey(place);
        return hosted.shardOf(service, partition).follow(aggregate, id, partition, afterVersion, signal);
      }
      const message = asJson({ kind: 'follow', service, aggregate, id, afterVersion });
      return peers.stream(home, message, signal) as AsyncIterable<unknown> as AsyncIterable<StreamEvent>;
    },
  };
}
