import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Database, SqlValue } from '../host/disk.ts';
import { realHost } from '../host/real.ts';
import { type Plan, planQuery } from './plan.ts';
import type { Join, Query } from './query.ts';
import { shardReader } from './reader.ts';
import { scatter } from './scatter.ts';
import { selectRows } from './sql.ts';
import { createTable, quoted, sqlite } from './sqlite.ts';
import { PARTITION_COLUMN, type Table, type Value } from './table.ts';
import { decodeRows, encodeRows } from './wire.ts';

const host = realHost();
const table: Table = {
  name: 'things',
  columns: { id: 'text', n: 'integer', name: 'text', size: 'integer', weight: 'real', extra: 'json' },
  key: ['id', 'n'],
  indexes: [['name'], ['size', 'name']],
};
const columns = Object.keys(table.columns);
interface Placed {
  readonly partition: number;
  readonly row: Record<string, string | number | null>;
}

function databaseOf(rows: readonly Placed[]): Database {
  const database = host.disk.database(':memory:');
  for (const sql of createTable(table)) database.exec(sql);
  const names = [PARTITION_COLUMN, ...columns].map(quoted).join(', ');
  const insert = database.prepare(`INSERT INTO things (${names}) VALUES (?, ?, ?, ?, ?, ?, ?)`);
  for (const { partition, row } of rows) {
    insert.run(partition, ...columns.map((column) => row[column] as SqlValue));
  }
  return database;
}

/** Over the wire form, as a peer would answer. */
const ask = async (shard: Database, plan: Plan): Promise<Value[][]> =>
  decodeRows(
    JSON.parse(JSON.stringify(encodeRows(shardReader(shard).read(JSON.parse(JSON.stringify(plan)))))),
  );

