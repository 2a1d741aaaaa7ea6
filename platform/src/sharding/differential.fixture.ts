/**
 * What the differential tests share: engines over which rows are spread, values, and what filters and orders mean, said
 * once more and without SQL.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import fc from 'fast-check';
import type { Database, SqlValue } from '../host/disk.ts';
import { realHost } from '../host/real.ts';
import type { SqlDatabase } from '../host/sql.ts';
import { serverNamed } from '../testing/servers.ts';
import type { TableOf } from './join.ts';
import { createTable as createOnServer, quoted as quotedOnServer } from './mysql.ts';
import type { Plan } from './plan.ts';
import type { Filter, Query, QueryResult, UnionAll } from './query.ts';
import { shardReader } from './reader.ts';
import { scatter } from './scatter.ts';
import { readPlan } from './sql-reader.ts';
import { createTable, quoted } from './sqlite.ts';
import { PARTITION_COLUMN, type Row, type Table, type Value } from './table.ts';
import { readTogether } from './together.ts';
import { decodeRows, encodeRows } from './wire.ts';

const host = realHost();
/** `CARDUME_CASES` multiplies the number of cases. */
export const CASES = Number(host.env.get('CARDUME_CASES') ?? 1);
export const SHARDS_MAX = 4;

export interface Placed {
  readonly partition: number;
  readonly row: Record<string, string | number | null>;
}

/** By table. */
export type Rows = Readonly<Record<string, readonly Placed[]>>;

/** Rows over some shards of an engine. */
export interface Spread<Shard = unknown> {
  readonly shards: readonly Shard[];
  ask(shard: Shard, plan: Plan): Promise<Value[][]>;
  close(): Promise<void>;
}

export interface Engine {
  readonly name: string;
  readonly skip: string | false;
  /** Of the cases. */
  readonly share: number;
  /** SQLite keeps infinite numbers, servers do not. */
  readonly finiteOnly: boolean;
  spread(rows: Rows, count: number): Promise<Spread>;
}

