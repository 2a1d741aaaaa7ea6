/**
 * A plan is a query after every check, with nothing left to guess: what each shard is asked, and how the shards' rows
 * merge. It is JSON, so it travels to the shard as it is; the instance that merges decides, the shard follows.
 *
 * What it settles:
 * - Order is total. Behind the caller's columns come the partition and the row's key, in the direction of the last
 *   column named, which is the order of the table's primary key.
 *   Without `orderBy` the list is in the order of partition and key, ascending.
 * - NULL stands first ascending and last descending. `=`, `<>`, `<` … never match NULL, as in SQL.
 * - `select` and `limit` may change from page to page; everything else is bound to the cursor.
 * - Aggregates: sums and averages only of integer columns (sums of reals depend on the order of addition), the sum of no
 *   rows is 0, without `groupBy` there is exactly one row. Groups may be ordered by any output column, and paged.
 * - Groups in the order of their own columns are pushed down: the first so many of all shards are among the first so many
 *   of each, whole. Any other order needs all groups in memory.
 * - Different rows are groups without an output.
 * - `json` columns can be selected and tested for NULL; they have no order and no equality.
 * - Joins are pushed down whole: see join.ts. Behind the first table's key, the joined ones' make the order total.
 */
import type { Json } from '../base/json.ts';
import { type OutputType, typeOfOutput } from './aggregates.ts';
import {
  checkFilter,
  checkHaving,
  checkOutput,
  FILTERS_MAX,
  refuse,
  typeOf,
  typeWithEquality,
} from './check.ts';
import { compareValues } from './compare.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { type Joined, type PlannedJoin, planJoins, type TableOf } from './join.ts';
import type { Aggregation, Filter, Order, Query } from './query.ts';
import { NAME, PARTITION_COLUMN, type Table, type Value } from './table.ts';
import { byWholeNumbers } from './whole-numbers.ts';
import { encodeValue } from './wire.ts';

export const LIMIT_MAX = 1_000;
export const LIMIT_DEFAULT = 100;
export const ORDER_COLUMNS_MAX = 8;
export const OFFSET_MAX = 10_000;
/** Groups over all shards: they are merged in memory. */
export const GROUPS_MAX = 10_000;

export interface Plan {
  readonly table: string;
  readonly joins: readonly PlannedJoin[];
  /** What a shard returns, in this order. The first `shown` are the caller's. */
  readonly columns: readonly string[];
  readonly shown: number;
  readonly where: readonly Filter[];
  /** Place keys, or null for all that the shard holds. */
  readonly partitions: readonly number[] | null;
  /** Total: no two rows are equal in all of them. */
  readonly order: readonly PlannedOrder[];
  readonly limit: number;
  readonly offset: number;
  /** Most rows that a shard returns: one more than are wanted, to tell whether there are more. */
  readonly fetch: number;
  /**
   * Order values, in wire form, of the row behind which the page begins, or of the order's first columns alone. With an
   * aggregate it is the merge that skips to it.
   */
  readonly after: readonly Json[] | null;
  /** Rows that equal `after` belong to the page, too. */
  readonly isInclusive: boolean;
  readonly aggregate: Aggregation | null;
  /**
   * Groups that a shard returns, in the plan's order and behind `after`; null when it returns all. A shard of the version
   * before returns all of them: the merge takes both.
   */
  readonly groups: number | null;
  /** What a cursor is bound to. */
  readonly shape: string;
}

export interface PlannedOrder {
  readonly column: string;
  /** Its place in `columns`. */
  readonly at: number;
  readonly descending: boolean;
  readonly nullable: boolean;
}

/** A plan, and what its asker alone has to know. */
export interface PlannedQuery {
  readonly plan: Plan;
  /** Of the plan's columns. */
  readonly types: readonly OutputType[];
  /** By place in `plan.joins`: what has to be read before the plan goes out, to be its join's values. */
  readonly reads: readonly (Query | null)[];
}

