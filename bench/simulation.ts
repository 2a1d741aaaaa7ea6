/**
 * How fast the simulation is, on one core: virtual against real time under the faults that seeds draw, and simulated
 * orders in a second when customers do nothing but order.
 *
 *   node tools/launch.mjs --max-semi-space-size=64 bench/simulation.ts
 */
import { realHost } from '../platform/src/host/real.ts';
import type { Plan } from '../sim/src/plan.ts';
import { run as simulate } from '../sim/src/run.ts';
import { type Figure, median, type Say } from './figure.ts';

const ROUNDS = 3;
const SEEDS_A_ROUND = 6;
const VIRTUAL_TARGET = 50;
const ORDERS_TARGET = 1_000;
/** Without replicas, which half of the seeds have: they fold everything twice. */
const ONE_REGION: Partial<Plan> = { regions: ['us-east'], replicas: 0 };
const RUSH: Partial<Plan> = {
  ...ONE_REGION,
  partitions: 4,
  ordersShards: 2,
  writerThreads: 1,
  batchEntriesMax: 4_096,
  snapshotEveryEvents: 256,
  aggregatesCachedMax: 50_000,
  customers: 8,
  handsPerCustomer: 32,
  staff: 1,
  products: 4,
  stock: 100_000,
  isRush: true,
  syncUs: 1_000,
  thinkMs: 5,
  faultsMs: 1_500,
  bankLossPercent: 0,
  faults: [],
};

const { clock } = realHost();

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const speeds: number[] = [];
  const rates: number[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
    const speed = await underFaults(1 + (round + 1) * SEEDS_A_ROUND);
    const rate = await rush(round + 2);
    if (round < 0) continue;
    speeds.push(speed);
    rates.push(rate);
  }
  return [
    figure('simulation, one region under faults, virtual s/s', speeds, VIRTUAL_TARGET),
    figure('simulation, orders on one core, orders/s', rates, ORDERS_TARGET),
  ];
}

/** @returns virtual seconds in a second */
async function underFaults(from: number): Promise<number> {
  const begunMs = clock.monotonicMs();
  let virtualMs = 0;
  for (let seed = from; seed < from + SEEDS_A_ROUND; seed += 1) {
    const ran = await simulate(seed, { set: ONE_REGION });
    if (ran.violations.length > 0) throw new Error(`seed ${seed}: ${ran.violations[0]}`);
    virtualMs += ran.virtualMs;
  }
  return virtualMs / (clock.monotonicMs() - begunMs);
}

/** @returns orders in a second, from the first boot until the last of them has ended */
async function rush(seed: number): Promise<number> {
  const begunMs = clock.monotonicMs();
  let endedMs = begunMs;
  const { orders, violations } = await simulate(seed, {
    set: RUSH,
    onNote(_atMs, text) {
      if (text === 'all processes have ended') endedMs = clock.monotonicMs();
    },
  });
  if (violations.length > 0) throw new Error(`seed ${seed}: ${violations[0]}`);
  return (orders * 1_000) / (endedMs - begunMs);
}

function figure(name: string, values: readonly number[], atLeast: number): Figure {
  const [title, unit] = name.split(/, (?=[^,]*$)/) as [string, string];
  return {
    name: title,
    unit,
    ours: median(values),
    reference: null,
    beside: '',
    ratio: null,
    target: { atLeast },
  };
}

if (import.meta.main)
  for (const { name, unit, ours } of await run(console.error)) console.log(name, ours.toFixed(1), unit);
