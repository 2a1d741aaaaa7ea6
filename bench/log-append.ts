/**
 * What the event log costs over its engine: events a second of `openLog` (checksums, fence, threads, group commit)
 * against plain `node:sqlite` that inserts the same rows under the same unique index, 128 rows a commit at
 * synchronous=FULL, on the same disk, in alternating rounds. Ratios are medians of the rounds' ratios.
 *
 * The reference keys its rows by (partition, position), as one would write it; the second figure's keys them by the
 * single number that the log itself uses (events/sqlite/spot.ts).
 *
 *   node tools/launch.mjs bench/log-append.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { newId } from '../platform/src/base/id.ts';
import { openLog, openWriterPool } from '../platform/src/events/events.ts';
import type { NewEntry } from '../platform/src/events/log.ts';
import { TABLES } from '../platform/src/events/sqlite/schema.ts';
import { spotOf } from '../platform/src/events/sqlite/spot.ts';
import { realHost } from '../platform/src/host/real.ts';
import { compared, type Figure, type Say } from './figure.ts';

const ROUNDS = 7;
const BATCH_ENTRIES = 128;
/** Callers that append and wait, each one entry at a time: enough to fill a batch while another commits. */
const CALLERS = 512;
const STREAMS_PER_CALLER = 12;
const EVENTS_PER_STREAM = 4;
const PARTITIONS = 8;
const EVENTS = CALLERS * STREAMS_PER_CALLER * EVENTS_PER_STREAM;

interface Round {
  readonly ours: number;
  readonly reference: number;
  readonly referenceSameLayout: number;
}

const PLAIN = TABLES.replace(
  'spot     INTEGER PRIMARY KEY',
  'partition INTEGER NOT NULL, position INTEGER NOT NULL',
).replace(
  /checksum BLOB {4}NOT NULL\s+\)/,
  'checksum BLOB NOT NULL, PRIMARY KEY (partition, position)) WITHOUT ROWID',
);
if (!PLAIN.includes('PRIMARY KEY (partition, position))'))
  throw new Error('the schema has changed: adapt PLAIN');

const host = realHost();

/** An order's events as the shop writes them: some 300 bytes each. */
function entryOf(stream: string, version: number): NewEntry {
  const data = JSON.stringify({
    customer: stream.replace('ord', 'usr'),
    items: [{ sku: `sku-${version}`, quantity: 2, unitPrice: { amount: '1999', currency: 'EUR' } }],
    total: { amount: '3998', currency: 'EUR' },
    address: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v',
  });
  const meta = '{"trace":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}';
  return { stream, version, type: 'OrderPlaced', data, meta, key: null, atMs: host.clock.nowMs() };
}

function streamsOf(partition: number, count: number): string[] {
  const place = { scope: 0, partition };
  return Array.from({ length: count }, () => newId('ord', place, host.clock.nowMs(), host.random.bytes(10)));
}

async function oursOnce(folder: string): Promise<number> {
  const pool = openWriterPool(host, { threadsMax: 1 });
  const partitions = Array.from({ length: PARTITIONS }, (_, i) => i);
  const log = await openLog(host, {
    path: join(folder, 'ours.db'),
    partitions,
    pool,
    bounds: { batchEntriesMax: BATCH_ENTRIES, queueEntriesMax: 10_000 },
  });
  const callers = Array.from({ length: CALLERS }, (_, i) => {
    const partition = i % PARTITIONS;
    const entries = streamsOf(partition, STREAMS_PER_CALLER).flatMap((stream) =>
      Array.from({ length: EVENTS_PER_STREAM }, (__, n) => entryOf(stream, n + 1)),
    );
    return async () => {
      for (const entry of entries) await log.append(partition, [entry]);
    };
  });
  const startMs = performance.now();
  await Promise.all(callers.map((caller) => caller()));
  const seconds = (performance.now() - startMs) / 1000;
  await log.close();
  await pool.close();
  return EVENTS / seconds;
}

function referenceOnce(folder: string, sameLayout: boolean): number {
  const rows: (string | number | null | Uint8Array)[][] = [];
  const positions = new Array<number>(PARTITIONS).fill(0);
  const streams = Array.from({ length: CALLERS }, (_, i) => streamsOf(i % PARTITIONS, STREAMS_PER_CALLER));
  for (let s = 0; s < STREAMS_PER_CALLER; s += 1) {
    for (let version = 1; version <= EVENTS_PER_STREAM; version += 1) {
      for (let caller = 0; caller < CALLERS; caller += 1) {
        const partition = caller % PARTITIONS;
        const position = (positions[partition] as number) + 1;
        positions[partition] = position;
        const { stream, type, data, meta, key, atMs } = entryOf(streams[caller]?.[s] as string, version);
        const where = sameLayout ? [spotOf(partition, position)] : [partition, position];
        rows.push([...where, 1, stream, version, type, data, meta, key, atMs, host.random.bytes(16)]);
      }
    }
  }
  const database = new DatabaseSync(join(folder, `reference-${sameLayout}.db`));
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL');
  database.exec(sameLayout ? TABLES : PLAIN);
  const insert = database.prepare(
    `INSERT INTO entries VALUES (${(rows[0] ?? []).map(() => '?').join(', ')})`,
  );
  const startMs = performance.now();
  for (let from = 0; from < rows.length; from += BATCH_ENTRIES) {
    database.exec('BEGIN IMMEDIATE');
    for (let i = from; i < Math.min(from + BATCH_ENTRIES, rows.length); i += 1)
      insert.run(...(rows[i] ?? []));
    database.exec('COMMIT');
  }
  const seconds = (performance.now() - startMs) / 1000;
  database.close();
  return EVENTS / seconds;
}

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const rounds: Round[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
    const folder = mkdtempSync(join(tmpdir(), 'cardume-bench-'));
    try {
      const found = { ours: 0, reference: 0, referenceSameLayout: 0 };
      const steps: (() => Promise<void>)[] = [
        async () => {
          found.ours = await oursOnce(folder);
        },
        async () => {
          found.reference = referenceOnce(folder, false);
        },
        async () => {
          found.referenceSameLayout = referenceOnce(folder, true);
        },
      ];
      if (round % 2 === 0) steps.reverse(); // who begins changes with each round
      for (const step of steps) await step();
      if (round >= 0) rounds.push(found); // the first warms up
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const figure = (
    reference: 'reference' | 'referenceSameLayout',
    beside: string,
  ): Omit<Figure, 'target'> => ({
    name: 'log appends',
    unit: 'events/s',
    ...compared(rounds.map((round) => ({ ours: round.ours, reference: round[reference] }))),
    beside,
  });
  return [
    { ...figure('reference', 'node:sqlite, 128 rows a commit'), target: { atLeast: 0.6 } },
    { ...figure('referenceSameLayout', "the same, in the log's row layout"), target: null },
  ];
}

if (import.meta.main) console.log(await run(console.error));
