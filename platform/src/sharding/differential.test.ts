/**
 * The differential test: random rows and queries, answered over some shards, against what they mean, said once more
 * without SQL and over all rows in one place; on each engine. `CARDUME_CASES` multiplies the number of cases; a failure
 * prints the seed and path that replay it.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Database, SqlValue } from '../host/disk.ts';
import { realHost } from '../host/real.ts';
import type { SqlDatabase } from '../host/sql.ts';
import { serverNamed } from '../testing/servers.ts';
import { createTable as createOnServer, quoted as quotedOnServer } from './mysql.ts';
import type { Plan } from './plan.ts';
import type { Aggregation, Filter, Output, Query, QueryResult } from './query.ts';
import { shardReader } from './reader.ts';
import { scatter } from './scatter.ts';
import { readPlan } from './sql-reader.ts';
import { createTable, quoted } from './sqlite.ts';
import { PARTITION_COLUMN, type Row, type Table, type Value } from './table.ts';
import { decodeRows, encodeRows } from './wire.ts';

const host = realHost();
const CASES = Number(host.env.get('CARDUME_CASES') ?? 1);
const SHARDS_MAX = 4;

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

/** Rows over some shards of an engine. */
interface Spread<Shard = unknown> {
  readonly shards: readonly Shard[];
  ask(shard: Shard, plan: Plan): Promise<Value[][]>;
  close(): Promise<void>;
}

interface Engine {
  readonly name: string;
  readonly skip: string | false;
  /** Of the cases. */
  readonly share: number;
  /** SQLite keeps infinite numbers, servers do not. */
  readonly finiteOnly: boolean;
  spread(rows: readonly Placed[], count: number): Promise<Spread>;
}

const names = [PARTITION_COLUMN, ...columns];
const cellsOf = ({ partition, row }: Placed): SqlValue[] => [
  partition,
  ...columns.map((column) => row[column] as SqlValue),
];
const rowsOfShard = (rows: readonly Placed[], count: number, shard: number): readonly Placed[] =>
  rows.filter(({ partition }) => partition % count === shard);

/** Over the wire form, as a peer would answer. */
async function overTheWire<Shard>(
  shard: Shard,
  plan: Plan,
  read: (shard: Shard, plan: Plan) => Promise<Value[][]>,
): Promise<Value[][]> {
  const read_ = await read(shard, JSON.parse(JSON.stringify(plan)));
  return decodeRows(JSON.parse(JSON.stringify(encodeRows(read_))));
}

const sqlite: Engine = {
  name: 'SQLite',
  skip: false,
  share: 1,
  finiteOnly: false,
  async spread(rows, count): Promise<Spread<Database>> {
    const shards = Array.from({ length: count }, (_, i) => {
      const database = host.disk.database(':memory:');
      for (const sql of createTable(table)) database.exec(sql);
      const marks = names.map(() => '?').join(', ');
      const insert = database.prepare(
        `INSERT INTO things (${names.map(quoted).join(', ')}) VALUES (${marks})`,
      );
      for (const one of rowsOfShard(rows, count, i)) insert.run(...cellsOf(one));
      return database;
    });
    return {
      shards,
      ask: (shard, plan) => overTheWire(shard, plan, async (one, asked) => shardReader(one).read(asked)),
      async close() {
        for (const shard of shards) shard.close();
      },
    };
  },
};

const found = await serverNamed(host, 'mariadb');
const databases: SqlDatabase[] = [];
const clearances: (() => Promise<void>)[] = [];
after(async () => {
  for (const one of databases) await one.close();
  for (const one of clearances) await one();
  if (found.skip === false) await found.server.admin.close();
});

async function onServer(): Promise<SqlDatabase> {
  assert.ok(found.skip === false);
  const { address, drop } = await found.server.newDatabase();
  clearances.push(drop);
  const database = host.sql.database(address, { connectionsMax: 2, statementTimeoutMs: 10_000 });
  await database.exec(createOnServer(table));
  return database;
}

const mariadb: Engine = {
  name: 'MariaDB',
  skip: found.skip,
  share: 0.25,
  finiteOnly: true,
  async spread(rows, count): Promise<Spread<SqlDatabase>> {
    while (databases.length < SHARDS_MAX) databases.push(await onServer());
    const shards = databases.slice(0, count);
    const marks = `(${names.map(() => '?').join(', ')})`;
    await Promise.all(
      shards.map(async (shard, i) => {
        await shard.exec('DELETE FROM things');
        const own = rowsOfShard(rows, count, i);
        if (own.length === 0) return;
        await shard.run(
          `INSERT INTO things (${names.map(quotedOnServer).join(', ')}) VALUES ${own.map(() => marks).join(', ')}`,
          own.flatMap(cellsOf),
        );
      }),
    );
    return {
      shards,
      ask: (shard, plan) => overTheWire(shard, plan, readPlan),
      close: async () => undefined,
    };
  },
};

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

