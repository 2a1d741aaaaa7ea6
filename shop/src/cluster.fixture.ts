/**
 * The real application in three regions, for tests: three instances with real hosts in this process, on free ports and
 * a folder of their own. Two things are more than `npm start` has: the clock can be moved forward, so that time-outs
 * pass without waiting, and a region can be killed as a crash does it. Cryptography counts its password hashes.
 */
import { strictEqual } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { logPlaceOf } from 'cardume/cqrs/engines';
import { type RunningCoordinator, startCoordinator } from 'cardume/discovery/embedded/server';
import type { LogPlace, Snapshot } from 'cardume/events/engine';
import { driverOf } from 'cardume/events/engines';
import { verifyLog } from 'cardume/events/verify';
import type { Clock, Host } from 'cardume/host';
import type { Listener } from 'cardume/host/network';
import { realHost } from 'cardume/host/real';
import type { Principal } from 'cardume/identity/principal';
import { openTokens } from 'cardume/identity/tokens';
import { type Instance, type Secrets, startInstance } from 'cardume/instance';
import { placeOf } from 'cardume/instance/storage';
import { engineAsked, storageOf } from 'cardume/testing/storage';
import type { Bounds, RegionTopology, ServiceTopology, Topology } from 'cardume/topology';
import { COORDINATOR_PEER } from 'cardume/topology/engines';
import house from '../../cardume.config.ts';
import { acceptedSockets, type Life, lifeOf } from './life.fixture.ts';
import { MovedClock } from './moved-clock.fixture.ts';
import type { Payments } from './orders/payment.ts';
import { shop } from './shop.ts';

export interface Cluster {
  readonly regions: readonly string[];
  readonly topology: Topology;
  readonly secrets: Secrets;
  /** Of the role staff, for an hour. */
  readonly staff: string;
  /** @param agoS issued so long ago. @param by another cluster's secrets: a forgery */
  tokenOf(principal: Principal, agoS?: number, by?: Secrets): string;
  ask(region: string, method: string, path: string, options?: AskOptions): Promise<Reply>;
  /** Asks and expects a 2xx answer. @returns its body */
  done(region: string, method: string, path: string, options?: AskOptions): Promise<Body>;
  /** Server-sent events of a path. */
  follow(region: string, path: string, options?: AskOptions): Promise<Following>;
  /** Password hashes begun in all regions since the start. */
  readonly hashes: number;
  /** The provider that the region's orders are paid by, at the far end of its line. */
  payments(region: string): Payments;
  /** Moves the clock of all regions, step by step, so that what is due happens in order. */
  advance(forMs: number, stepMs?: number): Promise<void>;
  /** Sum of the positions of all logs: any entry, of whatever kind, changes it. */
  entries(): Promise<number>;
  /** Entries that stand in segments, of a service's logs. */
  archived(service: string): Promise<number>;
  /** What `verifyLog` finds in all logs. */
  faults(): Promise<readonly string[]>;
  /** Process instances that have not ended, over the regions that run. */
  processesOpen(): Promise<number>;
  /** Waits until every process of every region has ended. */
  settled(): Promise<void>;
  /** `drain` as an operator stops it; `kill` as a crash does: threads, links and sockets end at once. */
  stop(region: string, how: 'drain' | 'kill'): Promise<void>;
  /** Until it is stopped no other region reaches it, nor has what it writes; it reaches them, and keeps its lease. */
  isolate(region: string): void;
  /** @param services what they have from now on, in place of `ClusterOptions.services` */
  start(region: string, services?: ClusterOptions['services']): Promise<void>;
  /** Of all data: the files of a region stand in a folder of its name. */
  readonly folder: string;
  /** Lines of the level error that the regions wrote. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

export interface AskOptions {
  readonly token?: string | null;
  /** Idempotency-Key. */
  readonly key?: string;
  /** JSON. */
  readonly body?: unknown;
  /** Sent as they are. */
  readonly bytes?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look at documents of many shapes
export type Body = any;

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Parsed when it is JSON. */
  readonly body: Body;
}

