import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Database, SqlValue } from '../host/disk.ts';
import { realHost } from '../host/real.ts';
import type { Plan } from './plan.ts';
import type { Filter, Query, QueryResult } from './query.ts';
import { shardReader } from './reader.ts';
import { scatter } from './scatter.ts';
import { PARTITION_COLUMN } from './sql.ts';
import { createTable, quoted } from './sqlite.ts';
import type { Row, Table, Value } from './table.ts';
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

// Few distinct values make ties; the characters stand on both sides of the surrogates, where UTF-16 order is wrong.
const character = fc.constantFrom(
  'a',
  'A',
  'b',
  '%',
  '_',
  'é',
  '\ud7ff',
  '\ue000',
  '\uffff',
  '😀',
  '\u{10ffff}',
  '\0',
);
const text = fc.oneof(
  character,
  fc.array(character, { maxLength: 3 }).map((characters) => characters.join('')),
);
const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -2, max: 2 }) },
  { weight: 1, arbitrary: fc.maxSafeInteger() },
);
const weight = fc.oneof(
  fc.constantFrom(-1.5, 0, 0.1, 2),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const stored = fc.oneof(
  { weight: 4, arbitrary: weight },
  { weight: 1, arbitrary: fc.constantFrom(Infinity, -Infinity) },
);
const orNull = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(of, { freq: 2 });

const placed: fc.Arbitrary<Placed> = fc.record({
  partition: fc.integer({ min: 0, max: 7 }),
  row: fc.record({
    id: text,
    n: fc.integer({ min: 0, max: 3 }),
    name: orNull(
      fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom('a', '\ud7ff', '\ue000') },
        { weight: 2, arbitrary: text },
      ),
    ),
    size: orNull(size),
    weight: orNull(stored.map((value) => value + 0)), // SQLite keeps no negative zero
    extra: orNull(fc.constant('{"a":[1]}')),
  }),
});
const rowsOf = fc.uniqueArray(placed, {
  maxLength: 40,
  size: 'max',
  selector: ({ partition, row }) => JSON.stringify([partition, row['id'], row['n']]),
});

const comparison = fc.constantFrom(
  '=' as const,
  '<>' as const,
  '<' as const,
  '<=' as const,
  '>' as const,
  '>=' as const,
);
const filter: fc.Arbitrary<Filter> = fc.oneof(
  fc.record({ column: fc.constantFrom('id', 'name'), op: comparison, value: text }),
  fc.record({
    column: fc.constantFrom('n', 'size'),
    op: comparison,
    value: fc.oneof(size, fc.constant(0.5)),
  }),
  fc.record({ column: fc.constant('weight'), op: comparison, value: weight }),
  fc.record({ column: fc.constantFrom('id', 'name'), op: fc.constant('prefix' as const), value: text }),
  fc.record({
    column: fc.constant('name'),
    op: fc.constant('in' as const),
    value: fc.array(text, { maxLength: 4 }),
  }),
  fc.record({
    column: fc.constant('size'),
    op: fc.constant('in' as const),
    value: fc.array(size, { maxLength: 4 }),
  }),
  fc.record({
    column: fc.constantFrom('name', 'size', 'extra'),
    op: fc.constantFrom('is-null' as const, 'is-not-null' as const),
  }),
);
const orderOf = (names: readonly string[]): fc.Arbitrary<NonNullable<Query['orderBy']>> =>
  fc.uniqueArray(
    fc.record({
      column: fc.constantFrom(...names),
      direction: fc.constantFrom('ascending' as const, 'descending' as const),
    }),
    { maxLength: 4, selector: ({ column }) => column },
  );

/** What the query means, said once more and without SQL. Bytes decide about text. */
function matches(row: Placed['row'], where: readonly Filter[]): boolean {
  return where.every((one) => {
    const value = row[one.column] ?? null;
    if (one.op === 'is-null') return value === null;
    if (one.op === 'is-not-null') return value !== null;
    if (value === null || !('value' in one)) return false;
    if (one.op === 'prefix') return (value as string).startsWith(one.value);
    if (one.op === 'in') return one.value.includes(value);
    const difference = byBytes(value, one.value);
    const holds = {
      '=': difference === 0,
      '<>': difference !== 0,
      '<': difference < 0,
      '<=': difference <= 0,
      '>': difference > 0,
      '>=': difference >= 0,
    };
    return holds[one.op];
  });
}

function byBytes(a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string));
  return a < (b as number) ? -1 : a > (b as number) ? 1 : 0;
}

async function allPages(query: Query, shards: readonly Database[]): Promise<Row[]> {
  const rows: Row[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < 200; pages += 1) {
    const page: QueryResult = await scatter(after === null ? query : { ...query, after }, table, shards, ask);
    rows.push(...page.rows);
    assert.ok(page.rows.length <= (query.limit ?? 100));
    if (page.next === null) return rows;
    assert.equal(page.rows.length, query.limit, 'a page before the last is full');
    after = page.next;
  }
  assert.fail('the pages never end');
}

function spread(rows: readonly Placed[], count: number): Database[] {
  return Array.from({ length: count }, (_, shard) =>
    databaseOf(rows.filter((one) => one.partition % count === shard)),
  );
}