const finite = weight;
const placedWith = (weights: fc.Arbitrary<number>): fc.Arbitrary<Placed> =>
  fc.record({
    partition: fc.integer({ min: 0, max: 7 }),
    row: fc.record({
      id: text,
      n: fc.integer({ min: 0, max: 3 }),
      name: orNull(
        fc.oneof(
          { weight: 3, arbitrary: fc.constantFrom('a', '\ud7ff', '\ue000') },
          { weight: 2, arbitrary: text },
          // Alike for longer than servers look when nobody tells them to.
          { weight: 1, arbitrary: fc.constantFrom('a', 'b', 'c').map((end) => 'x'.repeat(1_500) + end) },
        ),
      ),
      size: orNull(size),
      weight: orNull(weights.map((value) => value + 0)), // SQLite keeps no negative zero
      extra: orNull(fc.constant('{"a":[1]}')),
    }),
  });
const rowsThat = (weights: fc.Arbitrary<number>) =>
  fc.uniqueArray(placedWith(weights), {
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

/** Outputs, and what they mean. */
const outputs: Readonly<Record<string, Output>> = {
  rows: { count: '*' },
  named: { count: 'name' },
  total: { sum: 'size' },
  mean: { average: 'size' },
  least: { min: 'size' },
  greatest: { max: 'name' },
  lightest: { min: 'weight' },
  names: { countDistinct: 'name' },
  sizes: { countDistinct: 'size' },
};
type Meaning = (rows: readonly Placed['row'][]) => Value;
const valuesOf = (rows: readonly Placed['row'][], column: string): (string | number)[] =>
  rows.map((row) => row[column] ?? null).filter((value) => value !== null);
const extreme = (rows: readonly Placed['row'][], column: string, sign: number): Value =>
  valuesOf(rows, column).sort((a, b) => sign * byBytes(a, b))[0] ?? null;
const sumOf = (rows: readonly Placed['row'][]): bigint =>
  valuesOf(rows, 'size').reduce((sum, value) => sum + BigInt(value), 0n);
const meanings: Readonly<Record<string, Meaning>> = {
  rows: (rows) => rows.length,
  named: (rows) => valuesOf(rows, 'name').length,
  total: sumOf,
  mean: (rows) => {
    const count = BigInt(valuesOf(rows, 'size').length);
    if (count === 0n) return null;
    return Number(sumOf(rows) / count) + Number(sumOf(rows) % count) / Number(count);
  },
  least: (rows) => extreme(rows, 'size', 1),
  greatest: (rows) => extreme(rows, 'name', -1),
  lightest: (rows) => extreme(rows, 'weight', 1),
  names: (rows) => new Set(valuesOf(rows, 'name')).size,
  sizes: (rows) => new Set(valuesOf(rows, 'size')).size,
};
const having: fc.Arbitrary<Filter> = fc.oneof(
  fc.record({
    column: fc.constantFrom('rows', 'named', 'total', 'mean', 'least', 'names'),
    op: comparison,
    value: fc.integer({ min: -1, max: 3 }),
  }),
  fc.record({ column: fc.constant('greatest'), op: comparison, value: text }),
  fc.record({
    column: fc.constantFrom('mean', 'least', 'greatest'),
    op: fc.constantFrom('is-null' as const, 'is-not-null' as const),
  }),
);
const ascending = (columns: readonly string[]): NonNullable<Query['orderBy']> =>
  columns.map((column) => ({ column, direction: 'ascending' }));
function compareBy(a: Row, b: Row, order: NonNullable<Query['orderBy']>): number {
  for (const { column, direction } of order) {
    const difference = byBytes(a[column] as Value, b[column] as Value);
    if (difference !== 0) return direction === 'descending' ? -difference : difference;
  }
  return 0;
}

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

async function allPages<Shard>(query: Query, { shards, ask }: Spread<Shard>): Promise<Row[]> {
  const rows: Row[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < 200; pages += 1) {
    const page: QueryResult = await scatter(
      after === null ? query : { ...query, after },
      () => table,
      shards,
      ask,
    );
    rows.push(...page.rows);
    assert.ok(page.rows.length <= (query.limit ?? 100));
    if (page.next === null) return rows;
    assert.equal(page.rows.length, query.limit, 'a page before the last is full');
    after = page.next;
  }
  assert.fail('the pages never end');
}

for (const { name, skip, share, finiteOnly, spread } of [sqlite, mariadb]) {
  describe(`scatter on ${name}, against the whole in one place`, { skip }, () => {
    const rowsOf = finiteOnly ? rowsThat(finite) : rowsThat(stored);
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
              .filter(
                ({ partition, row }) => (partitions?.includes(partition) ?? true) && matches(row, where),
              )
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
            const placed = await spread(rows, count);
            const found = await allPages(query, placed);
            await placed.close();
            assert.deepEqual(found, expected);
          },
        ),
        { numRuns: Math.ceil(700 * share * CASES) },
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
            const placed = await spread(rows, count);
            const aggregate = {
              groupBy,
              columns: { total: { sum: 'size' }, count: { count: '*' } },
            } as const;
            const query: Query = {
              service: 'test',
              table: 'things',
              where,
              orderBy: order,
              limit,
              aggregate,
            };
            const found = await allPages(query, placed);
            await placed.close();
            assert.deepEqual(found, expected);
          },
        ),
        { numRuns: Math.ceil(300 * share * CASES) },
      );
    });

    it('groups, counts, averages, finds the least and the greatest, and passes over what it is told to', async () => {
      await fc.assert(
        fc.asyncProperty(
          rowsOf,
          fc.integer({ min: 1, max: SHARDS_MAX }),
          fc.array(filter, { maxLength: 1 }),
          fc.subarray(['name', 'n', 'id']),
          fc.subarray(Object.keys(outputs), { minLength: 1 }),
          orderOf(['name', 'n', 'id', ...Object.keys(outputs)]),
          fc.option(having, { nil: undefined }),
          fc.integer({ min: 1, max: 5 }),
          fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined }),
          async (rows, count, where, groupBy, wanted, orderBy, asked, limit, offset) => {
            const output = [...groupBy, ...wanted];
            const order = orderBy.filter(({ column }) => output.includes(column));
            const filters = asked === undefined || !wanted.includes(asked.column) ? [] : [asked];
            const passing = rows.filter((one) => matches(one.row, where)).map(({ row }) => row);
            const groups = Map.groupBy(passing, (row) =>
              JSON.stringify(groupBy.map((column) => row[column])),
            );
            if (groupBy.length === 0 && groups.size === 0) groups.set('[]', []);
            const expected = [...groups.values()]
              .map((of) => ({
                ...Object.fromEntries(groupBy.map((column) => [column, of[0]?.[column] as Value])),
                ...Object.fromEntries(wanted.map((name) => [name, (meanings[name] as Meaning)(of)])),
              }))
              .filter((group) => matches(group as Placed['row'], filters))
              .sort((a: Row, b: Row) => compareBy(a, b, [...order, ...ascending(groupBy)]));
            const columnsOf = Object.fromEntries(wanted.map((name) => [name, outputs[name]]));
            const aggregate = { groupBy, columns: columnsOf, having: filters } as Aggregation;
            const query: Query = {
              service: 'test',
              table: 'things',
              where,
              orderBy: order,
              limit,
              aggregate,
            };
            const placed = await spread(rows, count);
            if (offset === undefined) {
              assert.deepEqual(await allPages(query, placed), expected);
            } else {
              const page = await scatter({ ...query, offset }, () => table, placed.shards, placed.ask);
              assert.deepEqual([...page.rows], expected.slice(offset, offset + limit));
              assert.equal(page.next !== null, expected.length > offset + limit);
            }
            await placed.close();
          },
        ),
        { numRuns: Math.ceil(600 * share * CASES) },
      );
    });

    it('gives different rows once, over all pages', async () => {
      await fc.assert(
        fc.asyncProperty(
          rowsOf,
          fc.integer({ min: 1, max: SHARDS_MAX }),
          fc.array(filter, { maxLength: 1 }),
          fc.subarray(['id', 'n', 'name', 'size'], { minLength: 1 }),
          orderOf(['id', 'n', 'name', 'size']),
          fc.integer({ min: 1, max: 5 }),
          async (rows, count, where, select, orderBy, limit) => {
            const order = orderBy.filter(({ column }) => select.includes(column));
            const different = new Map(
              rows
                .filter((one) => matches(one.row, where))
                .map(({ row }) => Object.fromEntries(select.map((column) => [column, row[column] as Value])))
                .map((row) => [JSON.stringify(row), row]),
            );
            const expected = [...different.values()].sort((a, b) =>
              compareBy(a, b, [...order, ...ascending(select)]),
            );
            const query: Query = {
              service: 'test',
              table: 'things',
              where,
              select,
              distinct: true,
              orderBy: order,
              limit,
            };
            const placed = await spread(rows, count);
            assert.deepEqual(await allPages(query, placed), expected);
            await placed.close();
          },
        ),
        { numRuns: Math.ceil(400 * share * CASES) },
      );
    });

    it('passes over rows before the page', async () => {
      await fc.assert(
        fc.asyncProperty(
          rowsOf,
          fc.integer({ min: 1, max: SHARDS_MAX }),
          orderOf(['id', 'n', 'name', 'size', 'weight']),
          fc.integer({ min: 1, max: 7 }),
          fc.integer({ min: 0, max: 12 }),
          async (rows, count, orderBy, limit, offset) => {
            const placed = await spread(rows, count);
            const query: Query = { service: 'test', table: 'things', orderBy, limit };
            const all = await allPages(query, placed);
            const page = await scatter({ ...query, offset }, () => table, placed.shards, placed.ask);
            assert.deepEqual([...page.rows], all.slice(offset, offset + limit));
            if (page.next !== null) {
              const next = await scatter(
                { ...query, after: page.next },
                () => table,
                placed.shards,
                placed.ask,
              );
              assert.deepEqual([...next.rows], all.slice(offset + limit, offset + 2 * limit));
            } else assert.ok(all.length <= offset + limit);
            await placed.close();
          },
        ),
        { numRuns: Math.ceil(300 * share * CASES) },
      );
    });
  });
}
