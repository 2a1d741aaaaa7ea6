import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Database, SqlValue } from '../host/disk.ts';
import { realHost } from '../host/real.ts';
import type { Plan } from './plan.ts';
import type { Query } from './query.ts';
import { shardReader } from './reader.ts';
import { scatter } from './scatter.ts';
import { createTable, quoted } from './sqlite.ts';
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
        plans.push(steps.map((step) => step['detail']).join('; '));
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
      'SEARCH things USING INDEX sqlite_autoindex_things_1 ((_partition,id,n)>(?,?,?))',
    ]);
    const newest = await secondPage({
      ...query,
      where: [{ column: 'size', op: '=', value: 1 }],
      orderBy: [{ column: 'name', direction: 'descending' }],
    });
    assert.deepEqual(newest, [
      'SEARCH things USING INDEX things_by_size_name (size=? AND name<?); USE TEMP B-TREE FOR LAST 3 TERMS OF ORDER BY',
      'SEARCH things USING INDEX things_by_size_name (size=? AND name=?); USE TEMP B-TREE FOR LAST 3 TERMS OF ORDER BY',
    ]);
  });
});
