/** The other end of a link: answers the messages of other instances from what is hosted here. */
import { CardumeError } from '../base/errors.ts';
import { parseId } from '../base/id.ts';
import type { Json } from '../base/json.ts';
import type { Shard } from '../cqrs/shard.ts';
import { decodeToken } from '../events/token.ts';
import type { Call, PlainReply } from '../gateway/call.ts';
import type { Clock } from '../host/host.ts';
import type { Regions } from '../regions/regions.ts';
import { withDeadline } from '../sharding/deadline.ts';
import { type Plan, receivedPlan } from '../sharding/plan.ts';
import { answered } from '../sharding/scatter.ts';
import { encodeRows } from '../sharding/wire.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Hosted } from './hosted.ts';
import { type Message, packState } from './message.ts';
import type { ReshardingRequest } from './resharding.ts';

export interface ReceiverOptions {
  readonly clock: Clock;
  readonly hosted: Hosted;
  /** Partitions of a shard of the topology's; null when the region's map is another one by now. */
  readonly staticHomes: (service: string, name: string) => readonly number[] | null;
  readonly resharding: (request: ReshardingRequest) => Promise<Json>;
  /** Null: homes never move. */
  readonly regions: Pick<Regions, 'replicate' | 'handle'> | null;
  /** Of a scan. */
  readonly readDeadlineMs: number;
  readonly execute: (call: Call) => Promise<PlainReply>;
}

type ScanMessage = Extract<Message, { readonly kind: 'scan-region' | 'scan-region-2' }>;

export type Receiver = (
  from: string,
  message: Message,
  signal: AbortSignal,
) => Promise<Json> | AsyncIterable<Json>;

export function openReceiver(options: ReceiverOptions): Receiver {
  const { clock, hosted, staticHomes, resharding, regions, readDeadlineMs, execute } = options;
  return (from, message, signal) => {
    switch (message.kind) {
      case 'call':
        return execute(message.call) as Promise<unknown> as Promise<Json>;
      case 'send': {
        const { service, aggregate, id, command, options } = message;
        return hosted.call(service, partitionKey(parseId(id)), (shard) =>
          shard.send(aggregate, id, command, options),
        ) as Promise<unknown> as Promise<Json>;
      }
      case 'reached': {
        const { partition } = decodeToken(message.token);
        return hosted
          .call(message.service, partition, (shard) => shard.reached(message.token))
          .then(() => null);
      }
      case 'load':
        return load(message);
      case 'row': {
        const { service, table, partition, key, freshness } = message;
        return hosted.call(service, partition, (shard) =>
          shard.row(table, partition, key, freshness),
        ) as Promise<Json>;
      }
      case 'answered': {
        const { service, partition, key } = message;
        return hosted.call(service, partition, (shard) =>
          shard.answered(partition, key),
        ) as Promise<unknown> as Promise<Json>;
      }
      case 'scan':
      case 'scan-2':
        return scanByName(message.service, message.shard, receivedPlan(message.plan), signal);
      case 'scan-region':
      case 'scan-region-2':
        return scanAll(message, signal);
      case 'scan-kinds':
        return Promise.resolve(['scan-region', 'scan-region-2']);
      case 'asked':
        return Promise.resolve(hosted.asked(message.service, message.partitions));
      case 'resharding':
      case 'resharding-2':
        return resharding(message.request);
      case 'replicate':
        return regionsHere().replicate(from, message.request, signal);
      case 'regions':
        return regionsHere().handle(from, message.request);
      case 'follow': {
        const { service, aggregate, id, afterVersion } = message;
        const partition = partitionKey(parseId(id));
        return hosted.follow(
          service,
          aggregate,
          id,
          partition,
          afterVersion,
          signal,
        ) as AsyncIterable<unknown> as AsyncIterable<Json>;
      }
      default:
        return unknown(message);
    }
  };

  function regionsHere(): Pick<Regions, 'replicate' | 'handle'> {
    if (regions === null)
      throw new CardumeError('partition-unavailable', 'the topology of this instance has no coordinator');
    return regions;
  }

  async function scanAll(asked: ScanMessage, signal: AbortSignal): Promise<Json> {
    const { service, leftMs, freshness, expects } = asked;
    const plan = receivedPlan(asked.plan);
    const deadlineMs = Math.min(readDeadlineMs, leftMs ?? readDeadlineMs);
    return withDeadline(clock, { deadlineMs, signal }, async (within) => {
      const { shards, parts } = answered(plan, await hosted.scan(service, plan, within, freshness, expects));
      return { shards, parts: parts.map(encodeRows) };
    });
  }

  /** For askers of the version before, who know the shards' names from the topology. */
  async function scanByName(service: string, name: string, plan: Plan, signal: AbortSignal): Promise<Json> {
    const own = staticHomes(service, name);
    if (own === null) {
      throw new CardumeError(
        'partition-unavailable',
        `the shards of '${service}' are others by now: queries from instances of the version before are refused`,
      );
    }
    const shard = hosted.named(service, name) as Shard;
    return withDeadline(clock, { deadlineMs: readDeadlineMs, signal }, async (within) =>
      encodeRows(await shard.scan(plan, own, within)),
    );
  }

  async function load(asked: Extract<Message, { readonly kind: 'load' }>): Promise<Json> {
    const { service, aggregate, id, lasting } = asked;
    const partition = partitionKey(parseId(id));
    const loaded = await hosted.call(service, partition, (shard) =>
      shard.load(aggregate, id, partition, lasting),
    );
    return { ...loaded, state: packState(loaded.state) };
  }
}

/** Of a later version. */
function unknown(message: never): Promise<Json> {
  const { kind } = message as Message;
  return Promise.reject(
    new CardumeError(
      'partition-unavailable',
      `this instance is of a version that does not know '${String(kind).slice(0, 60)}'`,
    ),
  );
}
