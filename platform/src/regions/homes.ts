/**
 * Which region is home to which partition: what the topology says, and what has moved since, as the coordinator tells. Each
 * move grows the partition's *term*: a term has one home, and owns the epochs in which that home writes.
 */
import type { News, Value } from '../discovery/coordinator.ts';
import { type Partition, type Placement, partitionKey } from '../topology/partition.ts';
import { staticPlacement } from '../topology/placement.ts';
import type { RegionName, Topology } from '../topology/topology.ts';
import type { MaybeUnclean } from './unclean.ts';

/** JSON, of the coordinator's value. */
export interface Home extends MaybeUnclean {
  readonly region: RegionName;
  /** 0: as the topology says. */
  readonly term: number;
}

export interface StandingHome extends Home {
  /** Of the coordinator's key; 0: there is none. */
  readonly revision: number;
}

export interface Homes extends Placement {
  /** @throws CardumeError `not-found` for a place that the topology does not have */
  find(partition: Partition): StandingHome;
  /** Its home as the topology says. */
  bornIn(partition: Partition): RegionName;
  /** Of all services. */
  all(): readonly Partition[];
  /** What stands at the coordinator. @returns partitions whose home or term is another one now */
  learn(values: readonly (Value | News)[]): readonly Partition[];
}

export const HOMES = 'homes/';

export const keyOfHome = (partition: Partition): string =>
  `${HOMES}${partition.service}/${partitionKey(partition)}`;

export function openHomes(topology: Topology): Homes {
  const initial = staticPlacement(topology);
  const regions = Object.keys(topology.regions);
  const all = Object.keys(topology.services).flatMap((service) =>
    regions.flatMap((region) => initial.partitionsOf(service, region)),
  );
  const byKey = new Map(all.map((partition) => [keyOfHome(partition), partition]));
  const moved = new Map<string, StandingHome>();
  /** By service and region; made anew when a home moves. */
  let atHome = new Map<string, readonly Partition[]>();

  function find(partition: Partition): StandingHome {
    return moved.get(keyOfHome(partition)) ?? { region: initial.homeOf(partition), term: 0, revision: 0 };
  }

  return {
    find,
    bornIn: initial.homeOf,
    all: () => all,
    homeOf: (partition) => find(partition).region,
    shardOf: initial.shardOf,
    partitionsOf(service, region) {
      const name = `${service}/${region}`;
      let found = atHome.get(name);
      if (found === undefined) {
        found = all.filter((one) => one.service === service && find(one).region === region);
        atHome.set(name, found);
      }
      return found;
    },
    learn(values) {
      const changed: Partition[] = [];
      for (const { key, value, revision } of values) {
        const partition = byKey.get(key);
        // Of a partition that the topology does not have any more; and terms never go back, nor revisions in them.
        if (partition === undefined || value === null) continue;
        const before = find(partition);
        const home = JSON.parse(value) as Home;
        const { term } = home;
        if (term < before.term || (term === before.term && revision < before.revision)) continue;
        moved.set(key, { ...home, revision });
        if (term !== before.term) changed.push(partition);
      }
      if (changed.length > 0) atHome = new Map();
      return changed;
    },
  };
}
