/**
 * Joins that shards can answer alone. The joined tables look like one, whose further columns are `<name>.<column>`.
 *
 * - **Co-located**: rows are equal in columns that both tables are sharded by, so they stand in one partition, and every
 *   pair of rows is found by the shard that has both.
 * - **Broadcast**: the other table is small and stands anywhere. It is read first, whole, and goes along with the plan as
 *   values. A table that is copied to every shard would need events of other partitions and services in each of them,
 *   which projections do not get, and copies that are equally old; what is sent along is of one moment for all shards.
 */
import type { Json } from '../base/json.ts';
import { columnOf } from './aggregates.ts';
import { refuse, typeOf, typeWithEquality } from './check.ts';
import type { Filter, Join, Query } from './query.ts';
import { type ColumnType, NAME, PARTITION_COLUMN, type Table } from './table.ts';

export const JOINS_MAX = 4;
export const JOIN_PAIRS_MAX = 8;
/** Of a broadcast table, behind the filters that go with it. */
export const BROADCAST_ROWS_MAX = 1_000;
/** The same; they travel to every shard. See `bytesOf`. */
export const BROADCAST_BYTES_MAX = 256 * 1024;

/** Of a service's tables. */
export type TableOf = (service: string, table: string) => Table | undefined;

export interface PlannedJoin {
  readonly type: 'inner' | 'left';
  readonly table: string;
  readonly as: string;
  /** `left` as the plan names it, `right` as the table does. */
  readonly on: readonly { readonly left: string; readonly right: string }[];
  /** Of a broadcast table; null: the shard's own rows, of the same partition. */
  readonly values: BroadcastValues | null;
}

export interface BroadcastValues {
  readonly columns: readonly string[];
  readonly types: readonly ColumnType[];
  /** In wire form; empty until they are read. */
  readonly rows: readonly Json[];
}

export interface Joined {
  /** All tables as one. */
  readonly table: Table;
  readonly joins: readonly PlannedJoin[];
  /** What tells apart rows that one row of the first table gives; behind its key in a total order. */
  readonly order: readonly { readonly column: string; readonly nullable: boolean }[];
  /** By place in `joins`: what is read before; the rest of the columns are the plan's own affair. */
  readonly reads: readonly (Query | null)[];
}

/** @throws CardumeError `query-refused` */
export function planJoins(query: Query, tableOf: TableOf): Joined {
  const base = tableNamed(tableOf, query.service, query.table);
  const asked = query.join ?? [];
  if (asked.length > JOINS_MAX) refuse(`join: at most ${JOINS_MAX}, got ${asked.length}`);
  const columns: Record<string, ColumnType> = { ...base.columns };
  /** Columns whose ids stand in the partition that the row stands in. */
  const places = new Set(base.shardedBy === undefined ? [] : [base.shardedBy]);
  const names = new Set([query.table.toLowerCase()]);
  const order: { column: string; nullable: boolean }[] = [];
  const found = asked.map((join) => {
    const as = join.as ?? join.table;
    if (!NAME.test(as)) refuse(`join: '${as.slice(0, 60)}' is not a name`);
    if (names.has(as.toLowerCase()))
      refuse(`join: there is a table '${as}' already; give this one another name`);
    names.add(as.toLowerCase());
    const table = tableFor(join, query, tableOf);
    checkPairs(join, as, { ...base, columns }, table);
    if (join.broadcast !== true) checkPlaces(join, as, places, table);
    for (const [column, type] of Object.entries(table.columns)) columns[`${as}.${column}`] = type;
    if (join.broadcast !== true) places.add(`${as}.${table.shardedBy}`);
    const key = join.broadcast === true ? [PARTITION_COLUMN, ...table.key] : table.key;
    for (const column of key) order.push({ column: `${as}.${column}`, nullable: join.type === 'left' });
    return { join, as, table };
  });

  const whole: Table = { ...base, columns };
  const mentioned = found.some(({ join }) => join.broadcast === true) ? mentionedIn(query) : null;
  const reads = found.map(({ join, as, table }) =>
    join.broadcast === true ? readOf(join, as, table, query, mentioned) : null,
  );
  const joins = found.map(({ join, as, table }, i): PlannedJoin => {
    const { type, on } = join;
    const read = reads[i] ?? null;
    return { type, table: table.name, as, on, values: read === null ? null : valuesOf(table, read) };
  });
  return { table: whole, joins, order, reads };
}

