/** Serves `bench/dns.ts` in a process of its own: `dns`, the edge's DNS server, or `echo`, a bare UDP socket. */
import { createSocket } from 'node:dgram';
import written from '../cardume.config.ts';
import { openDns } from '../platform/src/edge/dns/dns.ts';
import { realHost } from '../platform/src/host/real.ts';
import type { Log } from '../platform/src/telemetry/log.ts';

const HOST = '127.0.0.1';
const NETWORKS = 1_000;

async function dns(): Promise<number> {
  const regions = Object.keys(written.regions);
  const networks = Object.fromEntries(
    Array.from({ length: NETWORKS }, (_, i) => [
      `${10 + (i & 3)}.${i >> 2}.0.0/16`,
      regions[i % regions.length] as string,
    ]),
  );
  const server = {
    port: 0,
    zone: 'cardume.test',
    name: 'shop',
    policy: 'geo',
    networks,
    queriesPerS: 10_000_000,
  } as const;
  const up = {
    state: 'up',
    contrary: 0,
    steady: 0,
    flaps: 0,
    roundTripsMs: [1],
    roundTripMs: 1,
    mayWrite: true,
  } as const;
  const table = Object.fromEntries(regions.map((name) => [name, up]));
  const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };
  const opened = await openDns({
    topology: written,
    dns: server,
    host: realHost(),
    log: silent,
    health: () => table,
  });
  return opened.address.port;
}

async function echo(): Promise<number> {
  const socket = createSocket('udp4');
  socket.on('message', (message, { address, port }) => socket.send(message, port, address, () => {}));
  await new Promise<void>((resolve) => socket.bind(0, HOST, resolve));
  return socket.address().port;
}

console.log(`udp://${HOST}:${await (process.argv[2] === 'dns' ? dns() : echo())}`);
