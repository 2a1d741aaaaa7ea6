/** Whether a read that may be old can be answered from what this region holds: its homes, and copies that are fresh and whole. */
import { decodeToken } from '../events/token.ts';
import type { Clock } from '../host/host.ts';
import type { Freshness } from '../sharding/query.ts';
import { type Placement, placeOfKey } from '../topology/partition.ts';
import type { Residency } from '../topology/residency.ts';
import type { RegionName, ServiceName } from '../topology/topology.ts';
import type { Follower } from './replication/follower.ts';

export interface NearByGround {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly here: RegionName;
  readonly homes: Pick<Placement, 'homeOf'>;
  readonly residency: Pick<Residency, 'holding'>;
  /** The partition is at home here, and open. */
  readonly isOpen: (service: ServiceName, partition: number) => boolean;
  /** The region's lease held at this moment of the monotonic clock, or later. */
  readonly heldAt: (ms: number) => boolean;
  /** Of the follower of that home. */
  readonly copyOf: (
    home: RegionName,
    service: ServiceName,
    partition: number,
  ) => ReturnType<Follower['copyOf']>;
}

/** Whether all of the partitions are as fresh here as is asked for. */
export function areFresh(
  { clock, here, homes, residency, isOpen, heldAt, copyOf }: NearByGround,
  service: ServiceName,
  partitions: readonly number[],
  { maxStalenessMs, seen }: Freshness,
): boolean {
  const sinceMs = clock.monotonicMs() - maxStalenessMs;
  const token = seen?.service === service ? decodeToken(seen.token) : null;
  return partitions.every((partition) => {
    const home = homes.homeOf({ service, ...placeOfKey(partition) });
    // A home whose lease has run out may have been replaced since.
    if (home === here) return isOpen(service, partition) && heldAt(sinceMs);
    if (residency.holding(service, partition, here) !== 'whole') return false;
    const copy = copyOf(home, service, partition);
    if (copy?.asOfMs == null || copy.asOfMs < sinceMs) return false;
    return token?.partition !== partition || token.position <= copy.position;
  });
}
