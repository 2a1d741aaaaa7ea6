/** Shards' files that are read together: the answer of each alone, from no more rows than a page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import type { Database, Disk } from '../host/disk.ts';
import { type SimulatedHost, simulatedHost } from '../testing/simulated/host.ts';
import { mergeRows } from './merge.ts';
import { cursorOf, type Plan, planQuery } from './plan.ts';
import type { Query } from './query.ts';
import { openShardFiles } from './shard-files.ts';
import { createTable } from './sqlite.ts';
import type { Table, Value } from './table.ts';
import { readTogether } from './together.ts';

const table: Table = {
  name: 'things',
  columns: { id: 'text', n: 'integer', size: 'integer' },
  key: ['id'],
  indexes: [['n']],
};
const SHARDS = 25;
const ROWS = 40;
const pathOf = (shard: number): string => `/${shard}.db`;
const paths = Array.from({ length: SHARDS }, (_, shard) => pathOf(shard));

function filled(host: SimulatedHost, nOf: (row: number) => number | null): void {
  for (const [shard, path] of paths.entries()) {
    const database = host.disk.database(path);
    database.exec('PRAGMA journal_mode = WAL; BEGIN');
    for (const sql of createTable(table)) database.exec(sql);
    const insert = database.prepare('INSERT INTO things VALUES (?, ?, ?, ?)');
    for (let i = 0; i < ROWS; i += 1) insert.run(shard, `${i}`, nOf(i * SHARDS + shard), (i * 7) % ROWS);
    database.exec('COMMIT');
    database.close();
  }
}

function planOf(query: Partial<Query>, after?: readonly Value[]): Plan {
  const asked: Query = { service: 's', table: 'things', limit: 10, ...query };
  const { plan } = planQuery(asked, () => table);
  if (after === undefined) return plan;
  return planQuery({ ...asked, after: cursorOf(plan, after) }, () => table).plan;
}

/** Counts rows, and connections that are open. */
function counted(disk: Disk): { readonly disk: Disk; rows: number; open: number } {
  const counts = {
    rows: 0,
    open: 0,
    disk: {
      ...disk,
      database(...asked: Parameters<Disk['database']>): Database {
        const database = disk.database(...asked);
        counts.open += 1;
        return {
          ...database,
          prepare(sql) {
            const statement = database.prepare(sql);
            return {
              ...statement,
              *iterate(...values) {
                for (const row of statement.iterate(...values)) {
                  counts.rows += 1;
                  yield row;
                }
              },
            };
          },
          close() {
            counts.open -= 1;
            database.close();
          },
        };
      },
    },
  };
  return counts;
}

const descending = { orderBy: [{ column: 'n', direction: 'descending' as const }] };

function pages(host: SimulatedHost, query: Partial<Query>): { rowsMax: number } {
  const counts = counted(host.disk);
  const files = openShardFiles(counts.disk);
  const alone = (plan: Plan): Value[][][] =>
    paths.flatMap((path) => files.at([path]).map(({ reader }) => reader.read(plan)));
  let plan = planOf(query);
  let rowsMax = 0;
  for (let page = 0; page < 5; page += 1) {
    counts.rows = 0;
    const parts = readTogether(
      plan,
      files.at(paths).map(({ reader }) => reader),
    );
    rowsMax = Math.max(rowsMax, counts.rows);
    const rows = mergeRows(plan, parts);
    assert.deepEqual(rows, mergeRows(plan, alone(plan)));
    assert.ok(
      parts.every((part, shard) => part.every((row) => row[plan.columns.indexOf('_partition')] === shard)),
    );
    plan = planOf(query, rows[plan.limit - 1] as Value[]);
  }
  return { rowsMax };
}

test('by an index, hardly more than the page is read', () => {
  const host = simulatedHost({ seed: 1 });
  filled(host, (row) => Math.floor(row / 3));
  const { rowsMax } = pages(host, descending);
  assert.ok(
    rowsMax <= 11 + 3 + 3,
    `${rowsMax} rows: the page, its last row's equals and a head of each connection`,
  );
  host.close();
});

test('rows that are equal in what the index gives come in the whole order', () => {
  const host = simulatedHost({ seed: 1 });
  filled(host, (row) => (row % 2 === 0 ? null : row % 5));
  pages(host, descending);
  pages(host, { orderBy: [{ column: 'n', direction: 'ascending' }] });
  host.close();
});

test('what no index gives comes from each shard', () => {
  const host = simulatedHost({ seed: 1 });
  filled(host, (row) => row);
  const { rowsMax } = pages(host, { orderBy: [{ column: 'size', direction: 'ascending' }] });
  assert.ok(rowsMax > SHARDS);
  pages(host, { ...descending, where: [{ column: 'size', op: 'in', value: [1, 2, 3, 30] }] });
  host.close();
});

test('a file that fails fails the read, and no other', () => {
  const host = simulatedHost({ seed: 1 });
  filled(host, (row) => row);
  const files = openShardFiles(host.disk);
  const read = (some: readonly string[]): Value[][][] =>
    readTogether(
      planOf(descending),
      files.at(some).map(({ reader }) => reader),
    );
  assert.throws(
    () => read([...paths.slice(0, 3), '/nowhere.db']),
    (error) => isCardumeError(error, 'storage-failed') && error.message.includes('/nowhere.db'),
  );
  assert.equal(read(paths.slice(0, 3)).flat().length, 11);
  host.close();
});

test('connections have a bound, and those that a read needs stay open', () => {
  const host = simulatedHost({ seed: 1 });
  filled(host, (row) => row);
  const counts = counted(host.disk);
  const files = openShardFiles(counts.disk);
  for (let first = 0; first < SHARDS; first += 1) {
    const some = [...paths.slice(first), ...paths.slice(0, first)];
    const parts = readTogether(
      planOf(descending),
      files.at(some).map(({ reader }) => reader),
    );
    assert.equal(parts.flat().length, 11);
  }
  assert.ok(counts.open <= 20, `${counts.open} are open`);
  host.close();
});
