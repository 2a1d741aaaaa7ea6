/**
 * The differential test of joins and unions: random tables joined in random ways, over some shards, against nested loops
 * over all rows in one place; on each engine.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import {
  allPages,
  byBytes,
  CASES,
  comparison,
  enginesWith,
  matches,
  orNull,
  type Placed,
  type Rows,
  SHARDS_MAX,
  size,
  weight,
} from './differential.fixture.ts';
import type { Filter, Join, Order, Output, Query, UnionAll, UnionPart } from './query.ts';
import { scatter } from './scatter.ts';
import { type ColumnType, PARTITION_COLUMN, type Row, type Table, type Value } from './table.ts';
import { tally } from './tally.fixture.ts';

/** Joined by its key. */
const parents: Table = {
  name: 'parents',
  columns: { id: 'text', name: 'text', size: 'integer', weight: 'real', extra: 'json' },
  key: ['id'],
  indexes: [['name']],
  shardedBy: 'id',
};
/** Many to one, by the beginning of its key. */
const lines: Table = {
  name: 'lines',
  columns: { parent: 'text', n: 'integer', name: 'text', amount: 'integer' },
  key: ['parent', 'n'],
  indexes: [],
  shardedBy: 'parent',
};
/** By an index, of a column that may be NULL. */
const notes: Table = {
  name: 'notes',
  columns: { id: 'text', parent: 'text', name: 'text', n: 'integer' },
  key: ['id'],
  indexes: [['parent'], ['name', 'n']],
  shardedBy: 'parent',
};
/** Stands anywhere. */
const labels: Table = {
  name: 'labels',
  columns: { code: 'text', n: 'integer', label: 'text', weight: 'real', extra: 'json' },
  key: ['code', 'n'],
  indexes: [['label']],
};
const tables = [parents, lines, notes, labels];
const tableOf = (_service: string, name: string): Table | undefined =>
  tables.find((table) => table.name === name);

const partition = fc.integer({ min: 0, max: 7 });
const ending = fc.constantFrom('', 'a', 'A', 'a ', '😀', '\ue000', '\0');
const code = fc.constantFrom('a', 'A', 'a ', 'é', '\ue000', '😀');
/** Longer than a key may be. */
const name = fc.oneof(
  { weight: 5, arbitrary: code },
  { weight: 1, arbitrary: fc.constantFrom('a', 'b').map((end) => 'x'.repeat(1_500) + end) },
);
const small = fc.integer({ min: 0, max: 2 });
const amount = orNull(size);
const json = orNull(fc.constant('{"a":["é"]}'));
const finite = orNull(weight.map((value) => value + 0));

function unique(rows: fc.Arbitrary<Placed>, table: Table, maxLength: number): fc.Arbitrary<Placed[]> {
  return fc.uniqueArray(rows, {
    maxLength,
    size: 'max',
    selector: ({ partition, row }) => JSON.stringify([partition, ...table.key.map((column) => row[column])]),
  });
}
/** The id says in which partition it stands. */
const rowsIn: fc.Arbitrary<Rows> = fc.record({
  parents: unique(
    fc.tuple(partition, ending, orNull(name), amount, finite, json).map(([at, end, called, n, w, extra]) => ({
      partition: at,
      row: { id: `${at}${end}`, name: called, size: n, weight: w, extra },
    })),
    parents,
    24,
  ),
  lines: unique(
    fc.tuple(partition, ending, small, orNull(name), amount).map(([at, end, n, called, of]) => ({
      partition: at,
      row: { parent: `${at}${end}`, n, name: called, amount: of },
    })),
    lines,
    24,
  ),
  notes: unique(
    fc
      .tuple(partition, ending, orNull(ending), orNull(name), orNull(small))
      .map(([at, end, of, called, n]) => ({
        partition: at,
        row: { id: `n${end}`, parent: of === null ? null : `${at}${of}`, name: called, n },
      })),
    notes,
    16,
  ),
  labels: unique(
    fc.tuple(partition, code, small, orNull(name), finite, json).map(([at, named, n, label, w, extra]) => ({
      partition: at,
      row: { code: named, n, label, weight: w, extra },
    })),
    labels,
    10,
  ),
});

