/**
 * The DNS server of the edge: tells each client the addresses of a region that is up, by the policy of `edge.dns`. What
 * a managed DNS does with health checks in production, on one machine.
 */
import type { Network } from '../../base/ip.ts';
import type { Host } from '../../host/host.ts';
import type { Log } from '../../telemetry/log.ts';
import type { DnsTopology, Topology } from '../../topology/topology.ts';
import type { HealthTable } from '../health.ts';
import { openRate } from './rate.ts';
import { respond, serverFailure } from './respond.ts';
import { openSockets, type Sockets } from './sockets.ts';
import { zoneOf } from './zone.ts';

export interface DnsOptions {
  readonly topology: Topology;
  readonly dns: DnsTopology;
  readonly host: Pick<Host, 'clock'>;
  readonly log: Log;
  readonly health: () => HealthTable;
}

/** Of a client's network, over each transport. */
const QUERIES_PER_S = 1_000;
/** Between two lines of the log about the same. */
const LOG_INTERVAL_MS = 60_000;

/** @throws Error of Node, such as `EADDRINUSE`, when it cannot listen */
export async function openDns({ topology, dns, host, log, health }: DnsOptions): Promise<Sockets> {
  const { clock } = host;
  const zone = zoneOf(topology, dns, Math.floor(clock.nowMs() / 1000));
  const queriesPerS = dns.queriesPerS ?? QUERIES_PER_S;
  const rates = { udp: openRate(clock, queriesPerS), tcp: openRate(clock, queriesPerS) };
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  const warn = (message: string, fields: Record<string, unknown>): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs < quietUntilMs) return;
    quietUntilMs = nowMs + LOG_INTERVAL_MS;
    log.warn(message, fields);
  };
  return openSockets({
    clock,
    log,
    address: { host: dns.host ?? topology.edge.host, port: dns.port },
    answer(message, client, transport) {
      const taken = rates[transport].take(client);
      if (taken !== 'answer') {
        warn('a network asks the DNS server more than it may', { network: shown(client), queriesPerS });
        if (taken === 'drop' || transport === 'tcp') return null;
      }
      const asking = { transport, address: client, nowMs: clock.nowMs(), isLimited: taken === 'cut' };
      try {
        return respond(zone, message, health(), asking);
      } catch (error) {
        log.error('a DNS query has no answer', { error, query: Buffer.from(message).toString('hex') });
        return serverFailure(message);
      }
    },
  });
}

const shown = ({ bytes }: Network): string =>
  bytes.length === 4 ? bytes.join('.') : Buffer.from(bytes).toString('hex');
