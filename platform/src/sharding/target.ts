/** Which shards a query asks: those that hold a partition it may find rows in. */
import { CardumeError } from '../base/errors.ts';
import { type Placement, placeOfKey } from '../topology/partition.ts';
import type { RegionName } from '../topology/topology.ts';
import type { Query } from './query.ts';

export interface Target {
  readonly region: RegionName;
  /** Unique within the region. */
  readonly shard: string;
}

/**
 * Each target once, in the order of the regions.
 * @param regions all of the topology
 * @throws CardumeError `query-refused` for an unknown region, `not-found` for a partition that does not exist
 */
export function targetsOf(query: Query, placement: Placement, regions: readonly RegionName[]): Target[] {
  const { service, region, partitions } = query;
  if (region !== undefined && !regions.includes(region)) {
    throw new CardumeError(
      'query-refused',
      `there is no region '${region.slice(0, 40)}'; there are ${regions.join(', ')}`,
    );
  }
  const shards = new Map<RegionName, Set<string>>(regions.map((name) => [name, new Set()]));
  if (partitions === undefined) {
    for (const name of region === undefined ? regions : [region]) {
      for (const partition of placement.partitionsOf(service, name))
        shards.get(name)?.add(placement.shardOf(partition));
    }
  } else {
    for (const key of partitions) {
      const partition = { service, ...placeOfKey(key) };
      const home = placement.homeOf(partition);
      if (region === undefined || region === home) shards.get(home)?.add(placement.shardOf(partition));
    }
  }
  return [...shards].flatMap(([name, names]) => [...names].map((shard) => ({ region: name, shard })));
}