const PAGES_MAX = 8;

/** Picks of a list: whatever is there. */
const pick = fc.nat({ max: 999 });
const picked = <T>(from: readonly T[], at: number): T => from[at % from.length] as T;

interface Scope {
  /** Columns as the query names them. */
  readonly columns: Map<string, ColumnType>;
  readonly places: string[];
  readonly join: Join[];
  readonly base: Table;
}

const ofType = (scope: Scope, type: ColumnType): string[] =>
  [...scope.columns].filter(([, is]) => is === type).map(([column]) => column);

const joinPicks = fc.record({
  table: pick,
  broadcast: fc.boolean(),
  type: fc.constantFrom('inner' as const, 'left' as const),
  left: pick,
  right: pick,
  more: fc.option(fc.tuple(pick, pick), { freq: 3, nil: undefined }),
});

/** Up to three joins behind one of the tables. */
const scopes: fc.Arbitrary<Scope> = fc
  .tuple(fc.constantFrom(parents, lines, notes), fc.array(joinPicks, { maxLength: 3 }))
  .map(([base, joins]) => {
    const scope: Scope = {
      columns: new Map(Object.entries(base.columns)),
      places: [base.shardedBy as string],
      join: [],
      base,
    };
    for (const [i, { broadcast, type, ...one }] of joins.entries()) {
      const table = picked(broadcast ? tables : [parents, lines, notes], one.table);
      const as = one.table % 2 === 0 && !hasName(scope, table.name) ? undefined : `j${i}`;
      const texts = Object.keys(table.columns).filter((column) => table.columns[column] === 'text');
      const whole = Object.keys(table.columns).filter((column) => table.columns[column] === 'integer');
      const on = broadcast
        ? [{ left: picked(ofType(scope, 'text'), one.left), right: picked(texts, one.right) }]
        : [{ left: picked(scope.places, one.left), right: table.shardedBy as string }];
      if (one.more !== undefined)
        on.push({ left: picked(ofType(scope, 'integer'), one.more[0]), right: picked(whole, one.more[1]) });
      scope.join.push({
        type,
        table: table.name,
        on,
        ...(as === undefined ? {} : { as }),
        ...(broadcast ? { broadcast } : {}),
      });
      const called = as ?? table.name;
      for (const [column, is] of Object.entries(table.columns)) scope.columns.set(`${called}.${column}`, is);
      if (!broadcast) scope.places.push(`${called}.${table.shardedBy}`);
    }
    return scope;
  });

const hasName = ({ base, join }: Scope, called: string): boolean =>
  base.name === called || join.some(({ as, table }) => (as ?? table) === called);

const filterPicks = fc.record({
  column: pick,
  op: comparison,
  isNull: fc.option(fc.boolean(), { freq: 4, nil: undefined }),
  name,
  size: fc.oneof(size, small),
});
function filterOf(
  scope: Scope,
  one: { column: number; op: '=' | '<'; isNull?: boolean } & Record<string, unknown>,
): Filter {
  const [column, type] = picked([...scope.columns], one.column);
  if (one.isNull !== undefined || type === 'json')
    return { column, op: one.isNull === true ? 'is-null' : 'is-not-null' };
  return { column, op: one.op, value: one[type === 'text' ? 'name' : 'size'] as string | number };
}
const orderPicks = fc.array(
  fc.record({ column: pick, direction: fc.constantFrom('ascending' as const, 'descending' as const) }),
  { maxLength: 3 },
);
function orderFrom(
  columns: readonly string[],
  picks: readonly { column: number; direction: Order['direction'] }[],
): Order[] {
  const order = new Map<string, Order>();
  if (columns.length > 0)
    for (const one of picks) {
      const column = picked(columns, one.column);
      order.set(column, { column, direction: one.direction });
    }
  return [...order.values()];
}
const withOrder = (scope: Scope): string[] =>
  [...scope.columns].filter(([, type]) => type !== 'json').map(([name]) => name);

