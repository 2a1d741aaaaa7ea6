/** The other end of a link: answers the messages of other instances from what is hosted here. */
import { unreachable } from '../base/assert.ts';
import { parseId } from '../base/id.ts';
import type { Json } from '../base/json.ts';
import { decodeToken } from '../events/token.ts';
import type { Call, PlainReply } from '../gateway/call.ts';
import { receivedPlan } from '../sharding/plan.ts';
import { encodeRows } from '../sharding/wire.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Hosted } from './hosted.ts';
import { type Message, packState } from './message.ts';

export interface ReceiverOptions {
  readonly hosted: Hosted;
  readonly execute: (call: Call) => Promise<PlainReply>;
}

export type Receiver = (message: Message, signal: AbortSignal) => Promise<Json> | AsyncIterable<Json>;

export function openReceiver({ hosted, execute }: ReceiverOptions): Receiver {
  return (message, signal) => {
    switch (message.kind) {
      case 'call':
        return execute(message.call) as Promise<unknown> as Promise<Json>;
      case 'send': {
        const { service, aggregate, id, command, options } = message;
        const shard = hosted.shardOf(service, partitionKey(parseId(id)));
        return shard.send(aggregate, id, command, options) as Promise<unknown> as Promise<Json>;
      }
      case 'reached': {
        const { partition } = decodeToken(message.token);
        return hosted
          .shardOf(message.service, partition)
          .reached(message.token)
          .then(() => null);
      }
      case 'load':
        return load(message.service, message.aggregate, message.id);
      case 'row': {
        const { service, table, partition, key } = message;
        return hosted.shardOf(service, partition).row(table, partition, key) as Promise<Json>;
      }
      case 'answered': {
        const { service, partition, key } = message;
        return hosted
          .shardOf(service, partition)
          .answered(partition, key) as Promise<unknown> as Promise<Json>;
      }
      case 'scan':
      case 'scan-2': {
        const { service, shard, plan } = message;
        return hosted.shardNamed(service, shard).scan(receivedPlan(plan)).then(encodeRows);
      }
      case 'follow': {
        const { service, aggregate, id, afterVersion } = message;
        const partition = partitionKey(parseId(id));
        const shard = hosted.shardOf(service, partition);
        return shard.follow(
          aggregate,
          id,
          partition,
          afterVersion,
          signal,
        ) as AsyncIterable<unknown> as AsyncIterable<Json>;
      }
      default:
        return unreachable(message);
    }
  };

  async function load(service: string, aggregate: string, id: string): Promise<Json> {
    const loaded = await hosted.shardOf(service, partitionKey(parseId(id))).load(aggregate, id);
    return { ...loaded, state: packState(loaded.state) };
  }
}
