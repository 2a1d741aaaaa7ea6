/**
 * The first load of an aggregate after a restart, by the length of its stream: the shop's stock of one product, on a
 * shard of its own over a real disk. With its snapshot a load of 100,000 events costs what one of 1,000 does. The load
 * that finds no snapshot folds all events, once, and stands beside as what the snapshot spares.
 *
 *   node tools/launch.mjs bench/long-streams.ts
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import written from '../cardume.config.ts';
import { newId } from '../platform/src/base/id.ts';
import type { Bus } from '../platform/src/cqrs/bus.ts';
import { openReaders } from '../platform/src/cqrs/readers.ts';
import { openShard, type Shard } from '../platform/src/cqrs/shard.ts';
import { openWriterPool } from '../platform/src/events/events.ts';
import type { NewEntry } from '../platform/src/events/log.ts';
import { realHost } from '../platform/src/host/real.ts';
import { partitionKey } from '../platform/src/topology/partition.ts';
import { service } from '../shop/src/products/products.ts';
import { compared, type Figure, median, type Say } from './figure.ts';

const ROUNDS = 5;
/** Streams of each length: each is loaded once a round, and their median counts. */
const STREAMS = 5;
const SHORT_EVENTS = 1_000;
const LONG_EVENTS = 100_000;
const APPEND_ENTRIES = 500;

const host = realHost();
const place = { scope: 1, partition: 0 };
const partition = partitionKey(place);

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-bench-'));
  const base = join(folder, 'products-0');
  const streamsOf = () =>
    Array.from({ length: STREAMS }, () => newId('stk', place, host.clock.nowMs(), host.random.bytes(10)));
  const [short, long] = [streamsOf(), streamsOf()];
  try {
    await opened(base, async (shard) => {
      for (const [i, stream] of [...short, ...long].entries()) {
        say(`writes stream ${i + 1} of ${2 * STREAMS}`);
        await grow(shard, stream, i < STREAMS ? SHORT_EVENTS : LONG_EVENTS);
      }
    });
    say('folds them without snapshots');
    const folded = await opened(base, (shard) => both(shard, short, long));
    const rounds = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
      const measured = await opened(base, (shard) => both(shard, short, long));
      if (round >= 0) rounds.push(measured);
    }
    const figure = { unit: 'ms', beside: `of ${SHORT_EVENTS.toLocaleString('en')} events` };
    const name = `first load of ${LONG_EVENTS.toLocaleString('en')} events`;
    return [
      { ...figure, name, ...compared(rounds), target: { atMost: 2 } },
      {
        ...figure,
        name: `fold of ${LONG_EVENTS.toLocaleString('en')} events, no snapshot yet`,
        ...compared([folded]),
        target: null,
      },
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function both(shard: Shard, short: readonly string[], long: readonly string[]) {
  return { reference: await load(shard, short, SHORT_EVENTS), ours: await load(shard, long, LONG_EVENTS) };
}

/** @returns milliseconds, the median of all streams */
async function load(shard: Shard, streams: readonly string[], events: number): Promise<number> {
  const timesMs: number[] = [];
  for (const stream of streams) {
    const begun = performance.now();
    const { version } = await shard.load('stock', stream);
    timesMs.push(performance.now() - begun);
    if (version !== events) throw new Error(`${stream} ends at version ${version}`);
  }
  return median(timesMs);
}

/** Past the pipeline, so that no snapshot is made. */
async function grow(shard: Shard, stream: string, events: number): Promise<void> {
  const entryOf = (version: number): NewEntry => ({
    stream,
    version,
    type: 'StockReceived',
    data: '{"quantity":1}',
    meta: null,
    key: null,
    atMs: host.clock.nowMs(),
  });
  for (let version = 1; version <= events; version += APPEND_ENTRIES) {
    await shard.log.append(
      partition,
      Array.from({ length: APPEND_ENTRIES }, (_, i) => entryOf(version + i)),
    );
  }
}

async function opened<T>(base: string, use: (shard: Shard) => Promise<T>): Promise<T> {
  const pool = openWriterPool(host, { threadsMax: 1 });
  const readers = openReaders(host, { threadsMax: 1, deadlineMs: 5_000 });
  const shard = await openShard({
    host,
    service,
    place: { base },
    partitions: [partition],
    pool,
    readers,
    bounds: written.bounds,
    masterKey: new Uint8Array(32),
    bus: {} as Bus, // nothing here asks anybody else
    ports: {},
    report: (message, fields) => {
      throw new Error(message, { cause: fields });
    },
  });
  try {
    await shard.recover();
    shard.begin();
    return await use(shard);
  } finally {
    await shard.close();
    await readers.close();
    await pool.close();
  }
}

if (import.meta.main) console.log(await run(console.error));