// What it means.

/** By scoped column, hidden ones as well. */
type Cells = Readonly<Record<string, Value>>;

function cellsOf(placed: Placed | null, table: Table, prefix: string): Cells {
  const cells: Record<string, Value> = { [`${prefix}${PARTITION_COLUMN}`]: placed?.partition ?? null };
  for (const column of Object.keys(table.columns)) cells[prefix + column] = placed?.row[column] ?? null;
  return cells;
}

function joinedRows(query: Query, all: Rows): Cells[] {
  const base = tableOf('', query.table) as Table;
  let rows = (all[query.table] ?? [])
    .filter(({ partition: at }) => query.partitions?.includes(at) ?? true)
    .map((placed) => cellsOf(placed, base, ''));
  for (const { type, table: of, as, on } of query.join ?? []) {
    const table = tableOf('', of) as Table;
    const others = all[of] ?? [];
    rows = rows.flatMap((row) => {
      const matching = others.filter((other) =>
        on.every(({ left, right }) => row[left] !== null && row[left] === other.row[right]),
      );
      const found = type === 'left' && matching.length === 0 ? [null] : matching;
      return found.map((other) => ({ ...row, ...cellsOf(other, table, `${as ?? of}.`) }));
    });
  }
  return rows.filter((row) => matches(row as Placed['row'], query.where ?? []));
}

/** Hidden columns that end every order. */
function lastOrder(query: Query): string[] {
  const base = tableOf('', query.table) as Table;
  const joined = (query.join ?? []).flatMap(({ table, as, broadcast }) => {
    const key = (tableOf('', table) as Table).key.map((column) => `${as ?? table}.${column}`);
    return broadcast === true ? [`${as ?? table}.${PARTITION_COLUMN}`, ...key] : key;
  });
  return [PARTITION_COLUMN, ...base.key, ...joined];
}

function compareRows(a: Cells, b: Cells, order: readonly Order[]): number {
  for (const { column, direction } of order) {
    const difference = byBytes(a[column] as Value, b[column] as Value);
    if (difference !== 0) return direction === 'descending' ? -difference : difference;
  }
  return 0;
}

function ordered(rows: readonly Cells[], order: readonly Order[], last: readonly string[]): Cells[] {
  const direction = order.at(-1)?.direction ?? 'ascending';
  const named = new Set(order.map(({ column }) => column));
  const rest = last.filter((column) => !named.has(column)).map((column) => ({ column, direction }));
  return rows.toSorted((a, b) => compareRows(a, b, [...order, ...rest]));
}

const shown = (row: Cells, columns: readonly string[]): Row =>
  Object.fromEntries(columns.map((column) => [column, row[column] as Value]));

/** Groups, in the order of their columns when nothing else is told. */
function grouped(query: Query, all: Rows): Cells[] {
  const { groupBy, columns } = query.aggregate as NonNullable<Query['aggregate']>;
  const rows = joinedRows(query, all);
  const groups = Map.groupBy(rows, (row) => JSON.stringify(groupBy.map((column) => row[column])));
  if (groupBy.length === 0 && groups.size === 0) groups.set('[]', []);
  return [...groups.values()].map((of) => ({
    ...shown(of[0] ?? {}, groupBy),
    ...Object.fromEntries(Object.entries(columns).map(([name, output]) => [name, meaning(output, of)])),
  }));
}

function meaning(output: Output, rows: readonly Cells[]): Value {
  const [[kind, column]] = Object.entries(output) as [[string, string]];
  if (column === '*') return rows.length;
  const values = rows.map((row) => row[column] as Value).filter((value) => value !== null);
  switch (kind) {
    case 'count':
      return values.length;
    case 'sum':
      return values.reduce((sum: bigint, value) => sum + BigInt(value), 0n);
    case 'countDistinct':
      return new Set(values).size;
    default:
      return values.toSorted((a, b) => (kind === 'min' ? byBytes(a, b) : byBytes(b, a)))[0] ?? null;
  }
}