const namesIn = (table: Table): string[] => [PARTITION_COLUMN, ...Object.keys(table.columns)];
const cellsOf = (table: Table, { partition, row }: Placed): SqlValue[] => [
  partition,
  ...Object.keys(table.columns).map((column) => row[column] as SqlValue),
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

const sqliteWith = (tables: readonly Table[]): Engine => ({
  name: 'SQLite',
  skip: false,
  share: 1,
  finiteOnly: false,
  async spread(rows, count): Promise<Spread<number>> {
    const shards = Array.from({ length: count }, (_, i) => i);
    const databases: Database[] = [];
    // As files are, on connections that have two of them.
    for (const shard of shards) {
      const isFirst = shard % 2 === 0;
      if (isFirst) databases.push(host.disk.database(':memory:'));
      const database = databases.at(-1) as Database;
      if (!isFirst) database.exec("ATTACH ':memory:' AS other");
      for (const table of tables) {
        const schema = isFirst ? 'main' : 'other';
        for (const sql of createTable(table)) database.exec(sql.replace('EXISTS ', `EXISTS ${schema}.`));
        const names = namesIn(table);
        const insert = database.prepare(
          `INSERT INTO ${schema}.${quoted(table.name)} (${names.map(quoted).join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
        );
        for (const one of rowsOfShard(rows[table.name] ?? [], count, shard))
          insert.run(...cellsOf(table, one));
      }
    }
    const readers = databases.map((database, i) =>
      shardReader(database, 2 * i + 1 < count ? ['main', 'other'] : ['main']),
    );
    const read = new WeakMap<Plan, Value[][][]>();
    return {
      shards,
      ask: (shard, plan) =>
        overTheWire(shard, plan, async (one, asked) => {
          // As a reader thread does it: all shards of a plan together.
          const parts = read.get(plan) ?? readTogether(asked, readers);
          read.set(plan, parts);
          return parts[one] as Value[][];
        }),
      async close() {
        for (const database of databases) database.close();
      },
    };
  },
});

const found = await serverNamed(host, 'mariadb');
const opened: SqlDatabase[] = [];
const clearances: (() => Promise<void>)[] = [];
after(async () => {
  for (const one of opened) await one.close();
  for (const one of clearances) await one();
  if (found.skip === false) await found.server.admin.close();
});

async function onServer(tables: readonly Table[]): Promise<SqlDatabase> {
  assert.ok(found.skip === false);
  const { server } = found;
  const { address, drop } = await server.newDatabase();
  clearances.push(drop);
  const database = host.sql.database(address, { connectionsMax: 2, statementTimeoutMs: 10_000 });
  opened.push(database);
  for (const table of tables) await database.exec(createOnServer(table));
  return database;
}

function mariadbWith(tables: readonly Table[]): Engine {
  const databases: SqlDatabase[] = [];
  return {
    name: 'MariaDB',
    skip: found.skip,
    share: 0.25,
    finiteOnly: true,
    async spread(rows, count): Promise<Spread<SqlDatabase>> {
      while (databases.length < SHARDS_MAX) databases.push(await onServer(tables));
      const shards = databases.slice(0, count);
      await Promise.all(
        shards.map(async (shard, i) => {
          for (const table of tables) {
            await shard.exec(`DELETE FROM ${quotedOnServer(table.name)}`);
            const own = rowsOfShard(rows[table.name] ?? [], count, i);
            if (own.length === 0) continue;
            const names = namesIn(table);
            const marks = `(${names.map(() => '?').join(', ')})`;
            await shard.run(
              `INSERT INTO ${quotedOnServer(table.name)} (${names.map(quotedOnServer).join(', ')}) VALUES ${own.map(() => marks).join(', ')}`,
              own.flatMap((one) => cellsOf(table, one)),
            );
          }
        }),
      );
      return {
        shards,
        ask: (shard, plan) => overTheWire(shard, plan, readPlan),
        close: async () => undefined,
      };
    },
  };
}

/** Each makes the tables anew, or empties them. */
export const enginesWith = (tables: readonly Table[]): readonly Engine[] => [
  sqliteWith(tables),
  mariadbWith(tables),
];

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
export const text = fc.oneof(
  character,
  fc.array(character, { maxLength: 3 }).map((characters) => characters.join('')),
);
export const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -2, max: 2 }) },
  { weight: 1, arbitrary: fc.maxSafeInteger() },
);
export const weight = fc.oneof(
  fc.constantFrom(-1.5, 0, 0.1, 2),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
export const stored = fc.oneof(
  { weight: 4, arbitrary: weight },
  { weight: 1, arbitrary: fc.constantFrom(Infinity, -Infinity) },
);
export const orNull = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(of, { freq: 2 });

export const comparison = fc.constantFrom(
  '=' as const,
  '<>' as const,
  '<' as const,
  '<=' as const,
  '>' as const,
  '>=' as const,
);
export const orderOf = (names: readonly string[]): fc.Arbitrary<NonNullable<Query['orderBy']>> =>
  fc.uniqueArray(
    fc.record({
      column: fc.constantFrom(...names),
      direction: fc.constantFrom('ascending' as const, 'descending' as const),
    }),
    { maxLength: 4, selector: ({ column }) => column },
  );

export const ascending = (columns: readonly string[]): NonNullable<Query['orderBy']> =>
  columns.map((column) => ({ column, direction: 'ascending' }));
export function compareBy(a: Row, b: Row, order: NonNullable<Query['orderBy']>): number {
  for (const { column, direction } of order) {
    const difference = byBytes(a[column] as Value, b[column] as Value);
    if (difference !== 0) return direction === 'descending' ? -difference : difference;
  }
  return 0;
}

/** What the query means, said once more and without SQL. Bytes decide about text. */
export function matches(row: Placed['row'], where: readonly Filter[]): boolean {
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

export function byBytes(a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string));
  return a < (b as number) ? -1 : a > (b as number) ? 1 : 0;
}

/** Rows of all pages, one after another. */
export async function allPages<Shard>(
  query: Query | UnionAll,
  tableOf: TableOf,
  { shards, ask }: Spread<Shard>,
): Promise<Row[]> {
  const rows: Row[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < 200; pages += 1) {
    const page: QueryResult = await scatter(
      after === null ? query : { ...query, after },
      tableOf,
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
