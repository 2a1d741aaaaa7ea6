/**
 * The face of the edge: one address for all regions, which sends each client to the nearest healthy one, and a DNS server
 * that tells clients a region's own address.
 */
import type { Host } from '../host/host.ts';
import type { Log } from '../telemetry/log.ts';
import type { RegionName, Topology } from '../topology/topology.ts';
import { openDns } from './dns/dns.ts';
import { type HealthTable, watchHealth } from './health.ts';
import { openProxy } from './proxy.ts';
import { regionOrder, wishedRegion } from './routing.ts';

export interface EdgeOptions {
  readonly host: Pick<Host, 'clock' | 'random'>;
  readonly topology: Topology;
  readonly log: Log;
  /** Default 500 ms. */
  readonly probeIntervalMs?: number;
}

export interface Edge {
  readonly address: { readonly host: string; readonly port: number };
  /** Where the DNS server listens, on UDP and TCP; null without one. */
  readonly dns: { readonly host: string; readonly port: number } | null;
  health(): HealthTable;
  /** Lets requests finish for at most `bounds.drainTimeoutMs`. */
  drain(): Promise<void>;
}

/**
 * Listens on `topology.edge`, and on `topology.edge.dns`; resolves when every region was probed once, so that no first request meets an edge that
 * knows nothing yet.
 * @throws Error of Node, such as `EADDRINUSE`, when it cannot listen
 */
export async function startEdge({ host, topology, log, probeIntervalMs }: EdgeOptions): Promise<Edge> {
  /** By the region wished for; made anew when health changes. */
  let orders = new Map<RegionName | null, readonly RegionName[]>();
  const proxy = await openProxy({
    topology,
    host,
    log,
    order(facts) {
      const wished = wishedRegion(facts, topology.regions);
      let order = orders.get(wished);
      if (order === undefined) {
        order = regionOrder(wished, health.table());
        orders.set(wished, order);
      }
      return order;
    },
    onUndelivered: (region) => health.requestFailed(region),
  });
  const health = watchHealth({
    clock: host.clock,
    regions: Object.keys(topology.regions),
    probe: proxy.probe,
    ...(probeIntervalMs === undefined ? {} : { intervalMs: probeIntervalMs }),
    onChange(region, after, before) {
      orders = new Map();
      if (after.mayWrite !== before.mayWrite)
        log.info(after.mayWrite ? 'a region may write again' : 'a region may not write', { region });
      if (after.state === before.state) return;
      if (after.state === 'down' && before.state === 'up') {
        log.warn('a region is down', { region });
        proxy.leave(region);
      } else if (after.state === 'up' && before.state === 'down')
        log.info('a region is up again', { region });
    },
  });
  await health.firstRound;
  const { drainTimeoutMs } = topology.bounds;
  const { dns: wanted } = topology.edge;
  const opened =
    wanted === undefined ? null : openDns({ topology, dns: wanted, host, log, health: health.table });
  const dns = await opened?.catch(async (error: unknown) => {
    health.stop();
    await proxy.drain(0);
    throw error;
  });
  return {
    address: proxy.address,
    dns: dns?.address ?? null,
    health: health.table,
    async drain() {
      health.stop();
      await Promise.all([proxy.drain(drainTimeoutMs), dns?.drain(drainTimeoutMs)]);
    },
  };
}
