/**
 * Orders of one line at the platform and at a hand-written shop, in turns: how many a second each confirms, counted from
 * the first request until the last order is confirmed. Both are durable when they answer.
 */
import { BASELINE_PRODUCTS } from './baseline-http.ts';
import { compared, type Figure, type Say } from './figure.ts';
import { type Each, loadOf } from './load.ts';
import { call, type Platform } from './platform.ts';

export interface Ordering {
  readonly rounds: number;
  readonly ordersARound: number;
  readonly ordersToWarmUp: number;
  /** Each asks again when it has its answer. */
  readonly callers: number;
  /**
   * `one-product`: of a round. `spread`: each order has a product of its own choice and an idempotency key, so that no
   * row of stock is in everybody's way.
   */
  readonly buyers: 'one-product' | 'spread';
}

const PRODUCTS = 50;
const REGION = 'us-east';
const CONFIRMED_MS_MAX = 120_000;

/** @param baseline URL of the hand-written shop */
export async function compareOrders(
  platform: Platform,
  baseline: string,
  { rounds, ordersARound, ordersToWarmUp, callers, buyers }: Ordering,
  say: Say,
): Promise<Pick<Figure, 'ours' | 'reference' | 'ratio'>> {
  const shop = await openShop(platform, callers, buyers);
  const found: { ours: number; reference: number }[] = [];
  for (let round = -1; round < rounds; round += 1) {
    const orders = round < 0 ? ordersToWarmUp : ordersARound;
    say(round < 0 ? 'warms up' : `round ${round + 1} of ${rounds}, ${orders} orders each`);
    const baselineOnce = (): Promise<number> =>
      perSecond(orders, () => ask(baseline, orders, callers, round, buyers));
    const first = round % 2 === 0 ? await baselineOnce() : 0; // who begins changes with each round
    const ours = await perSecond(orders, () => shop.confirm(orders, round));
    const reference = first || (await baselineOnce());
    if (round >= 0) found.push({ ours, reference });
  }
  return compared(found);
}

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  await work();
  return (count / (performance.now() - begun)) * 1_000;
}

let keys = 0;

/** What a caller sends. @param bodyOf the order of one of so many products, counted from 0 */
function sent(
  buyers: Ordering['buyers'],
  round: number,
  bodyOf: (product: number) => unknown,
): { readonly body: string } | { readonly each: () => Each } {
  if (buyers === 'one-product') return { body: JSON.stringify(bodyOf((round + PRODUCTS) % PRODUCTS)) };
  const bodies = Array.from({ length: PRODUCTS }, (_, product) => JSON.stringify(bodyOf(product)));
  return {
    each() {
      keys += 1;
      const body = bodies[Math.floor(Math.random() * PRODUCTS)] as string;
      return { headers: { 'idempotency-key': `bench-${keys}` }, body };
    },
  };
}

function ask(
  url: string,
  orders: number,
  callers: number,
  round: number,
  buyers: Ordering['buyers'],
): Promise<void> {
  return loadOf(orders, {
    url: `${url}/orders`,
    method: 'POST',
    connections: callers,
    headers: { 'content-type': 'application/json' },
    ...sent(buyers, round, (product) => ({ product: 1 + (product % BASELINE_PRODUCTS), quantity: 1 })),
  });
}

interface Shop {
  /** Places so many orders and waits until all are confirmed. */
  confirm(orders: number, round: number): Promise<void>;
}

async function openShop(
  { urlOf, staffToken }: Platform,
  callers: number,
  buyers: Ordering['buyers'],
): Promise<Shop> {
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
      const begun = performance.now();
      await loadOf(orders, {
        url: `${url}/orders`,
        method: 'POST',
        connections: callers,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...sent(buyers, round, (product) => ({
          lines: [{ product: products[product], quantity: 1 }],
          payment: { method: 'card', token: 'tok_approve' },
        })),
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
