import type { Json } from '../base/json.ts';
import type { RegionName, ServiceName } from '../topology/topology.ts';
import type { FenceRequest } from './failover.ts';
import type { QuarantineRequest } from './quarantine/request.ts';
import type { FollowerStatus } from './replication/follower.ts';
import type { AckRequest } from './replication/source.ts';

/** What regions ask of each other, one answer each. JSON. */
export type RegionsRequest =
  | { readonly ask: 'ack'; readonly ack: AckRequest }
  | {
      readonly ask: 'checksums';
      readonly service: ServiceName;
      readonly partition: number;
      readonly positions: readonly number[];
    }
  | { readonly ask: 'fence'; readonly partitions: FenceRequest }
  /** Whether the region finds the other lost. */
  | { readonly ask: 'sees-lost'; readonly region: RegionName }
  /** The home's copies were fenced for another that never came: it goes on in a later term. */
  | { readonly ask: 'outbid'; readonly service: ServiceName; readonly partition: number }
  /** Of a partition that moves to whoever is asked, for its processes. */
  | { readonly ask: 'checkpoints'; readonly service: ServiceName; readonly checkpoints: readonly Json[] }
  /** Where a partition's processes stood when that was last saved; the version before does not answer. */
  | { readonly ask: 'saved-checkpoints'; readonly service: ServiceName; readonly partition: number }
  | { readonly ask: 'switch-over'; readonly to: RegionName; readonly bornIn: RegionName | null }
  | { readonly ask: 'quarantine'; readonly quarantine: QuarantineRequest }
  | { readonly ask: 'status' };

/** JSON. */
export interface RegionsStatus {
  readonly region: RegionName;
  readonly isHeld: boolean;
  /** Partitions at home here. */
  readonly partitions: number;
  /** Partitions at home here that the topology gives to another region. */
  readonly adopted: number;
  /** Entries of what is at home here that no other region has yet. */
  readonly alone: number;
  /** Entries that were cut off copies here and wait for a decision; the version before does not say. */
  readonly undecided?: number;
  /** Since when the oldest of them is. */
  readonly aloneMs: number;
  readonly follows: readonly FollowerStatus[];
}
