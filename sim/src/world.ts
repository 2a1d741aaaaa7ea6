/**
 * The simulated cluster: a machine for each region with the whole shop on it, as `startInstance` starts it in
 * production; the provider's machine; the clients' machines. Whatever ends a process, its supervisor starts another.
 */
import { shop } from '@cardume/shop/shop';
import { isCardumeError } from 'cardume/base';
import { startCoordinator } from 'cardume/discovery/embedded/server';
import type { HttpOptions } from 'cardume/gateway/http';
import { openTokens } from 'cardume/identity/tokens';
import { type Instance, type Secrets, startInstance } from 'cardume/instance';
import { type SimulatedMachine, type Simulation, simulation } from 'cardume/testing/simulated/host';
import { NoAnswer, simulatedClient, simulatedHttp } from 'cardume/testing/simulated/http';
import type { RegionTopology, Topology } from 'cardume/topology';
import { COORDINATOR_PEER } from 'cardume/topology/engines';
import house from '../../cardume.config.ts';
import { type Bank, openBank } from './bank.ts';
import type { Coverage } from './coverage.ts';
import { COORDINATOR, NEAR_MS, type Plan } from './plan.ts';
import { headersOf, type Transport } from './transport.ts';

export interface World {
  readonly simulation: Simulation;
  readonly topology: Topology;
  readonly secrets: Secrets;
  readonly bank: Bank;
  readonly dataFolder: string;
  machine(region: string): SimulatedMachine;
  /** What a sync of its disk takes when it is well. */
  syncUs(region: string): number;
  /** One way between two machines whose link is well. */
  apartMs(here: string, there: string): number;
  /** The instance that runs there; null while it starts, or when it is down. */
  instance(region: string): Instance | null;
  /** Starts a process where none runs or starts, again and again until one stands. */
  boot(region: string): void;
  /** Entries that the region says it has alone, in this moment; null when it does not say. */
  alone(region: string): Promise<number | null>;
  /**
   * What ran there has ended, or is cut off from its clients.
   * @returns whether nothing has been started there since
   */
  down(region: string): () => boolean;
  /** Since when each region was up or down, in order. */
  readonly states: readonly RegionState[];
  /** A transport from one machine of clients. */
  transport(machine: string): Transport;
  /** Of the role staff, for an hour less what clocks may be behind. */
  readonly staffToken: string;
  /** So is this one, of a customer. */
  tokenOf(account: string): string;
}

export interface RegionState {
  readonly atMs: number;
  readonly region: string;
  readonly isUp: boolean;
}

const DATA = '/data';
const COORDINATOR_ADDRESS = { host: '10.0.0.99', port: 90 };
export const COORDINATOR_FILE = '/data/coordinator.db';
const START_AGAIN_MS = 400;
const SLOW_SYNC_US = 25_000;
const CLOCKS_BEHIND_MS_MAX = 600_000;