describe('scatter', () => {
  const row = (id: string, extra: Record<string, string | number | null> = {}): Placed => ({
    partition: 0,
    row: { id, n: 0, name: null, size: null, weight: null, extra: null, ...extra },
  });
  const query: Query = { service: 'test', table: 'things' };

  it('sums beyond what SQLite and JavaScript can add', async () => {
    const max = Number.MAX_SAFE_INTEGER;
    const many = Array.from({ length: 1100 }, (_, i) => row(`k${i}`, { size: max }));
    const shard = databaseOf([...many, row('x', { size: -3 })]);
    assert.throws(() => shard.prepare('SELECT sum(size) FROM things').get(), /overflow/);
    const aggregate = { groupBy: [], columns: { total: { sum: 'size' } } } as const;
    const { rows } = await scatter({ ...query, aggregate }, () => table, [shard], ask);
    assert.deepEqual(rows, [{ total: BigInt(max) * 1100n - 3n }]);
  });

  it('fails as a whole when a shard fails', async () => {
    const failing = scatter(
      query,
      () => table,
      [1, 2],
      (shard) =>
        shard === 1 ? Promise.resolve([]) : Promise.reject(new CardumeError('partition-unavailable', 'gone')),
    );
    await assert.rejects(failing, (error) => isCardumeError(error, 'partition-unavailable'));
  });

  it('fails when a row stands in two shards, or a shard answers out of order', async () => {
    const one = databaseOf([row('a')]);
    await assert.rejects(
      scatter(query, () => table, [one, one], ask),
      /each once/,
    );
    const two = databaseOf([row('a'), row('b')]);
    const reversed = scatter(
      query,
      () => table,
      [two],
      async (shard, plan) => (await ask(shard, plan)).reverse(),
    );
    await assert.rejects(reversed, /in order/);
  });

  it('has an answer over no shards', async () => {
    assert.deepEqual(await scatter(query, () => table, [], ask), { rows: [], next: null, shards: 0 });
    const aggregate = { groupBy: [], columns: { count: { count: '*' }, total: { sum: 'n' } } } as const;
    const { rows } = await scatter({ ...query, aggregate }, () => table, [], ask);
    assert.deepEqual(rows, [{ count: 0, total: 0n }]);
  });

  it('refuses more rows or groups than it may hold', async () => {
    const shards = Array.from({ length: 100 }, (_, i) => i);
    const large = scatter(
      { ...query, limit: 1000 },
      () => table,
      shards,
      async () => [],
    );
    await assert.rejects(
      large,
      (error) => isCardumeError(error, 'query-refused') && /at most 999 rows/.test(error.message),
    );
    const aggregate = { groupBy: ['n'], columns: { rows: { count: '*' } } };
    const byRows = { ...query, aggregate, orderBy: [{ column: 'rows', direction: 'descending' }] } as const;
    const groups = scatter(
      byRows,
      () => table,
      [0],
      async () => Array.from({ length: 10_001 }, (_, i) => [i, 1]),
    );
    await assert.rejects(
      groups,
      (error) => isCardumeError(error, 'query-refused') && /groups/.test(error.message),
    );
  });

  it('walks an index instead of the table, on every page', async () => {
    const named = (id: string): Placed => row(id, { size: 1, name: id });
    const shard = databaseOf([named('a'), named('b'), named('c')]);
    const plans: string[] = [];
    const watched: Database = {
      exec: (sql) => shard.exec(sql),
      close: () => shard.close(),
      prepare(sql) {
        const steps = shard.prepare(`EXPLAIN QUERY PLAN ${sql}`).all();
        if (steps.length > 0) plans.push(steps.map((step) => step['detail']).join('; '));
        return shard.prepare(sql);
      },
    };
    const secondPage = async (asked: Query): Promise<string[]> => {
      const first = await scatter({ ...asked, limit: 2 }, () => table, [shard], ask);
      assert.ok(first.next !== null);
      plans.length = 0;
      await scatter({ ...asked, limit: 2, after: first.next }, () => table, [watched], ask);
      return plans;
    };
    assert.deepEqual(await secondPage(query), [
      'SEARCH main.things USING INDEX sqlite_autoindex_things_1 ((_partition,id,n)>(?,?,?))',
    ]);
    const newest = await secondPage({
      ...query,
      where: [{ column: 'size', op: '=', value: 1 }],
      orderBy: [{ column: 'name', direction: 'descending' }],
    });
    assert.deepEqual(newest, [
      'SEARCH main.things USING INDEX things_by_size_name (size=? AND name<?); USE TEMP B-TREE FOR LAST 3 TERMS OF ORDER BY',
      'SEARCH main.things USING INDEX things_by_size_name (size=? AND name=?); USE TEMP B-TREE FOR LAST 3 TERMS OF ORDER BY',
    ]);
  });

  describe('a broadcast table', () => {
    const labels: Table = {
      name: 'labels',
      columns: { code: 'text', label: 'text' },
      key: ['code'],
      indexes: [],
    };
    const tableOf = (_service: string, name: string): Table => (name === 'labels' ? labels : table);
    const joining: Query = {
      ...query,
      select: ['id', 'labels.label'],
      join: [{ type: 'left', table: 'labels', on: [{ left: 'name', right: 'code' }], broadcast: true }],
    };
    /** Some have one shard's rows of things, one has labels. */
    const shardWith = (rows: readonly Placed[], some: readonly (readonly [string, string])[]): Database => {
      const database = databaseOf(rows);
      for (const sql of createTable(labels)) database.exec(sql);
      const insert = database.prepare('INSERT INTO labels VALUES (0, ?, ?)');
      for (const one of some) insert.run(...one);
      return database;
    };
    const numbered = (count: number, label = 'x'): [string, string][] =>
      Array.from({ length: count }, (_, i) => [`code ${i}`, label]);
    const refusedFor = (reason: RegExp) => (error: unknown) =>
      isCardumeError(error, 'query-refused') && reason.test(error.message);

    it('meets rows of every shard, up to its bound and not above it', async () => {
      const rows = [row('a', { name: 'code 0' }), row('b', { name: 'code 999' }), row('c')];
      const full = [
        shardWith(rows.slice(0, 2), numbered(400)),
        shardWith(rows.slice(2), numbered(1_000).slice(400)),
      ];
      const found = await scatter(joining, tableOf, full, ask);
      assert.deepEqual(found.rows, [
        { id: 'a', 'labels.label': 'x' },
        { id: 'b', 'labels.label': 'x' },
        { id: 'c', 'labels.label': null },
      ]);
      const more = [...full, shardWith([], [['one more', 'x']])];
      await assert.rejects(
        scatter(joining, tableOf, more, ask),
        refusedFor(/at most 1,000 rows, and this one has more/),
      );
      const filtered: Query = {
        ...joining,
        join: [{ ...(joining.join as readonly Join[])[0], type: 'inner' } as Join],
        where: [{ column: 'labels.code', op: 'in', value: ['code 0', 'one more'] }],
      };
      assert.deepEqual((await scatter(filtered, tableOf, more, ask)).rows, [
        { id: 'a', 'labels.label': 'x' },
      ]);
      const large = [shardWith([], numbered(14, 'x'.repeat(10_000)))];
      await assert.rejects(scatter(joining, tableOf, large, ask), refusedFor(/more than 262,144 bytes/));
      const empty = [shardWith(rows, [])];
      assert.equal((await scatter(joining, tableOf, empty, ask)).rows.length, 3);
    });
  });

  it('has a cap of bytes, in each shard and over all', async () => {
    const large = 'x'.repeat(4_000_000);
    const isTooLarge = (error: unknown): boolean =>
      isCardumeError(error, 'query-refused') &&
      /fewer rows or columns, .* 33,554,432 bytes/.test(error.message);
    const one = databaseOf(['a', 'b', 'c', 'd', 'e'].map((id) => row(id, { extra: large })));
    await assert.rejects(
      scatter(query, () => table, [one], ask),
      isTooLarge,
    );
    assert.equal((await scatter({ ...query, limit: 3 }, () => table, [one], ask)).rows.length, 3);
    assert.equal((await scatter({ ...query, select: ['id'] }, () => table, [one], ask)).rows.length, 5);
    const halves = [
      databaseOf([row('a', { extra: large }), row('b', { extra: large }), row('c', { extra: large })]),
    ];
    halves.push(databaseOf([row('d', { extra: large }), row('e', { extra: large })]));
    await assert.rejects(
      scatter(query, () => table, halves, ask),
      isTooLarge,
    );
  });

  it('finds joined rows by the beginning of their key', async () => {
    const lines: Table = { ...table, name: 'lines', shardedBy: 'id' };
    const shard = databaseOf([row('a')]);
    for (const sql of createTable(lines)) shard.exec(sql);
    const { plan } = planQuery(
      { ...query, join: [{ type: 'left', table: 'lines', on: [{ left: 'id', right: 'id' }] }] },
      (_service, name) => (name === 'lines' ? lines : { ...table, shardedBy: 'id' }),
    );
    const [{ text, values } = { text: '', values: [] }] = selectRows(plan, sqlite);
    const steps = shard.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...values, 1);
    assert.match(
      steps.map(({ detail }) => detail).join('; '),
      /SEARCH lines USING INDEX sqlite_autoindex_lines_1 \(_partition=\? AND id=\?\)/,
    );
  });
});
