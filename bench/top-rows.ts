/**
 * The first rows of a million that stand in 16 shards, beside the same question to one database with all of them: the
 * shop's table of orders in files, the same planner, readers and indexes on both sides, one reader thread as the topology
 * has it. A page begins behind a random row; the two take turns, page by page, and medians are compared.
 *
 * The first figure follows an index, so a page costs hardly more than its rows; the third must look at all rows.
 *
 *   node tools/launch.mjs bench/top-rows.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import written from '../cardume.config.ts';
import { newId } from '../platform/src/base/id.ts';
import { openReaders } from '../platform/src/cqrs/readers.ts';
import { realHost } from '../platform/src/host/real.ts';
import { unbounded } from '../platform/src/sharding/deadline.ts';
import { cursorOf, planQuery } from '../platform/src/sharding/plan.ts';
import type { Query } from '../platform/src/sharding/query.ts';
import { scatter } from '../platform/src/sharding/scatter.ts';
import { createTable } from '../platform/src/sharding/sqlite.ts';
import { PARTITION_COLUMN, type Value } from '../platform/src/sharding/table.ts';
import { ordersTable } from '../shop/src/orders/order-list.ts';
import { compared, type Figure, median, type Say } from './figure.ts';

const ROWS = 1_000_000;
const SHARDS = 16;
const PARTITIONS = 64;
const PAGE = 20;
const ROUNDS = 5;
const PAGES_BY_INDEX = 200;
const PAGES_BY_SCAN = 3;
const SCAN_MS_MAX = 60_000;
const COUNTRIES = ['BR', 'DE', 'FR', 'GB', 'JP', 'US'];

/** Indexes are made when the rows are there: sorted, that is quicker. */
const [TABLE, ...INDEXES] = createTable(ordersTable);

type Cells = Readonly<Record<string, string | number | null>>;

