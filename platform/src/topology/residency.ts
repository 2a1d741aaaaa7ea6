/**
 * Which regions may hold what of a partition: the policies of the topology, by the region where the partition was born. What
 * has no policy, the global space with it, may be held whole everywhere.
 */
import { placeOfKey } from './partition.ts';
import type { RegionName, ResidencyPolicy, ServiceName, Topology } from './topology.ts';

/**
 * `whole`: entries and keys; such a region may be home. `sealed`: entries whose personal fields it cannot read, since it
 * never has their subjects' keys.
 */
export type Holding = 'whole' | 'sealed' | 'nothing';

export interface Residency {
  holding(service: ServiceName, partition: number, region: RegionName): Holding;
  /** Regions that may be home to it. */
  homes(service: ServiceName, partition: number): readonly RegionName[];
  /**
   * Regions whose disks count as a second one beside that of the home: those that could be home in its place, and where none
   * could, those that hold it sealed. None: whatever waits for a second region would wait for ever.
   */
  seconds(service: ServiceName, partition: number, home: RegionName): readonly RegionName[];
  /** Of a partition that has a policy: for operators. */
  sentence(service: ServiceName, partition: number): string;
}

/** What a policy means, and what it costs. */
export interface Forfeit {
  readonly service: ServiceName;
  readonly bornIn: RegionName;
  readonly policy: ResidencyPolicy;
  readonly sentence: string;
}

export function residencyIn({ regions, services }: Topology): Residency {
  const all = Object.keys(regions);
  const nameOf = new Map(Object.entries(regions).map(([name, { code }]) => [code, name]));

  function policyOf(service: ServiceName, partition: number): ResidencyPolicy | undefined {
    const policies = services[service]?.residency;
    if (policies === undefined) return undefined;
    const bornIn = nameOf.get(placeOfKey(partition).scope);
    return bornIn === undefined ? undefined : policies[bornIn];
  }

  function holding(service: ServiceName, partition: number, region: RegionName): Holding {
    const policy = policyOf(service, partition);
    return policy === undefined || policy.regions.includes(region) ? 'whole' : policy.elsewhere;
  }

  return {
    holding,
    homes: (service, partition) => policyOf(service, partition)?.regions ?? all,
    seconds(service, partition, home) {
      const policy = policyOf(service, partition);
      const others = (policy?.regions ?? all).filter((region) => region !== home);
      if (others.length > 0 || policy?.elsewhere !== 'sealed') return others;
      return all.filter((region) => region !== home);
    },
    sentence(service, partition) {
      const bornIn = nameOf.get(placeOfKey(partition).scope);
      const among = policyOf(service, partition)?.regions ?? all;
      return `'${service}' of ${bornIn} may be at home in ${among.join(', ')} alone: the topology's residency says so`;
    },
  };
}

/** One sentence a policy; none where no region follows another. */
export function forfeitsOf({ regions, services, coordinator }: Topology): readonly Forfeit[] {
  if (coordinator === undefined) return [];
  return Object.entries(services).flatMap(([service, { residency = {}, durability }]) =>
    Object.entries(residency).map(([bornIn, policy]) => {
      const others = Object.keys(regions).filter((region) => !policy.regions.includes(region));
      const isAcross = durability === 'cross-region';
      const sentence = `${service} of ${bornIn}: ${costOf(bornIn, policy, others, isAcross)}`;
      return { service, bornIn, policy, sentence };
    }),
  );
}

function costOf(
  bornIn: RegionName,
  { regions, elsewhere }: ResidencyPolicy,
  others: readonly RegionName[],
  isAcross: boolean,
): string {
  if (others.length === 0) return 'held whole by every region; forfeits nothing.';
  const there = others.join(', ');
  if (regions.length === 1) {
    if (elsewhere === 'nothing')
      return `held by ${bornIn} alone; forfeits cross-region durability and failover: while ${bornIn} is away they are unavailable, and if it loses its disk they are lost.`;
    return `held by ${bornIn}, and sealed by ${there}; forfeits failover: while ${bornIn} is away they are unavailable, and if it loses its disk their personal fields are lost, and nothing brings the rest back by itself.`;
  }
  const stops = isAcross && regions.length === 2 ? ', and while one of them is away they take no writes' : '';
  const what =
    elsewhere === 'nothing'
      ? `held by ${regions.join(', ')} alone; forfeits copies in ${there}`
      : `held by ${regions.join(', ')}, and sealed by ${there}; forfeits failover to ${there}, which counts as no second disk`;
  return `${what}: while all of ${regions.join(', ')} are away they are unavailable${stops}.`;
}
