/**
 * Reservations of one hot product, in process: the shop's products service on a shard of its own over a real disk,
 * thousands of buyers at once. Each command has its own idempotency key, as an order's has, and is answered after the
 * commit of what it decided, a refusal too. There is less stock than demand: exactly the stock is sold.
 *
 *   node tools/launch.mjs bench/reservations.ts
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import written from '../cardume.config.ts';
import { isCardumeError } from '../platform/src/base/errors.ts';
import { newId } from '../platform/src/base/id.ts';
import type { Bus } from '../platform/src/cqrs/bus.ts';
import { openReaders } from '../platform/src/cqrs/readers.ts';
import { openShard, type Shard } from '../platform/src/cqrs/shard.ts';
import { openWriterPool } from '../platform/src/events/events.ts';
import { realHost } from '../platform/src/host/real.ts';
import { partitionKey } from '../platform/src/topology/partition.ts';
import { service } from '../shop/src/products/products.ts';
import type { StockState } from '../shop/src/products/stock.ts';
import { type Figure, median, type Say } from './figure.ts';

const ROUNDS = 5;
const SUPPLY = 27_000;
const DEMAND = 30_000;
/** Buyers that ask at the same time; each asks again when it has its answer. */
const BUYERS = 4_096;

const host = realHost();
const place = { scope: 1, partition: 0 };

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-bench-'));
  const pool = openWriterPool(host, { threadsMax: 1 });
  const shard = await openShard({
    host,
    service,
    place: { base: join(folder, 'products-0') },
    partitions: [partitionKey(place)],
    pool,
    readers: openReaders(host, { threadsMax: 1, deadlineMs: 5_000 }),
    bounds: written.bounds,
    masterKey: host.random.bytes(32),
    bus: {} as Bus, // a reservation asks nobody else
    ports: {},
    report: (message, fields) => {
      throw new Error(message, { cause: fields });
    },
  });
  try {
    await shard.recover();
    shard.begin();
    const rates: number[] = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
      const rate = await sellOut(shard);
      if (round >= 0) rates.push(rate);
    }
    return [
      {
        name: 'hot product, none oversold',
        unit: 'reservations/s',
        ours: median(rates),
        reference: null,
        ratio: null,
        target: { atLeast: 10_000 },
        beside: '',
      },
    ];
  } finally {
    await shard.close();
    await pool.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** @returns reservations made per second, of a run whose refusals took their time too */
async function sellOut(shard: Shard): Promise<number> {
  const stock = idOf('stk');
  await shard.send('stock', stock, { type: 'Receive', quantity: SUPPLY } as never);
  const orders = Array.from({ length: DEMAND }, () => idOf('ord'));
  let asked = 0;
  let reserved = 0;
  let refused = 0;

  async function reserve(order: string): Promise<void> {
    const key = { text: `${order}/reserve/${stock}`, fingerprint: '1', fresh: true };
    try {
      await shard.send('stock', stock, { type: 'Reserve', order, quantity: 1 } as never, { key });
      reserved += 1;
    } catch (error) {
      if (!isCardumeError(error, 'insufficient-stock')) throw error;
      refused += 1;
    }
  }

  async function buy(): Promise<void> {
    while (asked < DEMAND) {
      const order = orders[asked] as string;
      asked += 1;
      await reserve(order);
    }
  }

  const begun = performance.now();
  await Promise.all(Array.from({ length: BUYERS }, buy));
  const seconds = (performance.now() - begun) / 1_000;
  const { available, reserved: held } = (await shard.load('stock', stock)).state as StockState;
  if (reserved !== SUPPLY || refused !== DEMAND - SUPPLY || available !== 0 || held !== SUPPLY) {
    throw new Error(
      `of ${SUPPLY}: ${reserved} reserved, ${held} held, ${available} left, ${refused} refused`,
    );
  }
  return reserved / seconds;
}

function idOf(type: string): string {
  return newId(type, place, host.clock.nowMs(), host.random.bytes(10));
}

if (import.meta.main) console.log(await run(console.error));