/** All rows of a union's part, in its own order behind the union's. */
function partRows(part: UnionPart, order: readonly Order[], all: Rows): Cells[] {
  if (part.aggregate === undefined) return ordered(joinedRows(part, all), order, lastOrder(part));
  const rest = part.aggregate.groupBy.filter((column) => !order.some((one) => one.column === column));
  const own = rest.map((column): Order => ({ column, direction: 'ascending' }));
  return grouped(part, all).toSorted((a, b) => compareRows(a, b, [...order, ...own]));
}

for (const { name: engine, skip, share, spread } of enginesWith(tables)) {
  describe(`joins and unions on ${engine}, against the whole in one place`, { skip }, () => {
    const counts = tally();
    after(() => console.log(`joins and unions on ${engine}, ${counts.text()}`));
    const runs = (count: number) => ({ numRuns: Math.ceil(count * share * CASES) });
    const shards = fc.integer({ min: 1, max: SHARDS_MAX });
    const page = fc.integer({ min: 1, max: 9 });
    /** Joins multiply: pages grow so that a case has few. */
    const pageOf = (limit: number, rows: number): number => Math.max(limit, Math.ceil(rows / PAGES_MAX));

    it('joins give each pair once, in order, over all pages', async () => {
      await fc.assert(
        fc.asyncProperty(
          rowsIn,
          shards,
          scopes,
          fc.array(filterPicks, { maxLength: 2 }),
          orderPicks,
          page,
          fc.option(fc.array(pick, { minLength: 1, maxLength: 4 }), { nil: undefined }),
          fc.option(fc.uniqueArray(partition, { maxLength: 4 }), { freq: 3, nil: undefined }),
          counts.compared(async (rows, count, scope, filters, orders, least, select, partitions) => {
            const columns = [...new Set(select?.map((at) => picked([...scope.columns.keys()], at)))];
            const orderBy = orderFrom(withOrder(scope), orders);
            const query: Query = {
              service: 'test',
              table: scope.base.name,
              join: scope.join,
              where: filters.map((one) => filterOf(scope, one as never)),
              orderBy,
              ...(select === undefined ? {} : { select: columns }),
              ...(partitions === undefined ? {} : { partitions }),
            };
            const expected = ordered(joinedRows(query, rows), orderBy, lastOrder(query)).map((row) =>
              shown(row, select === undefined ? [...scope.columns.keys()] : columns),
            );
            const placed = await spread(rows, count);
            const limit = pageOf(least, expected.length);
            assert.deepEqual(await allPages({ ...query, limit }, tableOf, placed), expected);
            await placed.close();
          }),
        ),
        runs(300),
      );
    });

    it('groups over joins add up exactly', async () => {
      await fc.assert(
        fc.asyncProperty(
          rowsIn,
          shards,
          scopes,
          fc.array(filterPicks, { maxLength: 1 }),
          fc.array(pick, { maxLength: 2 }),
          pick,
          orderPicks,
          page,
          counts.compared(async (rows, count, scope, filters, groups, of, orders, least) => {
            const exact = [...ofType(scope, 'text'), ...ofType(scope, 'integer')];
            const groupBy = [...new Set(groups.map((at) => picked(exact, at)))];
            const columns: Record<string, Output> = {
              rows: { count: '*' },
              total: { sum: picked(ofType(scope, 'integer'), of) },
              some: { count: picked([...scope.columns.keys()], of) },
              different: { countDistinct: picked(exact, of) },
              least: { min: picked(withOrder(scope), of) },
              greatest: { max: picked(withOrder(scope), of + 1) },
            };
            const kept = Object.fromEntries(Object.entries(columns).filter((_, i) => (of >> i) % 2 === 0));
            const aggregate =
              groupBy.length + Object.keys(kept).length === 0
                ? { groupBy, columns }
                : { groupBy, columns: kept };
            const output = [...groupBy, ...Object.keys(aggregate.columns)];
            const orderBy = orderFrom(output, orders);
            const query: Query = {
              service: 'test',
              table: scope.base.name,
              join: scope.join,
              where: filters.map((one) => filterOf(scope, one as never)),
              aggregate,
              orderBy,
            };
            const expected = partRows(query, orderBy, rows).map((row) => shown(row, output));
            const placed = await spread(rows, count);
            const limit = pageOf(least, expected.length);
            assert.deepEqual(await allPages({ ...query, limit }, tableOf, placed), expected);
            await placed.close();
          }),
        ),
        runs(200),
      );
    });

    it('unions give each row of each query once, in order, over all pages and behind an offset', async () => {
      const parts = fc.array(
        fc.record({
          scope: scopes,
          filters: fc.array(filterPicks, { maxLength: 1 }),
          kind: fc.constantFrom('rows' as const, 'rows' as const, 'distinct' as const, 'groups' as const),
          picks: fc.array(pick, { minLength: 3, maxLength: 3 }),
        }),
        { minLength: 2, maxLength: 4 },
      );
      await fc.assert(
        fc.asyncProperty(
          rowsIn,
          shards,
          parts,
          orderPicks,
          page,
          fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
          counts.compared(async (rows, count, asked, orders, least, offset) => {
            // Each has a text, a whole number and another text.
            const unionAll = asked.map(({ scope, filters, kind, picks }): UnionPart => {
              const [a, b, c] = picks as [number, number, number];
              const texts = ofType(scope, 'text');
              const second = a % texts.length === c % texts.length ? c + 1 : c;
              const select = [picked(texts, a), picked(ofType(scope, 'integer'), b), picked(texts, second)];
              const part: UnionPart = {
                service: 'test',
                table: scope.base.name,
                join: scope.join,
                where: filters.map((one) => filterOf(scope, one as never)),
              };
              if (kind === 'groups') {
                const [first, , last] = select as [string, string, string];
                return {
                  ...part,
                  aggregate: { groupBy: [first], columns: { rows: { count: '*' }, last: { max: last } } },
                };
              }
              return { ...part, select, ...(kind === 'distinct' ? { distinct: true } : {}) };
            });
            const outputs = unionAll.map(({ select, aggregate }) =>
              aggregate === undefined
                ? (select ?? [])
                : [...aggregate.groupBy, ...Object.keys(aggregate.columns)],
            );
            const [names] = outputs as [string[]];
            const orderBy = orderFrom(names, orders);
            const union: UnionAll = { unionAll, orderBy };
            const all = unionAll.flatMap((part, i) => {
              const own = outputs[i] as readonly string[];
              const order = orderBy.map(({ column, direction }) => ({
                column: own[names.indexOf(column)] as string,
                direction,
              }));
              const whole =
                part.distinct === true
                  ? { ...part, aggregate: { groupBy: part.select ?? [], columns: {} } }
                  : part;
              return partRows(whole, order, rows).map((row) =>
                Object.fromEntries(names.map((column, at) => [column, row[own[at] as string] as Value])),
              );
            });
            // Sorting keeps equal rows as they stand.
            const expected = all.toSorted((a, b) => compareRows(a, b, orderBy));
            const placed = await spread(rows, count);
            const limit = pageOf(least, expected.length);
            assert.deepEqual(await allPages({ ...union, limit }, tableOf, placed), expected);
            if (offset !== undefined) {
              const { rows: some, next } = await scatter(
                { ...union, limit, offset },
                tableOf,
                placed.shards,
                placed.ask,
              );
              assert.deepEqual([...some], expected.slice(offset, offset + limit));
              assert.equal(next !== null, expected.length > offset + limit);
            }
            await placed.close();
          }),
        ),
        runs(150),
      );
    });
  });
}
