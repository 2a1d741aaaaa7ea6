/**
 * What archives spare, and what they cost: the bytes of a log of orders, before and behind, and reads of the same
 * streams and pages, from rows and from segments. One partition, eight orders interleaved, a sealed address in one of four
 * events.
 *
 *   node tools/launch.mjs bench/archives.ts
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '../platform/src/base/id.ts';
import { openLog, openWriterPool } from '../platform/src/events/events.ts';
import type { Log, NewEntry } from '../platform/src/events/log.ts';
import { realHost } from '../platform/src/host/real.ts';
import { compared, type Figure, type Say } from './figure.ts';

const ORDERS = 10_000;
const TYPES = ['OrderPlaced', 'PaymentPending', 'OrderConfirmed', 'OrderShipped'];
const INTERLEAVED = 8;
const STREAMS_READ = 1_000;
const PAGE_ENTRIES = 256;
const PARTITION = 1;
const ASKED = { ending: [{ streams: 'ord_', types: [TYPES.at(-1) as string] }], segmentEntriesMax: 10_000 };

const host = realHost();

interface Measured {
  readonly bytes: number;
  readonly streamUs: number;
  readonly walkUs: number;
}

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-bench-'));
  const path = join(folder, 'orders-0.log.db');
  const pool = openWriterPool(host, { threadsMax: 1 });
  const bounds = { batchEntriesMax: 512, queueEntriesMax: 10_000 };
  const log = await openLog(host, { path, partitions: [PARTITION], pool, bounds });
  try {
    say('places orders');
    const streams = await fill(log);
    const read = Array.from(
      { length: STREAMS_READ },
      () => streams[Math.floor(host.random.fraction() * streams.length)] as string,
    );
    const before = await measure(log, path, read);
    say('archives them');
    const longestMs = await archive(log);
    const behind = await measure(log, path, read);
    const figure = (name: string, unit: string, of: (one: Measured) => number): Figure => ({
      name,
      unit,
      beside: 'rows of SQLite',
      ...compared([{ reference: of(before), ours: of(behind) }]),
      target: null,
    });
    return [
      {
        ...figure('bytes of an event on the disk, archived', 'bytes', ({ bytes }) => bytes),
        target: { atMost: 0.5 },
      },
      figure('a stream that has ended, read whole', 'µs', ({ streamUs }) => streamUs),
      figure('an event of a page, in order', 'µs', ({ walkUs }) => walkUs),
      {
        name: 'the longest step of archiving',
        unit: 'ms',
        ours: longestMs,
        reference: null,
        beside: '',
        ratio: null,
        target: null,
      },
    ];
  } finally {
    await log.close();
    await pool.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fill(log: Log): Promise<string[]> {
  const streams: string[] = [];
  const sealed = (bytes: number): string => Buffer.from(host.random.bytes(bytes)).toString('base64');
  const eventOf = (stream: string, version: number): NewEntry => {
    const address =
      version === 1 ? { address: sealed(120), lines: [{ sku: `sku-${version}`, quantity: 2 }] } : {};
    return {
      stream,
      version,
      type: TYPES[version - 1] as string,
      data: JSON.stringify({ ...address, currency: 'EUR', total_e4: 399_800 + version, at: 'warehouse' }),
      meta: JSON.stringify({
        cause: newId('req', { scope: 1, partition: 0 }, host.clock.nowMs(), host.random.bytes(10)),
      }),
      key: version === 1 ? sealed(18) : null,
      atMs: host.clock.nowMs(),
    };
  };
  for (let order = 0; order < ORDERS; order += INTERLEAVED) {
    const some = Array.from({ length: INTERLEAVED }, () =>
      newId('ord', { scope: 1, partition: 0 }, host.clock.nowMs(), host.random.bytes(10)),
    );
    streams.push(...some);
    for (let version = 1; version <= TYPES.length; version += 1)
      await log.append(
        PARTITION,
        some.map((stream) => eventOf(stream, version)),
      );
  }
  return streams;
}

/** @returns milliseconds of the longest step */
async function archive(log: Log): Promise<number> {
  while ((await log.forgetAnswers(host.clock.nowMs() + 1, 10_000)) === 10_000);
  let longestMs = 0;
  for (let isMore = true; isMore; ) {
    const begun = performance.now();
    isMore = await log.archive(ASKED);
    longestMs = Math.max(longestMs, performance.now() - begun);
  }
  return longestMs;
}

async function measure(log: Log, path: string, streams: readonly string[]): Promise<Measured> {
  const entries = log.heads()[0]?.position ?? 0;
  await walk(log); // warm
  const walked = performance.now();
  await walk(log);
  const walkUs = ((performance.now() - walked) / entries) * 1_000;
  const begun = performance.now();
  for (const stream of streams) {
    const { length } = await log.readStream(PARTITION, stream, 1, 100);
    if (length !== TYPES.length) throw new Error(`${stream} has ${length} events`);
  }
  const streamUs = ((performance.now() - begun) / streams.length) * 1_000;
  return { bytes: bytesUsed(path) / entries, streamUs, walkUs };
}

async function walk(log: Log): Promise<void> {
  for (let after = 0; ; ) {
    const page = await log.readPartition(PARTITION, after, PAGE_ENTRIES);
    after = page.at(-1)?.position ?? after;
    if (page.length < PAGE_ENTRIES) return;
  }
}

/** Pages that hold something (the file keeps those that are free for later rows), and the archive's files. */
function bytesUsed(path: string): number {
  const database = host.disk.database(path, { readOnly: true });
  const pragma = (name: string): number =>
    Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0] as number;
  const used = (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  database.close();
  const folder = path.replace('.log.db', '.archive');
  const files = readdirSync(join(folder, '..')).includes('orders-0.archive') ? readdirSync(folder) : [];
  return files.reduce((sum, name) => sum + statSync(join(folder, name)).size, used);
}

if (import.meta.main) console.log(await run(console.error));
