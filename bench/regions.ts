/**
 * What regions cost that are far from each other: three of them with 100 ms of round trip on every line between them, and
 * to the coordinator. All share the processors of this machine with whoever asks.
 *
 *   order placed, p50      with the round trip, in turns with lines that go straight
 *   replication lag, p99   each region's own word on how old its copies are at most, at half of the orders that come through
 *   global reads           that may be some seconds old, from every region, while orders come in
 *
 *   node tools/launch.mjs bench/regions.ts
 */
import { compared, type Figure, median, type Say } from './figure.ts';
import { type Regional, startRegional } from './regional.ts';
import { latencyOf, type Sample, steadyLoad } from './steady-load.ts';

const ROUND_TRIP_MS = 100;
/** Over all regions, so that nothing waits for a processor. */
const ORDERS_A_SECOND = 30;
const ROUNDS = 5;
const ROUND_MS = 4_000;
/** What was sent before has arrived. */
const QUIET_MS = 1_500;

const PEAK_ORDERS = 4_000;
const PEAK_CALLERS = 48;
const LAG_MS = 20_000;
const LOOK_EVERY_MS = 100;
const CONFIRMED_MS_MAX = 120_000;

const READS_MS = 10_000;
/** Of each kind, in each region. */
const READS_A_SECOND = 20;
const STALENESS_MS = 5_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const oneOf = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T;

export async function run(say: Say = () => {}): Promise<Figure[]> {
  return [
    ...(await withRegional('region', async (regional) => [
      await placedNearBy(regional, say),
      ...(await read(regional, say)),
      await lag(regional, say),
    ])),
    ...(await withRegional('cross-region', async (regional) => [await placedAcross(regional, say)])),
  ];

  async function withRegional(
    durability: 'region' | 'cross-region',
    work: (regional: Regional) => Promise<Figure[]>,
  ): Promise<Figure[]> {
    say(`starts three regions, ${durability}`);
    const regional = await startRegional(durability);
    try {
      return await work(regional);
    } finally {
      await regional.stop();
    }
  }
}

/** By a customer of a region, who asks there. */
async function place({ regions, stage, ask }: Regional): Promise<void> {
  const region = oneOf(regions);
  const { headers } = oneOf(stage.customers.filter((customer) => customer.region === region));
  const lines = [{ product: oneOf(stage.products).id, quantity: 1 }];
  const body = { lines, payment: { method: 'card', token: 'tok_approve' } };
  await ask(region, { method: 'POST', path: '/orders', headers, body });
}

function without({ errors, ...sample }: Sample): Sample {
  if (errors > 0) throw new Error(`${errors} of ${errors + sample.tookMs.length} requests failed`);
  return { errors, ...sample };
}

