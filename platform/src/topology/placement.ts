/**
 * The placement as the topology states it, before any coordinator moves a home.
 *
 * - A region's own partitions are at home in it.
 * - Global partition i is at home in region i mod n, in the topology's order of regions.
 * - Partition i of n stands in shard floor(i × shards / n): contiguous runs whose lengths differ by at most one, so
 *   that a region's share of the global partitions (every n-th) spreads over all shards too.
 * - A shard's name is the same in every region: a follower keeps partition and shard together as the home does.
 */
import { CardumeError } from '../base/errors.ts';
import type { Partition, Placement } from './partition.ts';
import type { RegionName, ServiceName, Topology } from './topology.ts';

interface Home {
  readonly region: RegionName;
  readonly shard: string;
}

/** `homeOf` and `shardOf` throw `not-found` for a place that the topology does not have: it came in with an id. */
export function staticPlacement(topology: Topology): Placement {
  const regions = Object.keys(topology.regions);
  /** Service → scope → partition. */
  const homes = new Map<ServiceName, Home[][]>();
  const byRegion = new Map<ServiceName, Map<RegionName, Partition[]>>();

  for (const [service, { partitions, globalPartitions, shards }] of Object.entries(topology.services)) {
    const scopes: Home[][] = [];
    const atHome = new Map<RegionName, Partition[]>(regions.map((region) => [region, []]));
    const fill = (scope: number, count: number, regionOf: (partition: number) => RegionName): void => {
      scopes[scope] = Array.from({ length: count }, (_, partition) => {
        const region = regionOf(partition);
        atHome.get(region)?.push({ service, scope, partition });
        return { region, shard: `${service}-${Math.floor((partition * shards) / count)}` };
      });
    };
    for (const [region, { code }] of Object.entries(topology.regions)) fill(code, partitions, () => region);
    fill(0, globalPartitions, (partition) => regions[partition % regions.length] as RegionName);
    homes.set(service, scopes);
    byRegion.set(service, atHome);
  }

  function find({ service, scope, partition }: Partition): Home {
    const home = homes.get(service)?.[scope]?.[partition];
    if (home === undefined) {
      throw new CardumeError('not-found', `the service '${service}' has no partition ${scope}/${partition}`);
    }
    return home;
  }

  return {
    homeOf: (partition) => find(partition).region,
    shardOf: (partition) => find(partition).shard,
    partitionsOf: (service, region) => byRegion.get(service)?.get(region) ?? [],
  };
}
