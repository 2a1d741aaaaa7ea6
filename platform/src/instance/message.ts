/** What instances say to each other over a link: one request of the bus, or one forwarded call of a gateway. */
import { deserialize, serialize } from 'node:v8';
import type { Json, JsonObject } from '../base/json.ts';
import type { Typed } from '../cqrs/aggregate.ts';
import type { IdempotencyKey, SendOptions } from '../cqrs/bus.ts';
import type { Call } from '../gateway/call.ts';
import type { ReplicateRequest } from '../regions/replication/source.ts';
import type { RegionsRequest } from '../regions/requests.ts';
import type { Plan } from '../sharding/plan.ts';
import type { Freshness } from '../sharding/query.ts';
import type { Row } from '../sharding/table.ts';
import type { ReshardingRequest } from './resharding.ts';

export type Message =
  | { readonly kind: 'call'; readonly call: Call }
  | {
      readonly kind: 'send';
      readonly service: string;
      readonly aggregate: string;
      readonly id: string;
      readonly command: Typed;
      readonly options: SendOptions;
    }
  | { readonly kind: 'reached'; readonly service: string; readonly token: string }
  | {
      readonly kind: 'load';
      readonly service: string;
      readonly aggregate: string;
      readonly id: string;
      readonly lasting?: boolean;
    }
  | {
      readonly kind: 'row';
      readonly service: string;
      readonly table: string;
      readonly partition: number;
      readonly key: Row;
      /** The version before answers with the newest. */
      readonly freshness?: Freshness | null;
    }
  | {
      readonly kind: 'answered';
      readonly service: string;
      readonly partition: number;
      readonly key: IdempotencyKey;
    }
  | {
      /** To one shard by its name, as versions before ask: answered while no shard has given a partition away. */
      readonly kind: 'scan' | 'scan-2';
      readonly service: string;
      readonly shard: string;
      readonly plan: Plan;
    }
  | {
      /**
       * To all shards of the region: answered with a `ScanAnswer`. The second has what the version before would answer
       * wrongly: joins, and pages that begin with a part of an order.
       */
      readonly kind: 'scan-region' | 'scan-region-2';
      readonly service: string;
      readonly plan: Plan;
      /** Of the query's deadline. The version before does not say. */
      readonly leftMs?: number;
      /** The version before answers with the newest. */
      readonly freshness?: Freshness | null;
      /** Partitions whose home must be there. The version before does not say: homes never move there. */
      readonly expects?: readonly number[];
    }
  /** Answered with the kinds of scans that the instance knows; the version before knows not even this. */
  | { readonly kind: 'scan-kinds' }
  /** Names of the shards that `scan-region` would ask. */
  | { readonly kind: 'asked'; readonly service: string; readonly partitions: readonly number[] | null }
  /** The second wants an engine of others, which the version before would take for a server. */
  | { readonly kind: 'resharding' | 'resharding-2'; readonly request: ReshardingRequest }
  /** Parcels of all that the asker follows there. */
  | { readonly kind: 'replicate'; readonly request: ReplicateRequest }
  | { readonly kind: 'regions'; readonly request: RegionsRequest }
  | {
      readonly kind: 'follow';
      readonly service: string;
      readonly aggregate: string;
      readonly id: string;
      readonly afterVersion: number;
    };

/** `Answered`, encoded. */
export interface LoadAnswer {
  /** Packed. */
  readonly state: string;
  readonly version: number;
  readonly token: string;
  /** The version before does not say. */
  readonly unclean?: number;
}

export interface ScanAnswer {
  readonly shards: number;
  readonly parts: readonly Json[];
}

/** A state may hold Maps, Sets and bigints: it crosses the link as structured-clone bytes in base64. */
export function packState(state: unknown): string {
  return serialize(state).toString('base64');
}

export function unpackState(text: string): unknown {
  return deserialize(Buffer.from(text, 'base64'));
}

/** Messages are plain data; the link's type is JSON. */
export function asJson(message: Message): JsonObject {
  return message as unknown as JsonObject;
}