/** @throws CardumeError `query-refused` with the reason, `invalid-cursor` */
export function planQuery(query: Query, tableOf: TableOf): PlannedQuery {
  const joined = planJoins(query, tableOf);
  const { table } = joined;
  const where = query.where ?? [];
  if (where.length > FILTERS_MAX) refuse(`at most ${FILTERS_MAX} filters, got ${where.length}`);
  for (const filter of where) checkFilter(filter, table);
  const { limit, offset } = pageOf(query);
  const partitions = query.partitions ?? null;
  if (partitions?.some((key) => !Number.isInteger(key) || key < 0)) refuse('partitions: expected place keys');

  const aggregate = aggregationOf(query, table);
  const output = aggregate === null ? rowOutput(query, joined) : groupOutput(query, aggregate, table);
  const shape = JSON.stringify([
    query.service,
    query.table,
    where,
    output.order.map(({ column, descending }) => [column, descending]),
    aggregate,
    partitions,
    query.region ?? null,
    ...(joined.joins.length === 0 ? [] : [query.join]),
  ]);
  const types = output.order.map(({ at }) => output.types[at] as OutputType);
  const plan: Plan = {
    table: table.name,
    joins: joined.joins,
    columns: output.columns,
    shown: output.shown,
    where: where.map((filter) =>
      typeOf(filter.column, table) === 'integer' ? byWholeNumbers(filter) : filter,
    ),
    partitions,
    order: output.order,
    limit,
    offset,
    fetch: aggregate === null ? offset + limit + 1 : GROUPS_MAX + 1,
    after: query.after === undefined ? null : decodeCursor(query.after, shape, types).map(encodeValue),
    isInclusive: false,
    aggregate,
    groups: aggregate !== null && isPushed(aggregate, output) ? offset + limit + 1 : null,
    shape,
  };
  return { plan, types: output.types, reads: joined.reads };
}

/** @throws CardumeError `query-refused` for a page that nothing can have */
export function pageOf({
  limit = LIMIT_DEFAULT,
  offset = 0,
  after,
}: Pick<Query, 'limit' | 'offset' | 'after'>): {
  readonly limit: number;
  readonly offset: number;
} {
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    refuse(`limit: expected a whole number from 1 to ${LIMIT_MAX}, got ${limit}`);
  if (!Number.isInteger(offset) || offset < 0 || offset > OFFSET_MAX)
    refuse(`offset: expected a whole number from 0 to ${OFFSET_MAX}, got ${offset}`);
  if (offset > 0 && after !== undefined) refuse('offset: not together with after');
  return { limit, offset };
}

/** A plan as it came from another instance, which may be of a version before: those push down less. */
export function receivedPlan(plan: Plan): Plan {
  return {
    ...plan,
    joins: plan.joins ?? [],
    offset: plan.offset ?? 0,
    isInclusive: plan.isInclusive ?? false,
    groups: plan.groups ?? null,
  };
}

/** Whether instances of the version before, which know neither joins nor unions, would answer it rightly. */
export function isKnownBefore({ joins, after, order, isInclusive }: Plan): boolean {
  return joins.length === 0 && !isInclusive && (after === null || after.length === order.length);
}

/** Tables of the shard's own. */
export function tablesRead({ table, joins }: Plan): string[] {
  return [table, ...joins.filter(({ values }) => values === null).map((join) => join.table)];
}

/** Where a row of `plan.columns` stands to the values of the order's first columns: negative before, positive behind. */
export function placeOf(plan: Plan, row: readonly Value[], values: readonly Value[]): number {
  for (const [i, value] of values.entries()) {
    const { at, descending } = plan.order[i] as PlannedOrder;
    const difference = compareValues(row[at] as Value, value);
    if (difference !== 0) return descending ? -difference : difference;
  }
  return 0;
}

/** Compares two rows of `plan.columns` in the plan's order. @param terms how many of its first columns decide */
export function rowOrder(
  plan: Plan,
  terms = plan.order.length,
): (a: readonly Value[], b: readonly Value[]) => number {
  const order = plan.order.slice(0, terms);
  return (a, b) => {
    for (const { at, descending } of order) {
      const difference = compareValues(a[at] as Value, b[at] as Value);
      if (difference !== 0) return descending ? -difference : difference;
    }
    return 0;
  };
}

/** The cursor behind a row of `plan.columns`. */
export function cursorOf(plan: Plan, row: readonly Value[]): string {
  return encodeCursor(
    plan.shape,
    plan.order.map(({ at }) => row[at] as Value),
  );
}

