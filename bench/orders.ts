/**
 * Orders confirmed per second: `POST /orders` of one line on a region's own port with everything on (token,
 * validation, price, reservation, payment, projections, metrics), beside a hand-written endpoint that does its work in one
 * transaction (baseline-shop.ts).
 *
 *   node tools/launch.mjs bench/orders.ts
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Figure, Say } from './figure.ts';
import { compareOrders, type Ordering } from './ordering.ts';
import { type Platform, startPlatform } from './platform.ts';
import { startServer } from './server.ts';

const ORDERING: Ordering = {
  rounds: 3,
  ordersARound: 20_000,
  ordersToWarmUp: 5_000,
  callers: 64,
  buyers: 'one-product',
};

export async function run(platform: Platform, say: Say = () => {}): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-baseline-'));
  const baseline = await startServer('baseline-shop.ts', '0', folder);
  try {
    return [
      {
        name: 'orders confirmed',
        unit: 'orders/s',
        ...(await compareOrders(platform, baseline.url, ORDERING, say)),
        target: { atLeast: 2 },
        beside: 'hand-written Fastify + node:sqlite',
      },
    ];
  } finally {
    await baseline.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const platform = await startPlatform();
  try {
    console.log(await run(platform, console.error));
  } finally {
    await platform.stop();
  }
}
