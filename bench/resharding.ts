/**
 * Partitions that move between shards under load: three regions as `npm start` runs them, orders that arrive at a steady
 * rate, and the orders of one region that move from four shards to eight and, where MariaDB runs, from files to the server.
 */
import { realHost } from '../platform/src/host/real.ts';
import { serverNamed } from '../platform/src/testing/servers.ts';
import type { Figure, Say } from './figure.ts';
import { call, type Platform, startPlatform } from './platform.ts';
import { type Latency, latencyOf, steadyLoad } from './steady-load.ts';

const REGION = 'us-east';
const CUSTOMERS = 64;
const PRODUCTS = 20;
const ORDERS_BEFORE = 4_000;
const QUIET_MS = 8_000;
const LOOK_EVERY_MS = 200;

export interface Stage {
  readonly name: string;
  readonly partitions: number;
  readonly verified: { readonly entries: number; readonly rows: number };
  readonly tookMs: number;
  readonly longestPauseMs: number;
  readonly errors: number;
  readonly latency: { readonly before: Latency; readonly during: Latency; readonly after: Latency };
}

interface Status {
  readonly reshard: {
    readonly phase: string;
    readonly trouble: string | null;
    readonly moves: readonly {
      readonly held_ms: number | null;
      readonly verified: { readonly entries: number; readonly rows: number } | null;
    }[];
  } | null;
}

const ORDERS_A_SECOND = 40;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A platform of its own, with MariaDB to move to where that runs. */
export async function reshardUnderLoad(perSecond: number, say: Say): Promise<Stage[]> {
  const found = await serverNamed(realHost(), 'mariadb');
  if (found.skip !== false) say(`${found.skip}: npm run engines -- start mariadb`);
  const platform = await startPlatform({ ...(found.skip === false ? { server: found.server } : {}) });
  try {
    return await demonstrate(platform, perSecond, found.skip === false, say);
  } finally {
    await platform.stop();
    if (found.skip === false) await found.server.admin.close();
  }
}

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const stages = await reshardUnderLoad(ORDERS_A_SECOND, say);
  return stages.flatMap(({ name, longestPauseMs, errors, latency: { before, during, after } }): Figure[] => [
    {
      name: `${name}, longest pause of a partition`,
      unit: 'ms',
      ours: longestPauseMs,
      reference: null,
      ratio: null,
      target: { atMost: 1_000 },
      beside: `p99 ${(during.p99Ms / before.p99Ms).toFixed(1)} times that of before`,
    },
    {
      name: `${name}, errors seen by clients`,
      unit: 'errors',
      ours: errors,
      reference: null,
      ratio: null,
      target: { atMost: 0 },
      beside: `of ${(before.count + during.count + after.count).toLocaleString('en')} orders`,
    },
  ]);
}