const host = realHost();
const tableOf = () => ordersTable;
const byIndex: Query = {
  service: 'orders',
  table: ordersTable.name,
  orderBy: [{ column: 'placed_at_ms', direction: 'descending' }],
  limit: PAGE,
};
const byScan: Query = { ...byIndex, orderBy: [{ column: 'total_e4', direction: 'descending' }] };

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-bench-'));
  const readers = openReaders(host, {
    threadsMax: written.bounds.readerThreadsMax,
    deadlineMs: SCAN_MS_MAX,
  });
  try {
    say(`makes ${ROWS.toLocaleString('en')} rows, twice`);
    const { shards, whole, sample } = make(folder);
    let held = 0;
    const ask = async (paths: readonly string[], query: Query): Promise<unknown> => {
      let rows = 0;
      const { rows: page } = await scatter(query, tableOf, paths, async (path, plan) => {
        const part = await readers.scan(path, plan, unbounded);
        rows += part.length;
        return part;
      });
      held = Math.max(held, rows);
      return page;
    };
    const byHand = handWritten(whole);
    try {
      const indexed = await paired(byIndex, PAGES_BY_INDEX, sample, say, {
        ours: (query) => ask(shards, query),
        reference: (query) => ask([whole], query),
        byHand: async (_query, row) => byHand.page(row),
      });
      const scanned = await paired(byScan, PAGES_BY_SCAN, sample, say, {
        ours: (query) => ask(shards, query),
        reference: (query) => ask([whole], query),
      });
      const name = `first ${PAGE} of ${ROWS.toLocaleString('en')} rows over ${SHARDS} shards`;
      return [
        {
          name: `${name}, by an index`,
          unit: 'µs',
          ...compared(indexed.map(({ ours, reference }) => ({ ours, reference }))),
          target: { atMost: 1.5 },
          beside: 'the same on one database with all rows',
        },
        {
          name: `${name}, by an index`,
          unit: 'µs',
          ...compared(indexed.map(({ ours, byHand: reference }) => ({ ours, reference }))),
          target: null,
          beside: 'one prepared statement of node:sqlite, in the same thread',
        },
        {
          name: `${name}, without an index`,
          unit: 'µs',
          ...compared(scanned.map(({ ours, reference }) => ({ ours, reference }))),
          target: { atMost: 1.5 },
          beside: 'the same on one database with all rows',
        },
        {
          name: 'rows that come back for such a page, at most',
          unit: 'rows',
          ours: held,
          reference: null,
          ratio: null,
          target: { atMost: written.bounds.readerThreadsMax * (PAGE + 1) },
          beside: 'beside them a reader holds one row of each connection, or of each shard without an index',
        },
      ];
    } finally {
      byHand.close();
    }
  } finally {
    await readers.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Medians of each round, µs. @param ways in turns, page by page, each round in another order */
async function paired<Name extends string>(
  query: Query,
  pages: number,
  sample: readonly Cells[],
  say: Say,
  ways: Readonly<Record<Name, (query: Query, row: Cells) => Promise<unknown>>>,
): Promise<Record<Name, number>[]> {
  const { plan } = planQuery(query, tableOf);
  const names = Object.keys(ways) as Name[];
  const rounds: Record<Name, number>[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    say(`${query.orderBy?.[0]?.column}: ${round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`}`);
    const tookUs = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, number[]>;
    for (let page = 0; page < pages; page += 1) {
      const row = sample[Math.floor(Math.random() * sample.length)] as Cells;
      const after = cursorOf(
        plan,
        plan.columns.map((column) => row[column] as Value),
      );
      const asked = { ...query, after };
      const answers: string[] = [];
      for (const name of page % 2 === 0 ? names : names.toReversed()) {
        const begun = performance.now();
        const answer = await ways[name](asked, row);
        tookUs[name].push((performance.now() - begun) * 1_000);
        answers.push(JSON.stringify(answer));
      }
      if (new Set(answers).size > 1) throw new Error(`the answers differ:\n${answers.join('\n')}`);
    }
    if (round < 0) continue; // the first warms up
    const entries = names.map((name) => [name, median(tookUs[name])]);
    rounds.push(Object.fromEntries(entries) as Record<Name, number>);
  }
  return rounds;
}

/** @returns paths of the shards and of the whole; some of the rows, from which a page may begin */
function make(folder: string): { shards: string[]; whole: string; sample: Cells[] } {
  const shards = Array.from({ length: SHARDS }, (_, i) => join(folder, `orders-${i}.views.db`));
  const whole = join(folder, 'whole.views.db');
  const files = [...shards, whole].map(fileAt);
  const sample: Cells[] = [];
  const bornMs = Date.UTC(2026, 0, 1);
  for (let i = 0; i < ROWS; i += 1) {
    const partition = i % PARTITIONS;
    const place = { scope: 1, partition };
    const row: Cells = {
      [PARTITION_COLUMN]: partition,
      id: newId('ord', place, bornMs + i, host.random.bytes(10)),
      customer: newId('acc', place, bornMs + (i % 1_000), host.random.bytes(10)),
      status: 'confirmed',
      country: COUNTRIES[i % COUNTRIES.length] as string,
      currency: 'GBP',
      total_e4: 1 + Math.floor(Math.random() * 100_000_000),
      lines: 1 + (i % 5),
      placed_at_ms: bornMs + Math.floor(Math.random() * 30_000_000_000),
      reference: null,
    };
    const cells = [PARTITION_COLUMN, ...Object.keys(ordersTable.columns)].map(
      (column) => row[column] ?? null,
    );
    files[partition % SHARDS]?.insert.run(...cells);
    files[SHARDS]?.insert.run(...cells);
    if (i % 1_000 === 0) sample.push(row);
  }
  for (const { database } of files) {
    for (const sql of INDEXES) database.exec(sql);
    database.exec('COMMIT');
    database.close();
  }
  return { shards, whole, sample };
}

function fileAt(path: string): { readonly database: DatabaseSync; readonly insert: StatementSync } {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN');
  database.exec(TABLE as string);
  const marks = Array.from({ length: 1 + Object.keys(ordersTable.columns).length }, () => '?');
  return { database, insert: database.prepare(`INSERT INTO orders VALUES (${marks.join(', ')})`) };
}

/** What one would write for one database. */
function handWritten(path: string): { page(row: Cells): unknown; close(): void } {
  const database = new DatabaseSync(path, { readOnly: true });
  const columns = Object.keys(ordersTable.columns).join(', ');
  const select = database.prepare(
    `SELECT ${columns} FROM orders WHERE (placed_at_ms, ${PARTITION_COLUMN}, id) < (?, ?, ?)
     ORDER BY placed_at_ms DESC, ${PARTITION_COLUMN} DESC, id DESC LIMIT ${PAGE}`,
  );
  return {
    page: ({ placed_at_ms: at, [PARTITION_COLUMN]: partition, id }) =>
      select.all(at as number, partition as number, id as string),
    close: () => database.close(),
  };
}

if (import.meta.main) console.log(await run(console.error));
