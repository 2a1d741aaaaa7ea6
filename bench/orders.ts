/**
 * Orders confirmed per second: `POST /orders` of one line on a region's own port with everything on (token,
 * validation, price, reservation, payment, projections, metrics), counted from the first request until the last order
 * is confirmed, beside a hand-written endpoint that does its work in one transaction (baseline-shop.ts). Both are
 * durable when they answer; they take turns, and the medians are compared.
 *
 *   node bench/orders.ts
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BASELINE_PRODUCTS } from './baseline-shop.ts';
import { loadOf, median } from './load.ts';
import { type Platform, startPlatform } from './platform.ts';

const ROUNDS = 3;
const ORDERS_A_ROUND = 20_000;
const CONNECTIONS = 64;
const REGION = 'us-east';
const PORT = 18_080;

export interface OrdersResult {
  readonly oursPerS: number;
  readonly baselinePerS: number;
  readonly ratio: number;
}

export async function run(rounds = ROUNDS, orders = ORDERS_A_ROUND): Promise<OrdersResult> {
  const platform = await startPlatform(PORT);
  const baseline = await startBaselineProcess();
  try {
    const shop = await openShop(platform);
    await shop.round(2_000);
    await baseline.round(2_000);
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      ours.push(await shop.round(orders));
      theirs.push(await baseline.round(orders));
    }
    const [oursPerS, baselinePerS] = [median(ours), median(theirs)];
    return { oursPerS, baselinePerS, ratio: oursPerS / baselinePerS };
  } finally {
    await baseline.stop();
    await platform.stop();
  }
}

interface Rounds {
  /** @returns orders finished per second */
  round(orders: number): Promise<number>;
}

async function openShop({ regions, staffToken, call }: Platform): Promise<Rounds> {
  const url = regions[REGION] as string;
  const products: string[] = [];
  for (let i = 0; i < 50; i += 1) {
    const body = { sku: `BENCH-${i}`, name: `Product ${i}`, category: 'bench', price: { amount: '2.55', currency: 'GBP' } };
    const { id } = await call<{ id: string }>('POST', `${url}/products`, staffToken, body);
    await call('POST', `${url}/products/${id}/stock`, staffToken, { region: REGION, quantity: 100_000_000 });
    products.push(id);
  }
  const registration = { email: 'bench@example.com', password: 'a-very-long-password', name: 'Bench', country: 'US' };
  const { token } = await call<{ token: string }>('POST', `${url}/users`, null, registration);
  let turn = 0;
  let placed = 0;
  return {
    async round(orders) {
      const product = products[turn++ % products.length];
      const body = { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_approve' } };
      const begun = performance.now();
      await loadOf(orders, {
        url: `${url}/orders`,
        method: 'POST',
        connections: CONNECTIONS,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      placed += orders;
      for (;;) {
        const report = await call<{ rows: { orders: number }[] }>('GET', `${url}/orders/reports/revenue?by=country`, staffToken);
        const confirmed = report.rows.reduce((sum, row) => sum + row.orders, 0);
        if (confirmed === placed) break;
        if (performance.now() - begun > 120_000) throw new Error(`${confirmed} of ${placed} orders are confirmed after 120 s`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return orders / ((performance.now() - begun) / 1_000);
    },
  };
}

async function startBaselineProcess(): Promise<Rounds & { stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-baseline-'));
  const script = fileURLToPath(new URL('./baseline-shop.ts', import.meta.url));
  const child = spawn(process.execPath, [script, '0', folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(line.toString().trim()));
    child.once('exit', (code) => reject(new Error(`the baseline ended with ${code}`)));
  });
  let turn = 0;
  return {
    async round(orders) {
      const product = 1 + (turn++ % BASELINE_PRODUCTS);
      const begun = performance.now();
      await loadOf(orders, {
        url: `${url}/orders`,
        method: 'POST',
        connections: CONNECTIONS,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ product, quantity: 1 }),
      });
      return orders / ((performance.now() - begun) / 1_000);
    },
    async stop() {
      child.kill('SIGTERM');
      await new Promise((resolve) => child.once('exit', resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { oursPerS, baselinePerS, ratio } = await run();
  process.stdout.write(
    `orders confirmed ${Math.round(oursPerS)}/s, baseline ${Math.round(baselinePerS)}/s, ratio ${ratio.toFixed(2)}\n`,
  );
}
