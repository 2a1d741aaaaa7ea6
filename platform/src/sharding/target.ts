/** Which regions a query asks: those that are home to a partition it may find rows in. */
import { CardumeError } from '../base/errors.ts';
import { type Placement, placeOfKey } from '../topology/partition.ts';
import type { RegionName } from '../topology/topology.ts';
import type { Query } from './query.ts';

/** A shard, for those who look. */
export interface Target {
  readonly region: RegionName;
  /** Unique within the region. */
  readonly shard: string;
}

/**
 * Each region once, in their order.
 * @param regions all of the topology
 * @throws CardumeError `query-refused` for an unknown region, `not-found` for a partition that does not exist
 */
export function targetsOf(query: Query, placement: Placement, regions: readonly RegionName[]): RegionName[] {
  const { service, region, partitions } = query;
  if (region !== undefined && !regions.includes(region)) {
    throw new CardumeError(
      'query-refused',
      `there is no region '${region.slice(0, 40)}'; there are ${regions.join(', ')}`,
    );
  }
  const homes =
    partitions === undefined
      ? regions.filter((name) => placement.partitionsOf(service, name).length > 0)
      : partitions.map((key) => placement.homeOf({ service, ...placeOfKey(key) }));
  return regions.filter((name) => (region === undefined || name === region) && homes.includes(name));
}