/** Medians of rounds with and without the round trip, in turns. */
async function placed(
  regional: Regional,
  what: string,
  say: Say,
): Promise<readonly { readonly ours: number; readonly reference: number }[]> {
  const load = steadyLoad(ORDERS_A_SECOND, () => place(regional));
  const p50 = async (roundTripMs: number): Promise<number> => {
    regional.setRoundTrip(roundTripMs);
    await sleep(QUIET_MS);
    return latencyOf(without(await load.over(ROUND_MS))).p50Ms;
  };
  const rounds: { ours: number; reference: number }[] = [];
  try {
    for (let round = -1; round < ROUNDS; round += 1) {
      say(`orders placed, ${what}: ${round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`}`);
      const first = round % 2 === 0 ? await p50(0) : null; // who begins changes with each round
      const ours = await p50(ROUND_TRIP_MS);
      const found = { ours, reference: first ?? (await p50(0)) };
      if (round >= 0) rounds.push(found);
    }
  } finally {
    await load.stop();
  }
  return rounds;
}

async function placedNearBy(regional: Regional, say: Say): Promise<Figure> {
  return {
    name: `order placed, region, ${ROUND_TRIP_MS} ms apart, p50`,
    unit: 'ms',
    ...compared(await placed(regional, 'region', say)),
    target: { atMost: 1.2 },
    beside: 'the same, with lines that go straight',
  };
}

async function placedAcross(regional: Regional, say: Say): Promise<Figure> {
  const rounds = await placed(regional, 'cross-region', say);
  const straightMs = median(rounds.map(({ reference }) => reference));
  return {
    name: `order placed, cross-region, ${ROUND_TRIP_MS} ms apart, p50`,
    unit: 'ms',
    ours: median(rounds.map(({ ours }) => ours)),
    reference: null,
    ratio: null,
    target: { atMost: ROUND_TRIP_MS + 20 },
    beside: `${straightMs.toFixed(1)} with lines that go straight`,
  };
}

/** From every region's own copies; what is found where they are not fresh enough counts as well. */
async function read(regional: Regional, say: Say): Promise<Figure[]> {
  say('global reads');
  const { regions, stage, ask } = regional;
  regional.setRoundTrip(ROUND_TRIP_MS);
  await sleep(QUIET_MS);
  const headers = { 'cardume-max-staleness-ms': String(STALENESS_MS) };
  const ways = {
    'first page of a category': () => '/products?category=drill&limit=20',
    'a product': () => `/products/${oneOf(stage.products).id}`,
  };
  const orders = steadyLoad(ORDERS_A_SECOND, () => place(regional));
  const loads = Object.entries(ways).flatMap(([name, path]) =>
    regions.map((region) => ({
      name,
      load: steadyLoad(READS_A_SECOND, async () => {
        await ask(region, { method: 'GET', path: path(), headers });
      }),
    })),
  );
  const found = await Promise.all(
    loads.map(async ({ name, load }) => ({
      name,
      latency: latencyOf(without(await load.over(READS_MS))),
    })),
  );
  await Promise.all([orders, ...loads.map(({ load }) => load)].map((load) => load.stop()));
  return Object.keys(ways).flatMap((way) => {
    const own = found.filter(({ name }) => name === way).map(({ latency }) => latency);
    // Every region keeps to it.
    const figure = (what: string, ours: number, atMost: number): Figure => ({
      name: `${way}, ${what}`,
      unit: 'ms',
      ours,
      reference: null,
      ratio: null,
      target: { atMost },
      beside: `the slowest of ${regions.length} regions, ${ROUND_TRIP_MS} ms apart`,
    });
    return [
      figure('p50', Math.max(...own.map(({ p50Ms }) => p50Ms)), 10),
      figure('p99', Math.max(...own.map(({ p99Ms }) => p99Ms)), 50),
    ];
  });
}

interface Seen {
  readonly regions: readonly {
    readonly follows: readonly { readonly behind_ms: number | null }[];
  }[];
}

async function lag(regional: Regional, say: Say): Promise<Figure> {
  regional.setRoundTrip(ROUND_TRIP_MS);
  say(`the peak: ${PEAK_ORDERS} orders`);
  const peak = await peakOf(regional);
  const perSecond = peak / 2;
  say(`replication lag at ${Math.round(perSecond)} orders/s`);
  const load = steadyLoad(perSecond, () => place(regional));
  await sleep(QUIET_MS);
  load.mark();
  const lagsMs: number[] = [];
  for (const untilMs = performance.now() + LAG_MS; performance.now() < untilMs; ) {
    const { body } = await regional.ask(oneOf(regional.regions), {
      method: 'GET',
      path: '/operators/regions',
    });
    for (const { follows } of (body as Seen).regions)
      for (const { behind_ms: ms } of follows) lagsMs.push(ms ?? Number.POSITIVE_INFINITY);
    await sleep(LOOK_EVERY_MS);
  }
  const { count, p50Ms } = latencyOf(without(load.sinceMark()));
  await load.stop();
  const lags = latencyOf({ tookMs: lagsMs, errors: 0 });
  const rate = (count / LAG_MS) * 1_000;
  return {
    name: `replication lag, ${ROUND_TRIP_MS} ms apart, p99`,
    unit: 'ms',
    ours: lags.p99Ms,
    reference: null,
    ratio: null,
    target: { atMost: 500 },
    beside: `at ${Math.round(rate)} orders/s (p50 ${p50Ms.toFixed(0)} ms) of ${Math.round(peak)}; p50 ${lags.p50Ms}`,
  };
}

/** Orders a second that come through, counted until the last one is confirmed. */
async function peakOf(regional: Regional): Promise<number> {
  const before = await confirmed(regional);
  let begun = 0;
  const begunMs = performance.now();
  await Promise.all(
    Array.from({ length: PEAK_CALLERS }, async () => {
      for (; begun < PEAK_ORDERS; begun += 1) await place(regional);
    }),
  );
  while ((await confirmed(regional)) < before + begun) {
    if (performance.now() - begunMs > CONFIRMED_MS_MAX)
      throw new Error(`not all of ${begun} orders are confirmed after ${CONFIRMED_MS_MAX} ms`);
    await sleep(LOOK_EVERY_MS);
  }
  return (begun / (performance.now() - begunMs)) * 1_000;
}

/** All that were placed before may still be on their way: asked once more, when there are none, it is the same. */
async function confirmed({ regions, ask }: Regional): Promise<number> {
  const path = '/orders/reports/revenue?by=country';
  const { body } = await ask(regions[0] as string, { method: 'GET', path });
  return (body as { rows: { orders: number }[] }).rows.reduce((sum, { orders }) => sum + orders, 0);
}

if (import.meta.main) console.log(await run(console.error));
