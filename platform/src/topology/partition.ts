/** A partition's name, and who is home to it now. */
import type { Place } from '../base/id.ts';
import type { RegionName, ServiceName } from './topology.ts';

export interface Partition extends Place {
  readonly service: ServiceName;
}

/** One number for a partition within its service, as stored in databases: scope × 1024 + partition. */
export function partitionKey(place: Place): number {
  return place.scope * 1024 + place.partition;
}

export function placeOfKey(key: number): Place {
  return { scope: Math.floor(key / 1024), partition: key % 1024 };
}

/** Who hosts what, now. The static map reads it from the topology; a coordinator will move homes. */
export interface Placement {
  homeOf(partition: Partition): RegionName;
  /** Name of the shard, unique within the region, such as `orders-1`. */
  shardOf(partition: Partition): string;
  /** All partitions of a service whose home is the region. */
  partitionsOf(service: ServiceName, region: RegionName): readonly Partition[];
}
