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
import { TABLES } from '../platform/src/events/sqlite/schema.ts';
import { spotOf } from '../platform/src/events/sqlite/spot.ts';
import { realHost } from '../platform/src/host/real.ts';
import { appendAll, BATCH_ENTRIES, eventsOf, plainEntries } from './appending.ts';
import { compared, type Figure, type Say } from './figure.ts';

const ROUNDS = 7;
const STREAMS_PER_CALLER = 12;
const EVENTS = eventsOf(STREAMS_PER_CALLER);

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

function referenceOnce(folder: string, sameLayout: boolean): number {
  const rows = plainEntries(STREAMS_PER_CALLER).map(({ partition, position, entry }) => {
    const { stream, version, type, data, meta, key, atMs } = entry;
    const where = sameLayout ? [spotOf(partition, position)] : [partition, position];
    return [...where, 1, stream, version, type, data, meta, key, atMs, host.random.bytes(16)];
  });
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
          found.ours = await appendAll({ path: join(folder, 'ours.db') }, STREAMS_PER_CALLER);
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
