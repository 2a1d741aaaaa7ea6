/** The embedded coordinator under a host of the caller's, for its conformance suite. */
import type { Coordinator } from '../discovery/coordinator.ts';
import { openEmbedded } from '../discovery/embedded/client.ts';
import { startCoordinator } from '../discovery/embedded/server.ts';
import type { Host } from '../host/host.ts';
import { openPeers, type Peers } from '../links/peer.ts';
import type { CoordinatorHarness } from './coordinator-conformance.ts';
import { type CoordinatorUnderTest, put } from './coordinator-conformance-case.ts';
import type { Simulation } from './simulated/host.ts';

const SECRET = new TextEncoder().encode('the secret of this cluster');
const NAME = 'coordinator';
/** As few as `forget` can push out, and as many as the cases look back to. */
const NEWS_MAX = 400;
const TTL_MS = 400;

export interface EmbeddedOptions {
  /** Where the server runs, and the address that it listens on. */
  readonly host: Host;
  readonly listen: string;
  readonly path: string;
  /** Where the clients run. */
  readonly client?: Host;
  /** What a client is to the cases; it as it is when left out. */
  readonly seen?: (client: Coordinator) => Coordinator;
}

export function embeddedUnderTest({
  host,
  listen,
  path,
  client = host,
  seen = (one) => one,
}: EmbeddedOptions): CoordinatorUnderTest & {
  close(): Promise<void>;
} {
  const clients: Peers[] = [];
  const running = startCoordinator(host, {
    ...{ name: NAME, address: { host: listen, port: 0 }, path, secret: SECRET },
    recent: { newsMax: NEWS_MAX, charsMax: 8 * 1024 * 1024 },
  });
  async function open(): Promise<Coordinator> {
    const { address } = await running;
    const peers = openPeers(client, {
      ...{ self: `client-${clients.length}`, secret: SECRET, timeoutMs: 2_000, requestsMax: 100 },
      addressOf: () => address,
      serve: () => Promise.reject(new Error('nobody asks a client')),
    });
    clients.push(peers);
    return seen(openEmbedded(peers, { name: NAME }));
  }
  return {
    host: client,
    open,
    ttlMs: TTL_MS,
    async forget() {
      const one = await open();
      const many = Array.from({ length: 100 }, (_, i) => ({ key: `forget/${i}`, value: '' }));
      for (let i = 0; i < NEWS_MAX / 100; i += 1) await put(one, ...many);
    },
    async close() {
      await Promise.all(clients.map((peers) => peers.close()));
      await (await running).close();
    },
  };
}

/** Server and client on machines of one world. @param changed the host of the server */
export function simulatedHarness(
  world: Simulation,
  changed: (host: Host) => Host = (host) => host,
  seen?: (client: Coordinator) => Coordinator,
): CoordinatorHarness {
  const under = embeddedUnderTest({
    ...{ host: changed(world.machine('coordinator')), listen: 'coordinator', path: '/data/coordinator.db' },
    ...{ client: world.machine('us-east'), ...(seen === undefined ? {} : { seen }) },
  });
  return {
    ...under,
    done: (work) => world.run(work),
    async close() {
      await world.run(under.close());
      world.close();
    },
  };
}
