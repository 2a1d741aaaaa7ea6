/**
 * The differential test: random rows and queries, answered over some shards, against what they mean, said once more
 * without SQL and over all rows in one place; on each engine. `CARDUME_CASES` multiplies the number of cases; a failure
 * prints the seed and path that replay it.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import {
  allPages,
  ascending,
  byBytes,
  CASES,
  compareBy,
  comparison,
  enginesWith,
  matches,
  orderOf,
  orNull,
  type Placed,
  SHARDS_MAX,
  size,
  stored,
  text,
  weight,
} from './differential.fixture.ts';
import type { Aggregation, Filter, Output, Query } from './query.ts';
import { scatter } from './scatter.ts';
import { PARTITION_COLUMN, type Row, type Table, type Value } from './table.ts';
import { tally } from './tally.fixture.ts';

const table: Table = {
  name: 'things',
  columns: { id: 'text', n: 'integer', name: 'text', size: 'integer', weight: 'real', extra: 'json' },
  key: ['id', 'n'],
  indexes: [['name'], ['size', 'name']],
};
const columns = Object.keys(table.columns);
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
for (const { name, skip, share, finiteOnly, spread } of enginesWith([table])) {
  describe(`scatter on ${name}, against the whole in one place`, { skip }, () => {
    const counts = tally();
    after(() => console.log(`${name}, ${counts.text()}`));
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
          counts.compared(async (rows, count, where, orderBy, limit, partitions, select) => {
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
            const placed = await spread({ things: rows }, count);
            const found = await allPages(query, () => table, placed);
            await placed.close();
            assert.deepEqual(found, expected);
          }),
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
          counts.compared(async (rows, count, where, groupBy, orderBy, limit) => {
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
            const placed = await spread({ things: rows }, count);
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
            const found = await allPages(query, () => table, placed);
            await placed.close();
            assert.deepEqual(found, expected);
          }),
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
          counts.compared(async (rows, count, where, groupBy, wanted, orderBy, asked, limit, offset) => {
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
            const placed = await spread({ things: rows }, count);
            if (offset === undefined) {
              assert.deepEqual(await allPages(query, () => table, placed), expected);
            } else {
              const page = await scatter({ ...query, offset }, () => table, placed.shards, placed.ask);
              assert.deepEqual([...page.rows], expected.slice(offset, offset + limit));
              assert.equal(page.next !== null, expected.length > offset + limit);
            }
            await placed.close();
          }),
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
          counts.compared(async (rows, count, where, select, orderBy, limit) => {
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
            const placed = await spread({ things: rows }, count);
            assert.deepEqual(await allPages(query, () => table, placed), expected);
            await placed.close();
          }),
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
          counts.compared(async (rows, count, orderBy, limit, offset) => {
            const placed = await spread({ things: rows }, count);
            const query: Query = { service: 'test', table: 'things', orderBy, limit };
            const all = await allPages(query, () => table, placed);
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
          }),
        ),
        { numRuns: Math.ceil(300 * share * CASES) },
      );
    });
  });
}