/** @param wrong takes what must never happen */
export function openWorld(plan: Plan, coverage: Coverage, wrong: (what: string) => void): World {
  const sim = simulation({ seed: plan.seed });
  const topology = topologyOf(plan);
  const setUp = sim.machine('operator');
  const secrets: Secrets = {
    tokenKey: setUp.crypto.newSigningKey(),
    masterKey: setUp.random.bytes(32),
    clusterSecret: setUp.random.bytes(32),
  };
  const bank = openBank(sim.machine('bank').clock, sim.stream('bank'), plan.bankLossPercent);
  const running = new Map<string, Instance>();
  const starting = new Set<string>();
  const states: RegionState[] = [];
  /** Which start of a region counts: what an earlier one comes to does not. */
  const starts = new Map<string, number>();
  /** What the instance that was started last shows of itself. */
  const pages = new Map<string, HttpOptions['pages']>();

  /** What regions agree on, in a process of its own. */
  function bootCoordinator(): void {
    const machine = sim.machine(COORDINATOR);
    const host = machine.process();
    const start = (starts.get(COORDINATOR) ?? 0) + 1;
    starts.set(COORDINATOR, start);
    startCoordinator(host, {
      name: COORDINATOR_PEER,
      address: COORDINATOR_ADDRESS,
      path: COORDINATOR_FILE,
      secret: secrets.clusterSecret,
    }).catch((error: unknown) => {
      if (starts.get(COORDINATOR) !== start) return;
      if (!isCardumeError(error)) wrong(`the coordinator does not start: ${(error as Error).stack}`);
      machine.kill();
      setUp.clock.after(START_AGAIN_MS, () => {
        if (starts.get(COORDINATOR) === start) bootCoordinator(); // else whoever ended it starts the next
      });
    });
  }

  function boot(region: string): void {
    if (region === COORDINATOR) {
      bootCoordinator();
      return;
    }
    if (running.has(region) || starting.has(region)) return;
    starting.add(region);
    const start = (starts.get(region) ?? 0) + 1;
    starts.set(region, start);
    const machine = sim.machine(region);
    machine.variables.set('CARDUME_LOG_LEVEL', 'error');
    const host = machine.process();
    const isCurrent = (): boolean => starts.get(region) === start;
    startInstance({
      host,
      topology,
      application: shop(() => bank.line(host.clock)),
      region,
      dataFolder: DATA,
      secrets,
      openServer(options) {
        pages.set(region, options.pages);
        return simulatedHttp(host)(options);
      },
    }).then(
      (instance) => {
        if (!isCurrent()) return;
        starting.delete(region);
        if (machine.torn > 0) coverage.reached('a torn log was opened again');
        running.set(region, instance);
        states.push({ atMs: sim.elapsedMs(), region, isUp: true });
      },
      (error: unknown) => {
        if (!isCurrent()) return;
        if (!isCardumeError(error)) wrong(`${region} does not start: ${(error as Error).stack}`);
        // Its process ends with an exit code, and the supervisor starts the next.
        const isDown = down(region);
        machine.kill();
        setUp.clock.after(START_AGAIN_MS, () => {
          if (isDown()) boot(region); // else whoever ended it starts the next
        });
      },
    );
  }

  function down(region: string): () => boolean {
    states.push({ atMs: sim.elapsedMs(), region, isUp: false });
    running.delete(region);
    starting.delete(region);
    const start = (starts.get(region) ?? 0) + 1;
    starts.set(region, start);
    return () => starts.get(region) === start;
  }

  const past = { nowMs: () => setUp.clock.nowMs() - CLOCKS_BEHIND_MS_MAX } as typeof setUp.clock;
  const tokens = openTokens(
    { clock: past },
    { key: secrets.tokenKey, issuer: topology.name, tokensCachedMax: 1 },
  );

  return {
    simulation: sim,
    topology,
    secrets,
    bank,
    dataFolder: DATA,
    machine: (region) => sim.machine(region),
    syncUs: (region) => (region === plan.slowRegion ? Math.max(SLOW_SYNC_US, plan.syncUs) : plan.syncUs),
    apartMs: (here, there) =>
      plan.regions.includes(here) && plan.regions.includes(there) ? plan.apartMs : NEAR_MS,
    instance: (region) => running.get(region) ?? null,
    boot,
    async alone(region) {
      if (!running.has(region)) return null;
      const shown = await pages.get(region)?.get('/metrics')?.();
      const told = /^cardume_replication_alone_entries (\d+)$/m.exec(String(shown?.body));
      return told === null ? null : Number(told[1]);
    },
    states,
    down,
    transport(name) {
      const client = simulatedClient(sim.machine(name));
      return {
        ask(region, request, timeoutMs) {
          const { host, port } = topology.regions[region] as RegionTopology;
          const { method, path, body } = request;
          const text = body === undefined ? '' : JSON.stringify(body);
          const asked = { method, path, headers: headersOf(request), body: text };
          return client.ask({ host, port }, asked, timeoutMs).catch((error: unknown) => {
            if (error instanceof NoAnswer) return null;
            throw error;
          });
        },
      };
    },
    staffToken: tokens.issue({ id: 'operator', role: 'staff' }).token,
    tokenOf: (account) => tokens.issue({ id: account, role: 'customer' }).token,
  };
}

/** The house's own topology with the plan's sizes, a machine a region. */
function topologyOf(plan: Plan): Topology {
  const { partitions, globalPartitions, replicas } = plan;
  const regions = plan.regions.map((name) => {
    const region = house.regions[name] as RegionTopology;
    const { code } = region;
    // Whoever no region lists lives in the first.
    const countries = [...region.countries.filter((one) => one !== '*'), ...(code === 1 ? ['*'] : [])];
    return [name, { ...region, host: `10.0.0.${code}`, port: 80, peerPort: 90, countries }] as const;
  });
  const durable = (service: 'users' | 'products' | 'orders') => {
    if (!plan.isCoordinated) return {};
    const mayLose = service !== 'users' && plan.alone.includes(service);
    return { durability: mayLose ? ('region' as const) : ('cross-region' as const) };
  };
  const { coordinator: _, ...apart } = house;
  return {
    ...apart,
    ...(plan.isCoordinated ? { coordinator: { engine: 'embedded', ...COORDINATOR_ADDRESS } as const } : {}),
    regions: Object.fromEntries(regions),
    services: {
      users: { partitions, globalPartitions, shards: 1, ...durable('users') },
      products: { partitions, globalPartitions, shards: 1, ...durable('products') },
      orders: {
        partitions,
        globalPartitions: 0,
        shards: Math.min(plan.ordersShards, partitions),
        replicas,
        ...durable('orders'),
      },
    },
    bounds: {
      ...house.bounds,
      batchEntriesMax: plan.batchEntriesMax,
      writerThreadsMax: plan.writerThreads,
      snapshotEveryEvents: plan.snapshotEveryEvents,
      aggregatesCachedMax: plan.aggregatesCachedMax,
      tokensCachedMax: 1_000,
      requestTimeoutMs: 6_000,
      peerTimeoutMs: 2_500,
    },
  };
}
