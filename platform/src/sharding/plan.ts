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
 */
import { CardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import { columnOf, typeOfOutput } from './aggregates.ts';
import { compareValues } from './compare.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import type { Aggregation, Filter, Output, Query } from './query.ts';
import { PARTITION_COLUMN } from './sql.ts';
import { type ColumnType, NAME, type Table, type Value } from './table.ts';
import { encodeValue } from './wire.ts';

export const LIMIT_MAX = 1_000;
export const LIMIT_DEFAULT = 100;
export const FILTERS_MAX = 50;
export const FILTER_VALUES_MAX = 1_000;
export const ORDER_COLUMNS_MAX = 8;
export const OFFSET_MAX = 10_000;
/** Groups over all shards: they are merged in memory. */
export const GROUPS_MAX = 10_000;

export interface Plan {
  readonly table: string;
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
   * Order values, in wire form, of the row behind which the page begins. With an aggregate it is the merge that skips
   * to it.
   */
  readonly after: readonly Json[] | null;
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

/** @throws CardumeError `query-refused` with the reason, `invalid-cursor` */
export function planQuery(query: Query, table: Table): Plan {
  const where = query.where ?? [];
  if (where.length > FILTERS_MAX) refuse(`at most ${FILTERS_MAX} filters, got ${where.length}`);
  for (const filter of where) checkFilter(filter, table);
  const limit = query.limit ?? LIMIT_DEFAULT;
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
    refuse(`limit: expected a whole number from 1 to ${LIMIT_MAX}, got ${limit}`);
  }
  const offset = query.offset ?? 0;
  if (!Number.isInteger(offset) || offset < 0 || offset > OFFSET_MAX)
    refuse(`offset: expected a whole number from 0 to ${OFFSET_MAX}, got ${offset}`);
  if (offset > 0 && query.after !== undefined) refuse('offset: not together with after');
  const partitions = query.partitions ?? null;
  if (partitions?.some((key) => !Number.isInteger(key) || key < 0)) refuse('partitions: expected place keys');

  const aggregate = aggregationOf(query, table);
  const output = aggregate === null ? rowOutput(query, table) : groupOutput(query, aggregate, table);
  const shape = JSON.stringify([
    query.service,
    query.table,
    where,
    output.order.map(({ column, descending }) => [column, descending]),
    aggregate,
    partitions,
    query.region ?? null,
  ]);
  const types = output.order.map(({ at }) => output.types[at] as ColumnType | 'sum');
  return {
    table: table.name,
    columns: output.columns,
    shown: output.shown,
    where,
    partitions,
    order: output.order,
    limit,
    offset,
    fetch: aggregate === null ? offset + limit + 1 : GROUPS_MAX + 1,
    after: query.after === undefined ? null : decodeCursor(query.after, shape, types).map(encodeValue),
    aggregate,
    groups: aggregate !== null && isPushed(aggregate, output) ? offset + limit + 1 : null,
    shape,
  };
}

/** A plan as it came from another instance, which may be of the version before: that one pushes no groups down. */
export function receivedPlan(plan: Plan): Plan {
  return { ...plan, offset: plan.offset ?? 0, groups: plan.groups ?? null };
}

/** Compares two rows of `plan.columns` in the plan's order. */
export function rowOrder(plan: Plan): (a: readonly Value[], b: readonly Value[]) => number {
  return (a, b) => {
    for (const { at, descending } of plan.order) {
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
  readonly types: (ColumnType | 'sum')[];
  readonly shown: number;
  readonly order: PlannedOrder[];
}

function rowOutput(query: Query, table: Table): Planned {
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
  const types = columns.map((column) => (column === PARTITION_COLUMN ? 'integer' : typeOf(column, table)));
  return { columns, types, shown, order };
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
  const types: (ColumnType | 'sum')[] = groups.map((column) => {
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

function checkOutput(output: Output, table: Table): void {
  const column = columnOf(output);
  if ('count' in output) {
    if (column !== '*') typeOf(column, table);
  } else if ('countDistinct' in output) {
    typeWithEquality('aggregate', column, table);
  } else {
    const type = typeOf(column, table);
    if (type === 'json') refuse(`aggregate: '${column}' is json, which has no order`);
    if (('sum' in output || 'average' in output) && type !== 'integer')
      refuse(`aggregate: '${column}' is ${type}; sums are exact, so of integer columns only`);
  }
}

/** As a filter of a table whose columns are the outputs. */
function checkHaving(filter: Filter, { columns }: Aggregation, table: Table): void {
  const output = Object.hasOwn(columns, filter.column) ? columns[filter.column] : undefined;
  if (output === undefined)
    refuse(
      `having: '${filter.column.slice(0, 60)}' is not an output column; they are ${Object.keys(columns).join(', ')}`,
    );
  const type = typeOfOutput(output, table);
  const asColumn = { ...table, columns: { [filter.column]: type === 'sum' ? 'integer' : type } } as const;
  checkFilter(filter, asColumn);
}

function typeWithEquality(part: string, column: string, table: Table): ColumnType {
  const type = typeOf(column, table);
  if (type === 'json' || type === 'real')
    refuse(`${part}: '${column}' is ${type}, which has no exact equality`);
  return type;
}

function orderBy(query: Query): NonNullable<Query['orderBy']> {
  const order = query.orderBy ?? [];
  if (order.length > ORDER_COLUMNS_MAX)
    refuse(`orderBy: at most ${ORDER_COLUMNS_MAX} columns, got ${order.length}`);
  if (new Set(order.map(({ column }) => column)).size < order.length)
    refuse('orderBy: a column is named twice');
  return order;
}

function checkFilter(filter: Filter, table: Table): void {
  const type = typeOf(filter.column, table);
  const { column, op } = filter;
  switch (op) {
    case 'is-null':
    case 'is-not-null':
      return;
    case 'prefix':
      if (type !== 'text') refuse(`where: '${column}' is ${type}; prefix is for text`);
      checkValue(column, type, filter.value);
      return;
    case 'in':
      if (filter.value.length > FILTER_VALUES_MAX) {
        refuse(`where: at most ${FILTER_VALUES_MAX} values for '${column}', got ${filter.value.length}`);
      }
      for (const value of filter.value) checkValue(column, type, value);
      return;
    case '=':
    case '<>':
    case '<':
    case '<=':
    case '>':
    case '>=':
      checkValue(column, type, filter.value);
      return;
    default:
      refuse(`where: there is no operator '${op satisfies never}'`);
  }
}

function checkValue(column: string, type: ColumnType, value: unknown): void {
  if (type === 'json') refuse(`where: '${column}' is json; only is-null and is-not-null are for json`);
  if (type === 'text') {
    if (typeof value !== 'string') refuse(`where: expected text for '${column}', got ${typeof value}`);
    // A lone surrogate has no UTF-8 form: the database would compare another character.
    if (!value.isWellFormed()) refuse(`where: the text for '${column}' is not well-formed Unicode`);
  } else if (!Number.isFinite(value)) {
    refuse(`where: expected a finite number for '${column}', got ${typeof value}`);
  }
}

function typeOf(column: string, table: Table): ColumnType {
  const type = Object.hasOwn(table.columns, column) ? table.columns[column] : undefined;
  if (type === undefined) {
    refuse(
      `'${table.name}' has no column '${column.slice(0, 60)}'; it has ${Object.keys(table.columns).join(', ')}`,
    );
  }
  return type;
}

function refuse(reason: string): never {
  throw new CardumeError('query-refused', reason);
}