interface Planned {
  readonly columns: string[];
  readonly types: OutputType[];
  readonly shown: number;
  readonly order: PlannedOrder[];
}

function rowOutput(query: Query, { table, order: joinedOrder }: Joined): Planned {
  if (query.select?.length === 0) refuse('select: expected at least one column');
  const columns = [...new Set(query.select ?? Object.keys(table.columns))];
  for (const column of columns) typeOf(column, table);
  const shown = columns.length;
  const order: PlannedOrder[] = [];
  const add = (column: string, descending: boolean, nullable: boolean): void => {
    if (!columns.includes(column)) columns.push(column);
    order.push({ column, at: columns.indexOf(column), descending, nullable });
  };

  for (const { column, direction } of orderBy(query)) {
    if (typeOf(column, table) === 'json') refuse(`orderBy: '${column}' is json, which has no order`);
    add(column, direction === 'descending', !table.key.includes(column));
  }
  const descending = order.at(-1)?.descending ?? false;
  for (const column of [PARTITION_COLUMN, ...table.key]) {
    if (!order.some((known) => known.column === column)) add(column, descending, false);
  }
  for (const { column, nullable } of joinedOrder) {
    if (!order.some((known) => known.column === column)) add(column, descending, nullable);
  }
  const types = columns.map((column) => (isPartition(column) ? 'integer' : typeOf(column, table)));
  return { columns, types, shown, order };
}

/** Of any of the tables; none of them tells of it. */
function isPartition(column: string): boolean {
  return column === PARTITION_COLUMN || column.endsWith(`.${PARTITION_COLUMN}`);
}

/** Different rows are groups without an output. */
function aggregationOf(query: Query, table: Table): Aggregation | null {
  if (query.distinct !== true) return query.aggregate ?? null;
  if (query.aggregate !== undefined)
    refuse('distinct: not together with aggregate, whose groups are different');
  if (query.select?.length === 0) refuse('select: expected at least one column');
  return { groupBy: query.select ?? Object.keys(table.columns), columns: {} };
}

function isPushed({ having = [], columns, groupBy }: Aggregation, { order }: Planned): boolean {
  const groups = new Set(groupBy).size;
  const counts = Object.values(columns).some((output) => 'countDistinct' in output);
  return groups > 0 && having.length === 0 && !counts && order.every(({ at }) => at < groups);
}

function groupOutput(query: Query, aggregate: Aggregation, table: Table): Planned {
  if (query.select !== undefined && query.distinct !== true)
    refuse('select: not together with aggregate, whose columns are the output');
  const groups = [...new Set(aggregate.groupBy)];
  const types: OutputType[] = groups.map((column) => {
    return typeWithEquality('groupBy', column, table);
  });
  for (const [name, what] of Object.entries(aggregate.columns)) {
    if (!NAME.test(name)) refuse(`aggregate: '${name}' is not a name for a column`);
    if (groups.includes(name)) refuse(`aggregate: '${name}' is the name of a group column already`);
    checkOutput(what, table);
    types.push(typeOfOutput(what, table));
  }
  for (const filter of aggregate.having ?? []) checkHaving(filter, aggregate, table);
  const columns = [...groups, ...Object.keys(aggregate.columns)];
  if (columns.length === 0) refuse('aggregate: expected a group column or an output column');

  const order = orderBy(query).map(({ column, direction }): PlannedOrder => {
    const at = columns.indexOf(column);
    if (at < 0)
      refuse(`orderBy: '${column}' is not an output column of the aggregate; they are ${columns.join(', ')}`);
    return { column, at, descending: direction === 'descending', nullable: at < groups.length };
  });
  for (const [at, column] of groups.entries()) {
    if (!order.some((known) => known.column === column))
      order.push({ column, at, descending: false, nullable: true });
  }
  return { columns, types, shown: columns.length, order };
}

export function orderBy(query: { readonly orderBy?: readonly Order[] }): readonly Order[] {
  const order = query.orderBy ?? [];
  if (order.length > ORDER_COLUMNS_MAX)
    refuse(`orderBy: at most ${ORDER_COLUMNS_MAX} columns, got ${order.length}`);
  if (new Set(order.map(({ column }) => column)).size < order.length)
    refuse('orderBy: a column is named twice');
  return order;
}