export interface Following {
  readonly status: number;
  readonly events: AsyncGenerator<{ readonly id: string; readonly event: string; readonly data: Body }>;
  close(): void;
}

export interface ClusterOptions {
  readonly bounds?: Partial<Bounds>;
  /** Each shard has one. */
  readonly replicas?: boolean;
  /** Orders that have ended are archived. */
  readonly archives?: boolean;
  /** Regions follow each other, and take over from each other. */
  readonly coordinated?: boolean;
  /** Of orders and products. */
  readonly durability?: 'region' | 'cross-region';
  /** What services have beside what the house's topology says. */
  readonly services?: Readonly<Record<string, Partial<ServiceTopology>>>;
  /** Connections of this client to each region. */
  readonly connectionsMax?: number;
  /** What stands between the shop and its provider, such as a line that breaks. */
  readonly payments?: (provider: Payments) => Payments;
}

const HOST = '127.0.0.1';
/** One that is not of the house. */
const OWN_ENGINE = import.meta.resolve('cardume/cqrs/own-engine.fixture');
/** So long that only what never comes about misses it, on a busy machine too. */
const WAIT_MS_MAX = 60_000;

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { bounds = {}, replicas = false, archives = false, connectionsMax = 64 } = options;
  const { coordinated = false, durability = 'region', services: changes = {} } = options;
  const { payments: between = (provider) => provider } = options;
  const real = realHost();
  const folder = await mkdtemp(join(tmpdir(), 'cardume-shop-'));
  const storage = await storageOf(real, engineAsked(real), replicas);
  const free = await freeTopology(real, bounds);
  const services = Object.entries(free.services).map(
    ([name, service]) =>
      [
        name,
        {
          ...service,
          replicas: replicas ? 1 : 0,
          archives: archives && name === 'orders',
          ...(name === 'users' ? {} : { durability }),
          ...changes[name],
        },
      ] as const,
  );
  const { coordinator: _, ...apart } = free;
  const topology: Topology = {
    ...(coordinated ? free : apart),
    services: Object.fromEntries(services),
    engines: {
      ...storage.engines,
      modules: { own: { module: OWN_ENGINE, options: { folder: `${folder}/own` } } },
    },
  };
  const regions = Object.keys(topology.regions);
  const secrets = newSecrets(real);
  const clock = new MovedClock(real.clock);
  const agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });
  const running = new Map<string, { readonly instance: Instance; readonly life: Life }>();
  const payments = new Map<string, Payments>();
  const complaints: string[] = [];
  const counted = { hashes: 0 };
  const sockets = acceptedSockets();

  const counting: Host = {
    ...real,
    clock,
    crypto: {
      ...real.crypto,
      argon2id(...hashed) {
        counted.hashes += 1;
        return real.crypto.argon2id(...hashed);
      },
    },
    env: {
      ...real.env,
      get: (name) =>
        name === 'CARDUME_LOG_LEVEL' ? 'error' : (storage.variables[name] ?? real.env.get(name)),
      write: (line) => void complaints.push(line),
    },
  };

  function tokenOf(principal: Principal, agoS = 0, by = secrets): string {
    const then = { nowMs: () => clock.nowMs() - agoS * 1_000 } as Clock;
    const options = { key: by.tokenKey, issuer: topology.name, tokensCachedMax: 1 };
    return openTokens({ clock: then }, options).issue(principal).token;
  }
  const staff = tokenOf({ id: 'operator', role: 'staff' });

  async function start(region: string, changed: ClusterOptions['services'] = {}): Promise<void> {
    const life = lifeOf(counting);
    const now = Object.entries(topology.services).map(([name, service]) => {
      return [name, { ...service, ...changed[name] }];
    });
    const instance = await startInstance({
      host: life.host,
      topology: { ...topology, services: Object.fromEntries(now) },
      application: shop((provider) => {
        payments.set(region, provider);
        return between(provider);
      }),
      region,
      dataFolder: folder,
      secrets,
    });
    running.set(region, { instance, life });
  }

  async function stop(region: string, how: 'drain' | 'kill'): Promise<void> {
    const { instance, life } = runningIn(region);
    running.delete(region);
    if (how === 'kill') {
      await life.end();
      sockets.destroy((topology.regions[region] as RegionTopology).port);
      sockets.destroy((topology.regions[region] as RegionTopology).peerPort);
      // What is left only gives its ports back; that its storage is gone is what was wanted.
      await instance.drain().catch(() => undefined);
    } else {
      await instance.drain();
    }
  }

  function runningIn(region: string) {
    const found = running.get(region);
    strictEqual(found === undefined, false, `${region} does not run`);
    return found as NonNullable<typeof found>;
  }

  function send(region: string, method: string, path: string, options: AskOptions): Promise<IncomingMessage> {
    const { token = null, key, body, bytes, headers } = options;
    const payload = bytes ?? (body === undefined ? undefined : Buffer.from(JSON.stringify(body)));
    return new Promise((resolve, reject) => {
      const outgoing = request({
        host: HOST,
        port: (topology.regions[region] as RegionTopology).port,
        method,
        path,
        agent,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
          ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
      });
      outgoing.once('error', reject);
      outgoing.once('response', resolve);
      outgoing.end(payload);
    });
  }

  async function ask(region: string, method: string, path: string, options: AskOptions = {}): Promise<Reply> {
    const incoming = await send(region, method, path, options);
    let text = '';
    incoming.setEncoding('utf8');
    for await (const chunk of incoming) text += chunk;
    const { statusCode: status = 0, headers } = incoming;
    const isJson = /json/.test(headers['content-type'] ?? '');
    return { status, headers, text, body: isJson && text !== '' ? JSON.parse(text) : null };
  }

  async function done(region: string, method: string, path: string, options: AskOptions = {}): Promise<Body> {
    const { status, text, body } = await ask(region, method, path, options);
    if (status < 200 || status > 299) throw new Error(`${method} ${path} in ${region}: ${status} ${text}`);
    return body;
  }

  async function processesOpen(): Promise<number> {
    let sum = 0;
    for (const region of running.keys()) {
      const { text } = await ask(region, 'GET', '/metrics');
      sum += Number(/^cardume_processes_open (\d+)$/m.exec(text)?.[1]);
    }
    return sum;
  }

  const cluster: Cluster = {
    regions,
    topology,
    secrets,
    staff,
    tokenOf,
    ask,
    done,
    async follow(region, path, options = {}) {
      const incoming = await send(region, 'GET', path, options);
      return {
        status: incoming.statusCode ?? 0,
        events: eventsOf(incoming),
        close: () => void incoming.destroy(),
      };
    },
    get hashes() {
      return counted.hashes;
    },
    payments: (region) => payments.get(region) as Payments,
    advance: (forMs, stepMs = 500) => clock.advance(forMs, stepMs),
    async entries() {
      const looked = await lookAtLogs(counting, topology, folder, async ({ heads }) =>
        (await heads()).reduce((sum, { position }) => sum + position, 0),
      );
      return looked.reduce((sum, { seen }) => sum + seen, 0);
    },
    async archived(service) {
      const looked = await lookAtLogs(counting, topology, folder, async ({ heads, archivedUpTo }) => {
        let sum = 0;
        for (const { partition } of await heads()) sum += await archivedUpTo(partition);
        return sum;
      });
      return looked.reduce((sum, one) => sum + (one.service === service ? one.seen : 0), 0);
    },
    async faults() {
      const found: string[] = [];
      for (const place of await logPlaces(counting, topology, folder))
        found.push(...(await verifyLog(counting, place.log)).faults);
      return found;
    },
    processesOpen,
    settled: () => until('every process has ended', async () => (await processesOpen()) === 0),
    stop,
    start,
    isolate: (region) => runningIn(region).life.isolate(),
    folder,
    complaints,
    async close() {
      agent.destroy();
      await Promise.all([...running.keys()].map((region) => stop(region, 'drain')));
      await coordinator?.close();
      sockets.forget();
      await rm(folder, { recursive: true, force: true });
      await storage.clear();
    },
  };
  const coordinator = coordinated ? await coordinate(counting, topology, secrets, folder) : null;
  await Promise.all(regions.map((region) => start(region)));
  return cluster;
}

