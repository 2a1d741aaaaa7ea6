/**
 * Orders confirmed per second: `POST /orders` of one line on a region's own port with everything on (token,
 * validation, price, reservation, payment, projections, metrics), counted from the first request until the last order
 * is confirmed, beside a hand-written endpoint that does its work in one transaction (baseline-shop.ts). Both are
 * durable when they answer; they take turns.
 *
 *   node tools/launch.mjs bench/orders.ts
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BASELINE_PRODUCTS } from './baseline-shop.ts';
import { compared, type Figure, type Say } from './figure.ts';
import { loadOf } from './load.ts';
import { call, type Platform, startPlatform } from './platform.ts';
import { startServer } from './server.ts';

const ROUNDS = 3;
const ORDERS_A_ROUND = 20_000;
const ORDERS_TO_WARM_UP = 5_000;
const CONNECTIONS = 64;
const PRODUCTS = 50;
const REGION = 'us-east';
const CONFIRMED_MS_MAX = 120_000;

export async function run(platform: Platform, say: Say = () => {}): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-baseline-'));
  const baseline = await startServer('baseline-shop.ts', '0', folder);
  try {
    const shop = await openShop(platform);
    const rounds: { ours: number; reference: number }[] = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      const orders = round < 0 ? ORDERS_TO_WARM_UP : ORDERS_A_ROUND;
      say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}, ${orders} orders each`);
      const baselineOnce = (): Promise<number> => perSecond(orders, () => ask(baseline.url, orders, round));
      const first = round % 2 === 0 ? await baselineOnce() : 0; // who begins changes with each round
      const ours = await perSecond(orders, () => shop.confirm(orders, round));
      const reference = first || (await baselineOnce());
      if (round >= 0) rounds.push({ ours, reference });
    }
    return [
      {
        name: 'orders confirmed',
        unit: 'orders/s',
        ...compared(rounds),
        target: { atLeast: 2 },
        beside: 'hand-written Fastify + node:sqlite',
      },
    ];
  } finally {
    await baseline.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  await work();
  return (count / (performance.now() - begun)) * 1_000;
}

function ask(url: string, orders: number, round: number): Promise<void> {
  return loadOf(orders, {
    url: `${url}/orders`,
    method: 'POST',
    connections: CONNECTIONS,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ product: 1 + ((round + BASELINE_PRODUCTS) % BASELINE_PRODUCTS), quantity: 1 }),
  });
}

interface Shop {
  /** Places so many orders and waits until all are confirmed. */
  confirm(orders: number, round: number): Promise<void>;
}

async function openShop({ urlOf, staffToken }: Platform): Promise<Shop> {
  const url = urlOf(REGION);
  const products: string[] = [];
  for (let i = 0; i < PRODUCTS; i += 1) {
    const price = { amount: '2.55', currency: 'GBP' };
    const body = { sku: `BENCH-${i}`, name: `Product ${i}`, category: 'bench', price };
    const { id } = await call<{ id: string }>('POST', `${url}/products`, staffToken, body);
    await call('POST', `${url}/products/${id}/stock`, staffToken, { region: REGION, quantity: 100_000_000 });
    products.push(id);
  }
  const password = 'a-very-long-password';
  const registration = { email: 'bench@example.com', password, name: 'Bench', country: 'US' };
  const { token } = await call<{ token: string }>('POST', `${url}/users`, null, registration);
  let placed = 0;

  async function confirmed(): Promise<number> {
    const report = `${url}/orders/reports/revenue?by=country`;
    const { rows } = await call<{ rows: { orders: number }[] }>('GET', report, staffToken);
    return rows.reduce((sum, row) => sum + row.orders, 0);
  }

  return {
    async confirm(orders, round) {
      const product = products[(round + PRODUCTS) % PRODUCTS];
      const begun = performance.now();
      await loadOf(orders, {
        url: `${url}/orders`,
        method: 'POST',
        connections: CONNECTIONS,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          lines: [{ product, quantity: 1 }],
          payment: { method: 'card', token: 'tok_approve' },
        }),
      });
      placed += orders;
      for (let count = await confirmed(); count !== placed; count = await confirmed()) {
        if (performance.now() - begun > CONFIRMED_MS_MAX) {
          throw new Error(`${count} of ${placed} orders are confirmed after ${CONFIRMED_MS_MAX} ms`);
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}

if (import.meta.main) {
  const platform = await startPlatform();
  try {
    console.log(await run(platform, console.error));
  } finally {
    await platform.stop();
  }
}
