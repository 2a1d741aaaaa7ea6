/**
 * Whether the log becomes slower as it becomes longer: the cost of an append, and of reads by an idempotency key and by a
 * stream's name chosen at random over all of it, in logs of 10,000, 100,000 and 1,000,000 events. The logs take
 * turns; the smallest is made anew for each round, since a round makes it longer.
 *
 *   node tools/launch.mjs bench/log-growth.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '../platform/src/base/id.ts';
import { openLog, openWriterPool } from '../platform/src/events/events.ts';
import type { Log, NewEntry } from '../platform/src/events/log.ts';
import { realHost } from '../platform/src/host/real.ts';
import { compared, type Figure, type Say } from './figure.ts';

const SMALL_EVENTS = 10_000;
const LARGE_EVENTS: readonly number[] = [100_000, 1_000_000];
const ROUNDS = 5;
const PARTITIONS = 8;
const EVENTS_PER_STREAM = 4;
const BATCH_ENTRIES = 128;
/** Enough for several of SQLite's checkpoints: they are part of the cost. */
const APPENDED_A_ROUND = 16_384;
const READS_A_ROUND = 10_000;
/** Appends under way while a log is filled. */
const FILLERS = 64;

const host = realHost();

interface Measured {
  readonly appendUs: number;
  readonly answerUs: number;
  readonly streamUs: number;
}

interface Written {
  readonly partition: number;
  readonly stream: string;
  readonly key: string;
}

interface Grown {
  readonly log: Log;
  /** Appends whole streams of events until the log is so long. */
  fill(events: number, say: Say): Promise<void>;
  measure(): Promise<Measured>;
}

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-bench-'));
  const pool = openWriterPool(host, { threadsMax: 1 });
  let files = 0;
  const make = async (events: number, tell: Say): Promise<Grown> => {
    files += 1;
    const partitions = Array.from({ length: PARTITIONS }, (_, i) => i);
    const bounds = { batchEntriesMax: BATCH_ENTRIES, queueEntriesMax: 50_000 };
    const grown = grownOver(
      await openLog(host, { path: join(folder, `${files}.db`), partitions, pool, bounds }),
    );
    await grown.fill(events, tell);
    return grown;
  };
  try {
    const large: Grown[] = [];
    for (const events of LARGE_EVENTS) large.push(await make(events, say));
    const rounds: Measured[][] = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
      const small = await make(SMALL_EVENTS, () => {});
      const measured: Measured[] = [];
      for (const one of [small, ...large]) measured.push(await one.measure());
      await small.log.close();
      if (round >= 0) rounds.push(measured);
    }
    for (const one of large) await one.log.close();
    return LARGE_EVENTS.flatMap((events, i) => {
      const figure = (name: string, cost: (measured: Measured) => number): Figure => ({
        name: `${name} at ${events.toLocaleString('en')} events`,
        unit: 'µs',
        ...compared(
          rounds.map((measured) => ({
            ours: cost(measured[i + 1] as Measured),
            reference: cost(measured[0] as Measured),
          })),
        ),
        target: events === LARGE_EVENTS.at(-1) ? { atMost: 1.5 } : null,
        beside: `at ${SMALL_EVENTS.toLocaleString('en')} events`,
      });
      return [
        figure('append', ({ appendUs }) => appendUs),
        figure('read by key', ({ answerUs }) => answerUs),
        figure('read of a stream', ({ streamUs }) => streamUs),
      ];
    });
  } finally {
    await pool.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function grownOver(log: Log): Grown {
  const written: Written[] = [];

  /** A new stream's events; the last bears its idempotency key, as random as callers choose them. */
  function newStream(): { readonly partition: number; readonly entries: NewEntry[] } {
    const partition = written.length % PARTITIONS;
    const stream = newId('ord', { scope: 0, partition }, host.clock.nowMs(), host.random.bytes(10));
    const key = `usr/orders.place/${Buffer.from(host.random.bytes(16)).toString('hex')}`;
    written.push({ partition, stream, key });
    const entries = Array.from({ length: EVENTS_PER_STREAM }, (_, i): NewEntry => {
      const data = `{"customer":"${stream}","items":[{"sku":"sku-${i}","quantity":2,"price_e4":199900}],"total_e4":399800}`;
      return {
        stream,
        version: i + 1,
        type: 'OrderPlaced',
        data,
        meta: null,
        key: i === EVENTS_PER_STREAM - 1 ? key : null,
        atMs: host.clock.nowMs(),
      };
    });
    return { partition, entries };
  }

  /** @param writers appends under way at once, each of one stream's events together or one by one */
  async function append(events: number, writers: number, together: boolean, say: Say): Promise<void> {
    let left = events;
    async function write(): Promise<void> {
      while (left > 0) {
        left -= EVENTS_PER_STREAM;
        if (left > 0 && left % 100_000 < EVENTS_PER_STREAM) say(`${left} events to write`);
        const { partition, entries } = newStream();
        if (together) await log.append(partition, entries);
        else for (const entry of entries) await log.append(partition, [entry]);
      }
    }
    await Promise.all(Array.from({ length: writers }, write));
  }

  /** Mean of many reads, microseconds. */
  async function read(one: (of: Written) => Promise<number>): Promise<number> {
    const chosen = Array.from({ length: READS_A_ROUND }, () => {
      return written[Math.floor(host.random.fraction() * written.length)] as Written;
    });
    const begun = performance.now();
    for (const of of chosen) {
      const found = await one(of);
      if (found !== EVENTS_PER_STREAM) throw new Error(`${of.stream} ends at version ${found}`);
    }
    return ((performance.now() - begun) / READS_A_ROUND) * 1_000;
  }

  return {
    log,
    fill: (events, say) => append(events, FILLERS * EVENTS_PER_STREAM, true, say),
    async measure() {
      const answerUs = await read(
        async ({ partition, key }) => (await log.findAnswer(partition, key))?.version ?? 0,
      );
      const streamUs = await read(
        async ({ partition, stream }) =>
          (await log.readStream(partition, stream, 1, 100)).at(-1)?.version ?? 0,
      );
      const begun = performance.now();
      await append(APPENDED_A_ROUND, FILLERS * EVENTS_PER_STREAM, false, () => {});
      return { appendUs: ((performance.now() - begun) / APPENDED_A_ROUND) * 1_000, answerUs, streamUs };
    },
  };
}

if (import.meta.main) console.log(await run(console.error));