/** @param perSecond orders that begin @param hasServer a server to move to is in the platform's topology */
async function demonstrate(
  platform: Platform,
  perSecond: number,
  hasServer: boolean,
  say: Say,
): Promise<Stage[]> {
  const url = platform.urlOf(REGION);
  const operators = `${url}/operators/regions/${REGION}`;
  const ask = (path: string, body?: unknown): Promise<Status> =>
    call(body === undefined ? 'GET' : 'POST', `${operators}/${path}`, platform.staffToken, body);

  async function until(holds: (status: Status) => boolean): Promise<Status> {
    for (;;) {
      const status = await ask('shards');
      if (status.reshard?.trouble) throw new Error(status.reshard.trouble);
      if (holds(status)) return status;
      await sleep(LOOK_EVERY_MS);
    }
  }
  async function finish(): Promise<void> {
    await ask('reshard/finish', {});
    await until(({ reshard }) => reshard === null);
  }

  say(`makes ${PRODUCTS} products and ${CUSTOMERS} customers, and places ${ORDERS_BEFORE} orders`);
  const orders = await ordersOf(platform, url);
  await ask('reshard', { service: 'orders', to: 4 });
  await until(({ reshard }) => reshard?.phase === 'following');
  await finish();
  await orders.placeMany(ORDERS_BEFORE);

  const stages: Stage[] = [];
  const load = steadyLoad(perSecond, orders.place);
  await load.over(QUIET_MS); // warms up
  const wishes = [
    { name: 'four shards to eight', wish: { service: 'orders', to: 8 } },
    { name: 'eight files to four databases of MariaDB', wish: { service: 'orders', to: 4, engine: 'mysql' } },
  ];
  for (const { name, wish } of hasServer ? wishes : wishes.slice(0, 1)) {
    say(`${name}: before`);
    const before = await load.over(QUIET_MS);
    say(`${name}: moves`);
    const begun = performance.now();
    load.mark();
    await ask('reshard', wish);
    const { reshard } = await until((status) => status.reshard?.phase === 'following');
    const during = load.sinceMark();
    const tookMs = Math.round(performance.now() - begun);
    const moves = reshard?.moves ?? [];
    await finish();
    say(`${name}: after`);
    const after = await load.over(QUIET_MS);
    stages.push({
      name,
      partitions: moves.length,
      verified: {
        entries: moves.reduce((sum, { verified }) => sum + (verified?.entries ?? 0), 0),
        rows: moves.reduce((sum, { verified }) => sum + (verified?.rows ?? 0), 0),
      },
      tookMs,
      longestPauseMs: Math.max(...moves.map(({ held_ms: ms }) => ms ?? Number.POSITIVE_INFINITY)),
      errors: before.errors + during.errors + after.errors,
      latency: { before: latencyOf(before), during: latencyOf(during), after: latencyOf(after) },
    });
  }
  await load.stop();
  await orders.checkAll();
  return stages;
}

async function ordersOf({ staffToken }: Platform, url: string) {
  const products: string[] = [];
  for (let i = 0; i < PRODUCTS; i += 1) {
    const price = { amount: '2.55', currency: 'GBP' };
    const body = { sku: `RESHARD-${i}`, name: `Product ${i}`, category: 'reshard', price };
    const { id } = await call<{ id: string }>('POST', `${url}/products`, staffToken, body);
    await call('POST', `${url}/products/${id}/stock`, staffToken, { region: REGION, quantity: 10_000_000 });
    products.push(id);
  }
  const tokens: string[] = [];
  for (let i = 0; i < CUSTOMERS; i += 1) {
    const person = {
      email: `reshard-${i}@example.com`,
      password: 'a-very-long-password',
      name: 'Rita',
      country: 'US',
    };
    tokens.push((await call<{ token: string }>('POST', `${url}/users`, null, person)).token);
  }
  let count = 0;
  let placed = 0;

  async function place(): Promise<void> {
    count += 1;
    const body = {
      lines: [{ product: products[count % PRODUCTS], quantity: 1 }],
      payment: { method: 'card', token: 'tok_approve' },
    };
    await call('POST', `${url}/orders`, tokens[count % CUSTOMERS] as string, body);
    placed += 1;
  }
  return {
    place,
    async placeMany(orders: number): Promise<void> {
      const lane = async (): Promise<void> => {
        while (count < orders) await place();
      };
      await Promise.all(Array.from({ length: 32 }, lane));
    },
    /** Every order that was acknowledged is confirmed, once. */
    async checkAll(): Promise<void> {
      const report = `${url}/orders/reports/revenue?by=country`;
      for (let tries = 0; ; tries += 1) {
        const { rows } = await call<{ rows: { orders: number }[] }>('GET', report, staffToken);
        const confirmed = rows.reduce((sum, row) => sum + row.orders, 0);
        if (confirmed === placed) return;
        if (tries === 100 || confirmed > placed)
          throw new Error(`${placed} were placed, ${confirmed} confirmed`);
        await sleep(100);
      }
    },
  };
}
