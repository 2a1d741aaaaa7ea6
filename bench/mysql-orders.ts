/**
 * Orders confirmed per second with all shards on MariaDB, beside a hand-written endpoint that does its work in one
 * transaction on the same server (baseline-mysql-shop.ts). Each order has an idempotency key, and products are many.
 *
 *   npm run engines -- start mariadb && node tools/launch.mjs bench/mysql-orders.ts
 */
import { realHost } from '../platform/src/host/real.ts';
import { serverNamed } from '../platform/src/testing/servers.ts';
import type { Figure, Say } from './figure.ts';
import { compareOrders, type Ordering } from './ordering.ts';
import { startPlatform } from './platform.ts';
import { startServer } from './server.ts';

const ORDERING: Ordering = {
  rounds: 5,
  ordersARound: 4_000,
  ordersToWarmUp: 2_000,
  callers: 64,
  buyers: 'spread',
};

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const found = await serverNamed(realHost(), 'mariadb');
  if (found.skip !== false) {
    say(`${found.skip}: npm run engines -- start`);
    return [];
  }
  const { address, drop } = await found.server.newDatabase();
  try {
    const baseline = await startServer('baseline-mysql-shop.ts', '0', address.database);
    try {
      say('starts three regions on MariaDB');
      const platform = await startPlatform({ server: found.server, engine: 'mysql' });
      try {
        return [
          {
            name: 'orders confirmed on MariaDB',
            unit: 'orders/s',
            ...(await compareOrders(platform, baseline.url, ORDERING, say)),
            target: { atLeast: 2 },
            beside: 'hand-written Fastify + mysql2',
          },
        ];
      } finally {
        await platform.stop();
      }
    } finally {
      await baseline.stop();
    }
  } finally {
    await drop();
    await found.server.admin.close();
  }
}

if (import.meta.main) console.log(await run(console.error));