/** Looks again and again, for at most a minute. @throws Error that names what did not come about */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const { clock } = realHost();
  const begunMs = clock.monotonicMs();
  while (!(await holds())) {
    if (clock.monotonicMs() - begunMs > WAIT_MS_MAX) throw new Error(`not within ${WAIT_MS_MAX} ms: ${what}`);
    await clock.sleep(5);
  }
}

export function newSecrets({ crypto, random }: Host): Secrets {
  return { tokenKey: crypto.newSigningKey(), masterKey: random.bytes(32), clusterSecret: random.bytes(32) };
}

/** The house's own topology on ports that are free now. */
async function freeTopology({ network }: Host, bounds: Partial<Bounds>): Promise<Topology> {
  const names = Object.keys(house.regions);
  const listeners: Listener[] = [];
  for (let i = 0; i < 2 * names.length + 1; i += 1)
    listeners.push(await network.listen({ host: HOST, port: 0 }, () => {}));
  const ports = listeners.map(({ address }) => address.port);
  await Promise.all(listeners.map((listener) => listener.close()));
  const regions = Object.entries(house.regions).map(([name, region], i) => {
    return [name, { ...region, port: ports[2 * i] as number, peerPort: ports[2 * i + 1] as number }] as const;
  });
  return {
    ...house,
    regions: Object.fromEntries(regions),
    coordinator: { engine: 'embedded', host: HOST, port: ports.at(-1) as number },
    bounds: { ...house.bounds, ...bounds },
  };
}