function tableNamed(tableOf: TableOf, service: string, name: string): Table {
  const table = tableOf(service, name);
  if (table === undefined)
    refuse(`there is no table '${name.slice(0, 60)}' in the service '${service.slice(0, 60)}'`);
  return table;
}

function tableFor(join: Join, query: Query, tableOf: TableOf): Table {
  const type: string = join.type;
  if (type !== 'inner' && type !== 'left') refuse(`join: expected inner or left, got '${type}'`);
  const service = join.service ?? query.service;
  if (service !== query.service && join.broadcast !== true)
    refuse(
      `join: '${join.table}' is of the service '${service}', whose shards are others; it can be broadcast`,
    );
  return tableNamed(tableOf, service, join.table);
}

function checkPairs({ on }: Join, as: string, before: Table, table: Table): void {
  if (on.length === 0 || on.length > JOIN_PAIRS_MAX)
    refuse(`join '${as}': on: expected 1 to ${JOIN_PAIRS_MAX} pairs, got ${on.length}`);
  for (const { left, right } of on) {
    const types = [
      typeWithEquality(`join '${as}'`, left, before),
      typeWithEquality(`join '${as}'`, right, table),
    ];
    if (types[0] !== types[1]) refuse(`join '${as}': '${left}' is ${types[0]} and '${right}' is ${types[1]}`);
  }
}

function checkPlaces({ on }: Join, as: string, places: ReadonlySet<string>, table: Table): void {
  if (on.some(({ left, right }) => places.has(left) && right === table.shardedBy)) return;
  const before = [...places].map((column) => `'${column}'`).join(', ') || 'no column';
  const own = table.shardedBy === undefined ? 'by no column' : `by '${table.shardedBy}'`;
  refuse(
    `join '${as}': rows that match may stand in different partitions: '${table.name}' is sharded ${own}, the tables ` +
      `before by ${before}; join on these, or broadcast the table if it is small`,
  );
}

/** Columns that the query names; null when it returns all. */
function mentionedIn(query: Query): ReadonlySet<string> | null {
  const { select, aggregate, distinct } = query;
  if (select === undefined && (aggregate === undefined || distinct === true)) return null;
  return new Set([
    ...(select ?? []),
    ...(query.where ?? []).map(({ column }) => column),
    ...(query.orderBy ?? []).map(({ column }) => column),
    ...(query.join ?? []).flatMap(({ on }) => on.map(({ left }) => left)),
    ...(aggregate?.groupBy ?? []),
    ...Object.values(aggregate?.columns ?? {}).map(columnOf),
  ]);
}

/** The broadcast table's rows, as far as the query can want them. */
function readOf(
  { service, on, type }: Join,
  as: string,
  table: Table,
  query: Query,
  mentioned: ReadonlySet<string> | null,
): Query {
  const prefix = `${as}.`;
  const wanted = Object.keys(table.columns).filter((column) => mentioned?.has(prefix + column) ?? true);
  const select = [...new Set([...on.map(({ right }) => right), ...wanted])];
  return {
    service: service ?? query.service,
    table: table.name,
    select,
    where: type === 'inner' ? filtersOf(query, prefix, table) : [],
    limit: BROADCAST_ROWS_MAX,
  };
}

/** What an inner join may leave out early. With a left one a row that is left out would become one of NULLs. */
function filtersOf({ where = [] }: Query, prefix: string, table: Table): Filter[] {
  return where
    .filter(
      ({ column }) => column.startsWith(prefix) && Object.hasOwn(table.columns, column.slice(prefix.length)),
    )
    .map((filter) => ({ ...filter, column: filter.column.slice(prefix.length) }));
}

/** In the order in which their plan reads them: what is selected, then partition and key. */
function valuesOf(table: Table, { select = [] }: Query): BroadcastValues {
  const key = [PARTITION_COLUMN, ...table.key].filter((column) => !select.includes(column));
  const columns = [...select, ...key];
  const types = columns.map((column) => (column === PARTITION_COLUMN ? 'integer' : typeOf(column, table)));
  return { columns, types, rows: [] };
}