describe('scatter, against the whole in one place', () => {
  it('gives every row once, in order, over all pages', async () => {
    await fc.assert(
      fc.asyncProperty(
        rowsOf,
        fc.integer({ min: 1, max: 4 }),
        fc.array(filter, { maxLength: 2 }),
        orderOf(['id', 'n', 'name', 'size', 'weight']),
        fc.integer({ min: 1, max: 7 }),
        fc.option(fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { maxLength: 3 }), { nil: undefined }),
        fc.option(fc.subarray(columns, { minLength: 1 }), { nil: undefined }),
        async (rows, count, where, orderBy, limit, partitions, select) => {
          const descending = orderBy.at(-1)?.direction === 'descending';
          const rest = ['id', 'n'].map((column) => ({
            column,
            direction: descending ? 'descending' : 'ascending',
          }));
          const expected = rows
            .filter(({ partition, row }) => (partitions?.includes(partition) ?? true) && matches(row, where))
            .sort((a, b) => {
              for (const { column, direction } of [
                ...orderBy,
                { column: PARTITION_COLUMN, direction: rest[0]?.direction },
                ...rest,
              ]) {
                const difference =
                  column === PARTITION_COLUMN
                    ? a.partition - b.partition
                    : byBytes(a.row[column] as Value, b.row[column] as Value);
                if (difference !== 0) return direction === 'descending' ? -difference : difference;
              }
              return 0;
            })
            .map(({ row }) =>
              Object.fromEntries((select ?? columns).map((column) => [column, row[column] as Value])),
            );
          const query: Query = {
            service: 'test',
            table: 'things',
            where,
            orderBy,
            limit,
            ...(partitions === undefined ? {} : { partitions }),
            ...(select === undefined ? {} : { select }),
          };
          const shards = spread(rows, count);
          const found = await allPages(query, shards);
          for (const shard of shards) shard.close();
          assert.deepEqual(found, expected);
        },
      ),
      { numRuns: 700 },
    );
  });

  it('adds groups up exactly, and pages over them', async () => {
    await fc.assert(
      fc.asyncProperty(
        rowsOf,
        fc.integer({ min: 1, max: 4 }),
        fc.array(filter, { maxLength: 1 }),
        fc.subarray(['name', 'n']),
        orderOf(['name', 'n', 'total', 'count']),
        fc.integer({ min: 1, max: 5 }),
        async (rows, count, where, groupBy, orderBy, limit) => {
          const output = [...groupBy, 'total', 'count'];
          const order = orderBy.filter(({ column }) => output.includes(column));
          const groups = new Map<string, Record<string, Value>>();
          const empty = { total: 0n, count: 0 };
          if (groupBy.length === 0) groups.set('[]', { ...empty });
          for (const { row } of rows.filter((one) => matches(one.row, where))) {
            const key = JSON.stringify(groupBy.map((column) => row[column]));
            const names = Object.fromEntries(groupBy.map((column) => [column, row[column] as Value]));
            const group = groups.get(key) ?? { ...names, ...empty };
            group['total'] = (group['total'] as bigint) + BigInt(row['size'] ?? 0);
            group['count'] = (group['count'] as number) + 1;
            groups.set(key, group);
          }
          const expected = [...groups.values()].sort((a, b) => {
            const rest = groupBy.map((column) => ({ column, direction: 'ascending' }));
            for (const { column, direction } of [...order, ...rest]) {
              const difference = byBytes(a[column] as Value, b[column] as Value);
              if (difference !== 0) return direction === 'descending' ? -difference : difference;
            }
            return 0;
          });
          const shards = spread(rows, count);
          const aggregate = { groupBy, columns: { total: { sum: 'size' }, count: { count: '*' } } } as const;
          const query: Query = { service: 'test', table: 'things', where, orderBy: order, limit, aggregate };
          const found = await allPages(query, shards);
          for (const shard of shards) shard.close();
          assert.deepEqual(found, expected);
        },
      ),
      { numRuns: 300 },
    );
  });
});

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
    const { rows } = await scatter({ ...query, aggregate }, table, [shard], ask);
    assert.deepEqual(rows, [{ total: BigInt(max) * 1100n - 3n }]);
  });

  it('fails as a whole when a shard fails', async () => {
    const failing = scatter(query, table, [1, 2], (shard) =>
      shard === 1 ? Promise.resolve([]) : Promise.reject(new CardumeError('partition-unavailable', 'gone')),
    );
    await assert.rejects(failing, (error) => isCardumeError(error, 'partition-unavailable'));
  });

  it('fails when a row stands in two shards, or a shard answers out of order', async () => {
    const one = databaseOf([row('a')]);
    await assert.rejects(scatter(query, table, [one, one], ask), /each once/);
    const two = databaseOf([row('a'), row('b')]);
    const reversed = scatter(query, table, [two], async (shard, plan) => (await ask(shard, plan)).reverse());
    await assert.rejects(reversed, /in order/);
  });

  it('has an answer over no shards', async () => {
    assert.deepEqual(await scatter(query, table, [], ask), { rows: [], next: null, shards: 0 });
    const aggregate = { groupBy: [], columns: { count: { count: '*' }, total: { sum: 'n' } } } as const;
    const { rows } = await scatter({ ...query, aggregate }, table, [], ask);
    assert.deepEqual(rows, [{ count: 0, total: 0n }]);
  });

  it('refuses more rows or groups than it may hold', async () => {
    const shards = Array.from({ length: 100 }, (_, i) => i);
    const large = scatter({ ...query, limit: 1000 }, table, shards, async () => []);
    await assert.rejects(
      large,
      (error) => isCardumeError(error, 'query-refused') && /at most 999 rows/.test(error.message),
    );
    const aggregate = { groupBy: ['n'], columns: {} };
    const groups = scatter({ ...query, aggregate }, table, [0], async () =>
      Array.from({ length: 10_001 }, (_, i) => [i]),
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
      const first = await scatter({ ...asked, limit: 2 }, table, [shard], ask);
      assert.ok(first.next !== null);
      plans.length = 0;
      await scatter({ ...asked, limit: 2, after: first.next }, table, [watched], ask);
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