function coordinate(
  host: Host,
  { coordinator }: Topology,
  { clusterSecret: secret }: Secrets,
  folder: string,
): Promise<RunningCoordinator> {
  if (coordinator?.engine !== 'embedded') throw new Error('the coordinator of this cluster is embedded');
  const { port } = coordinator;
  const address = { host: HOST, port };
  return startCoordinator(host, {
    name: COORDINATOR_PEER,
    address,
    path: `${folder}/coordinator.db`,
    secret,
  });
}

interface LogOf {
  readonly service: string;
  readonly log: LogPlace;
}

async function logPlaces(host: Host, topology: Topology, folder: string): Promise<LogOf[]> {
  const found: LogOf[] = [];
  for (const region of Object.keys(topology.regions))
    for (const [service, { shards }] of Object.entries(topology.services))
      for (let i = 0; i < shards; i += 1) {
        const shard = { service, name: `${service}-${i}` };
        const log = logPlaceOf(await placeOf(host, topology, folder, region, shard));
        found.push({ service, log });
      }
  return found;
}

async function lookAtLogs<T>(
  host: Host,
  topology: Topology,
  folder: string,
  look: (snapshot: Snapshot) => Promise<T>,
): Promise<{ readonly service: string; readonly seen: T }[]> {
  const seen: { readonly service: string; readonly seen: T }[] = [];
  for (const { service, log } of await logPlaces(host, topology, folder))
    seen.push({ service, seen: await (await driverOf(host, log)).inspect(host, log, look) });
  return seen;
}

async function* eventsOf(incoming: IncomingMessage): Following['events'] {
  let text = '';
  incoming.setEncoding('utf8');
  for await (const chunk of incoming) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const fields = new Map(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => line.split(/: (.*)/s) as [string, string]),
      );
      text = text.slice(end + 2);
      const [id, event, data] = [fields.get('id'), fields.get('event'), fields.get('data')];
      if (id !== undefined && event !== undefined && data !== undefined)
        yield { id, event, data: JSON.parse(data) };
    }
  }
}
