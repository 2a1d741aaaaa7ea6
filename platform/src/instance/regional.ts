/** How an instance stands among other regions; nothing of it where the topology has no coordinator: homes never move then. */
import type { Json } from '../base/json.ts';
import { openCoordinator } from '../discovery/discovery.ts';
import type { Host } from '../host/host.ts';
import type { Address } from '../host/network.ts';
import type { Peers } from '../links/peer.ts';
import { openRegions, type Regions } from '../regions/regions.ts';
import type { FollowerStatus } from '../regions/replication/follower.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { COORDINATOR_PEER } from '../topology/engines.ts';
import { placeOfKey } from '../topology/partition.ts';
import type { RegionName, Topology } from '../topology/topology.ts';
import type { Hosted } from './hosted.ts';
import { asJson } from './message.ts';
import type { RegionHomes } from './transfer.ts';

export interface RegionalOptions {
  readonly host: Host;
  readonly topology: Topology;
  readonly region: RegionName;
  readonly services: readonly string[];
  readonly hosted: Hosted;
  /** It takes part in a reshard of its region. */
  readonly isResharded: (service: string, partition: number) => boolean;
  /** @throws CardumeError `fenced` when another process has the region by now */
  readonly check: () => void;
  readonly peers: Pick<Peers, 'request' | 'stream'>;
  readonly onUntil: (untilMs: number) => void;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

const INSTANCE_BYTES = 8;

export function openRegional(options: RegionalOptions): Regions | null {
  const { host, topology, region, services, hosted, peers, onUntil, report } = options;
  const coordinator = homesMoveIn(topology) ? openCoordinator(host, topology, peers) : null;
  if (coordinator === null) return null;
  return openRegions({
    clock: host.clock,
    crypto: host.crypto,
    topology,
    here: region,
    instance: `${region}/${host.random.bytes(INSTANCE_BYTES).toHex()}`,
    services,
    coordinator,
    shards: { ...hosted, check: options.check, isResharded: options.isResharded },
    ask: (other, request) => peers.request(other, asJson({ kind: 'regions', request })) as Promise<Json>,
    stream: (other, request, signal) =>
      peers.stream(other, asJson({ kind: 'replicate', request }), signal) as AsyncIterable<Json>,
    onUntil,
    report,
  });
}

export function measureRegions(metrics: Metrics, regions: Regions): void {
  const follows = (read: (status: FollowerStatus) => number) => (): [string, number][] =>
    regions.status().follows.map((status) => [status.home, read(status)]);
  metrics.gauges(
    'replication_entries_behind',
    'Entries that a home had when it last said so, and that are not here yet',
    'home',
    follows(({ entriesBehind }) => entriesBehind),
  );
  metrics.gauges(
    'replication_behind_seconds',
    'Since all copies of a home were known to be up to date',
    'home',
    follows(({ behindMs }) => (behindMs ?? Number.POSITIVE_INFINITY) / 1000),
  );
  metrics.gauge(
    'replication_alone_entries',
    'Entries of homes here that no other region has yet',
    () => regions.status().alone,
  );
  metrics.gauge(
    'quarantine_undecided_entries',
    'Entries that were cut off copies here and wait for a decision',
    () => regions.status().undecided ?? 0,
  );
  metrics.gauge(
    'replication_alone_seconds',
    'Since when the oldest of them is: what would be lost now is no older',
    () => regions.status().aloneMs / 1000,
  );
  metrics.gauge('region_lease', 'Whether the region may write: 1 or 0', () =>
    regions.status().isHeld ? 1 : 0,
  );
}

/** Homes never move. */
export const ALWAYS_HOME: RegionHomes = {
  isHome: () => true,
  inTurn: (_service, _partition, work) => work(),
};

export function homesBy(regions: Regions): RegionHomes {
  const partitionOf = (service: string, key: number) => ({ service, ...placeOfKey(key) });
  return {
    isHome: (service, key) => regions.isHome(partitionOf(service, key)),
    inTurn: (service, key, work) => regions.inTurn(partitionOf(service, key), work),
  };
}

/** Whether regions take partitions over from each other: it takes two of them, and something to agree by. */
export const homesMoveIn = ({ coordinator, regions }: Topology): boolean =>
  coordinator !== undefined && Object.keys(regions).length > 1;

/** Where a link goes: to another region's instance, or to the coordinator. */
export function addressOfPeer({ regions, coordinator }: Topology, name: string): Address | null {
  if (name === COORDINATOR_PEER && coordinator?.engine === 'embedded') {
    const { host, port } = coordinator;
    return { host, port };
  }
  const other = regions[name];
  return other === undefined ? null : { host: other.host, port: other.peerPort };
}
