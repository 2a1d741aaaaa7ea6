/**
 * Whether a region that was away always catches up: entries a second that its copies take (parcels, log, read models),
 * beside those of the home that takes orders as fast as it can. Both are shards of the shop's orders on the same disk;
 * source and follower are the platform's own. The parcels are made before: that is the home's work, on another machine.
 *
 *   node tools/launch.mjs bench/catching-up.ts
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import written from '../cardume.config.ts';
import { newId } from '../platform/src/base/id.ts';
import type { Json } from '../platform/src/base/json.ts';
import type { Bus } from '../platform/src/cqrs/bus.ts';
import { openReaders } from '../platform/src/cqrs/readers.ts';
import { openShard, type Shard } from '../platform/src/cqrs/shard.ts';
import { openWriterPool } from '../platform/src/events/events.ts';
import { realHost } from '../platform/src/host/real.ts';
import { openFollower } from '../platform/src/regions/replication/follower.ts';
import { type Parcel, unpackPages } from '../platform/src/regions/replication/pages.ts';
import { openSource, type ReplicateRequest } from '../platform/src/regions/replication/source.ts';
import { takenUp } from '../platform/src/regions/taken-up.ts';
import { openWatermarks } from '../platform/src/regions/watermarks.ts';
import { partitionKey } from '../platform/src/topology/partition.ts';
import { service } from '../shop/src/orders/orders.ts';
import { compared, type Figure, type Say } from './figure.ts';

const ROUNDS = 5;
const ORDERS = 30_000;
/** Each asks again when it has its answer. */
const CALLERS = 1_024;
const CAUGHT_UP_MS_MAX = 120_000;
const HOME = 'home';
const COPY = 'copy';

const host = realHost();
const places = Array.from({ length: 16 }, (_, partition) => ({ scope: 1, partition }));
const partitions = places.map(partitionKey);

function told(message: string, fields: Readonly<Record<string, unknown>>): never {
  throw new Error(message, { cause: fields });
}

async function withShard<T>(folder: string, isHome: boolean, work: (shard: Shard) => Promise<T>): Promise<T> {
  const pool = openWriterPool(host, { threadsMax: 1 });
  const readers = openReaders(host, { threadsMax: 1, deadlineMs: 5_000 });
  const shard = await openShard({
    host,
    service,
    place: { base: join(folder, isHome ? HOME : COPY) },
    partitions: isHome ? partitions : [],
    pool,
    readers,
    bounds: written.bounds,
    masterKey: host.random.bytes(32),
    bus: {} as Bus, // effects do not begin
    ports: {},
    report: told,
  });
  try {
    await shard.recover();
    return await work(shard);
  } finally {
    await shard.close();
    await readers.close();
    await pool.close();
  }
}

const order = {
  type: 'Place',
  customer: null,
  country: 'US',
  currency: 'GBP',
  placed_at_ms: host.clock.nowMs(),
  lines: [
    { product: 'prd_00a_0nt442y8pxy8r0wkwdgjn6rw15', sku: 'BENCH-1', quantity: 1, unit_price_e4: 25_500 },
  ],
  total_e4: 25_500,
  payment: { method: 'invoice' },
  agreed: true,
} as const;

/** @returns orders a second */
async function take(home: Shard): Promise<number> {
  let placed = 0;
  async function caller(): Promise<void> {
    while (placed < ORDERS) {
      const place = places[placed % places.length] as (typeof places)[number];
      placed += 1;
      const id = newId('ord', place, host.clock.nowMs(), host.random.bytes(10));
      await home.send('order', id, order, { born: true });
    }
  }
  const begunMs = performance.now();
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return ORDERS / ((performance.now() - begunMs) / 1_000);
}

/** @returns entries a second */
async function follow(home: Shard, copy: Shard): Promise<number> {
  const watermarks = openWatermarks(host.clock, CAUGHT_UP_MS_MAX);
  const source = openSource({
    here: HOME,
    residency: { holding: () => 'whole', homes: () => [HOME, COPY] },
    report: told,
    homeOf: (_service, partition) => (home.log.head(partition) === undefined ? undefined : home),
    watermarks,
    check: () => undefined,
    lost: () => undefined,
  });
  const refused = async (): Promise<void> => {
    throw new Error('a copy was refused');
  };
  const heads = home.log.heads();
  const entries = heads.reduce((sum, { position }) => sum + position, 0);
  let begunMs = 0;

  async function* parcels(request: ReplicateRequest, signal: AbortSignal): AsyncGenerator<Json> {
    const made: Parcel[] = [];
    let sent = 0;
    const session = source.replicate(COPY, request, signal)[Symbol.asyncIterator]();
    while (sent < entries) {
      const { value } = (await session.next()) as IteratorYieldResult<Parcel>;
      made.push(value);
      for (const page of value.pages === '' ? [] : unpackPages(value.pages)) sent += page.entries.length;
    }
    begunMs = performance.now();
    yield* made as unknown as Json[];
    await session.next(); // it is open for acknowledgements
  }

  const follower = openFollower({
    clock: host.clock,
    home: HOME,
    link: {
      replicate: parcels,
      ack: async (request) => source.acked(COPY, request) as unknown as Json,
    },
    newSession: () => COPY,
    wanted: () => partitions.map((partition) => [service.name, partition] as const),
    shardOf: () => copy,
    mayOpen: () => true,
    takeUp: (_service, partition) => takenUp(copy, partition, 0, () => undefined, refused),
    checkpointsOf: async () => [],
    diverged: refused,
    fenced: refused,
    report: (message, fields) => {
      throw new Error(message, { cause: fields });
    },
  });
  try {
    await Promise.all(
      heads.map(({ partition, position }) => watermarks.reached(service.name, partition, position)),
    );
    return entries / ((performance.now() - begunMs) / 1_000);
  } finally {
    await follower.close();
  }
}

async function once(): Promise<{ ours: number; reference: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-bench-'));
  try {
    return await withShard(folder, true, async (home) => {
      const reference = await take(home);
      const ours = await withShard(folder, false, (copy) => follow(home, copy));
      return { ours, reference };
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const rounds: { ours: number; reference: number }[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
    const found = await once();
    if (round >= 0) rounds.push(found); // the first warms up
  }
  return [
    {
      name: 'copies of a region that was away, entries',
      unit: 'entries/s',
      ...compared(rounds),
      target: { atLeast: 1.5 },
      beside: 'its home while it takes orders',
    },
  ];
}

if (import.meta.main) console.log(await run(console.error));
