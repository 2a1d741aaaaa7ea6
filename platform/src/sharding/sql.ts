/** What a plan asks of one shard, in SQL. */
import { unreachable } from '../base/assert.ts';
import type { SqlValue } from '../host/disk.ts';
import { groupColumns, type Part, partsOf } from './aggregates.ts';
import type { Condition, Dialect } from './dialect.ts';
import { type Names, namesOf, sourceOf } from './join-sql.ts';
import type { Plan, PlannedOrder } from './plan.ts';
import type { Aggregation, Filter } from './query.ts';
import { PARTITION_COLUMN, type Value } from './table.ts';
import { decodeRow } from './wire.ts';

export interface Sql {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

/**
 * What a shard runs, one after another and within one snapshot, until it has `plan.fetch` rows: statement i's rows
 * all stand before those of statement i + 1. The last bound value of each is the number of rows still wanted.
 */
export function selectRows(plan: Plan, dialect: Dialect): Sql[] {
  const tail = ` ORDER BY ${orderOf(plan, namesOf(plan, dialect))} ${dialect.limit}`;
  return selectBehind(plan, dialect).map(({ text, values }) => ({ text: text + tail, values }));
}

/** The same without order and limit. @param more expressions, behind the plan's columns */
export function selectBehind(plan: Plan, dialect: Dialect, more: readonly string[] = []): Sql[] {
  const names = namesOf(plan, dialect);
  const filters = conditionsOf(plan, names);
  const columns = plan.columns.map(names.column);
  // Columns of two tables may have one name.
  const named = plan.joins.length === 0 ? columns : columns.map((column, i) => `${column} AS _${i}`);
  const head = selected([...named, ...more], plan, names);
  return rangesOf(plan, names).map((range) => joined(head, [...filters, ...range], ''));
}

/**
 * Partial aggregates of one shard, a row a group: see `accumulator`. Run as those of `selectRows`, except that a shard
 * which returns all of its groups has one statement, whose bound is `plan.fetch`.
 */
export function selectGroups(plan: Plan, dialect: Dialect): Sql[] {
  const names = namesOf(plan, dialect);
  const aggregation = plan.aggregate as Aggregation;
  const { own, counted } = groupColumns(aggregation);
  const groups = [...own, ...counted].map(names.column);
  const parts = Object.values(aggregation.columns).flatMap(partsOf);
  const output = [...groups, ...parts.flatMap((part) => expressionsOf(part, names))];
  // No column can have such a name, so an order by a column never means one of these.
  const named = output.map((expression, i) => `${expression} AS _${i}`);
  const head = selected(named, plan, names);
  const conditions = conditionsOf(plan, names);
  if (groups.length === 0) return [joined(head, conditions, ` ${dialect.limit}`)];
  const by = ` GROUP BY ${groups.join(', ')}`;
  if (plan.groups === null) return [joined(head, conditions, `${by} ${dialect.limit}`)];
  const tail = `${by} ORDER BY ${orderOf(plan, names)} ${dialect.limit}`;
  return rangesOf(plan, names).map((range) => joined(head, [...conditions, ...range], tail));
}

/** Rows that a shard returns at most. */
export function rowsMax({ aggregate, groups, fetch }: Plan): number {
  return aggregate === null ? fetch : (groups ?? fetch);
}

/** Rows for `accumulator` from the cells of `selectGroups`. */
export function groupsOf(plan: Plan, dialect: Dialect, rows: readonly (readonly Value[])[]): Value[][] {
  const aggregation = plan.aggregate as Aggregation;
  const { own, counted } = groupColumns(aggregation);
  const parts = Object.values(aggregation.columns).flatMap(partsOf);
  const names = namesOf(plan, dialect);
  const widths = parts.map((part) => expressionsOf(part, names).length);
  const groupsAt = own.length + counted.length;
  return rows.map((cells) => {
    const group: Value[] = cells.slice(0, groupsAt).map(plain);
    let at = groupsAt;
    for (const [i, { kind }] of parts.entries()) {
      const width = widths[i] as number;
      const of = cells.slice(at, at + width);
      group.push(kind === 'sum' ? dialect.sumOf(of) : plain(of[0] as Value));
      at += width;
    }
    return group;
  });
}

const plain = (cell: Value): Value => (typeof cell === 'bigint' ? Number(cell) : cell);

function expressionsOf({ kind, column }: Part, names: Names): readonly string[] {
  switch (kind) {
    case 'sum':
      return names.dialect.sum(names.column(column));
    case 'count':
      return [column === '*' ? 'COUNT(*)' : `COUNT(${names.column(column)})`];
    case 'min':
      return [`MIN(${names.column(column)})`];
    case 'max':
      return [`MAX(${names.column(column)})`];
    default:
      return unreachable(kind);
  }
}

function orderOf({ order }: Plan, names: Names): string {
  return order
    .map(({ column, descending }) => `${names.column(column)}${descending ? ' DESC' : ''}`)
    .join(', ');
}

/** What stands behind the cursor, as disjoint ranges in order. */
function rangesOf(plan: Plan, names: Names): Condition[][] {
  if (plan.after === null) return [[]];
  const values = decodeRow(plan.after);
  const order = plan.order.slice(0, values.length);
  const behind = rangesAfter(names, order, values, 0);
  return plan.isInclusive ? [equalTo(names, order, values), ...behind] : behind;
}

function equalTo(names: Names, order: readonly PlannedOrder[], values: readonly Value[]): Condition[] {
  return order.map(({ column }, i) => {
    const value = values[i] as SqlValue;
    if (value === null) return { text: `${names.column(column)} IS NULL`, values: [] };
    return { text: `${names.column(column)} = ?`, values: [value] };
  });
}

function conditionsOf(plan: Plan, names: Names): Condition[] {
  return [...plan.where.map((filter) => filterSql(filter, names)), ...partitionSql(plan, names)];
}

function selected(expressions: readonly string[], plan: Plan, names: Names): Condition {
  const source = sourceOf(plan, names);
  return { text: `SELECT ${expressions.join(', ')} FROM ${source.text}`, values: source.values };
}

function joined(head: Condition, conditions: readonly Condition[], tail: string): Sql {
  const where = conditions.map(({ text }) => text).join(' AND ');
  return {
    text: `${head.text}${where === '' ? '' : ` WHERE ${where}`}${tail}`,
    values: [...head.values, ...conditions.flatMap(({ values }) => values)],
  };
}

function partitionSql(plan: Plan, names: Names): Condition[] {
  if (plan.partitions === null) return [];
  return [among(names.column(PARTITION_COLUMN), plan.partitions)];
}

/** Servers know no empty list. */
function among(column: string, values: readonly SqlValue[]): Condition {
  if (values.length === 0) return { text: '1 = 0', values };
  return { text: `${column} IN (${values.map(() => '?').join(', ')})`, values };
}

function filterSql(filter: Filter, names: Names): Condition {
  const column = names.column(filter.column);
  switch (filter.op) {
    case 'is-null':
      return { text: `${column} IS NULL`, values: [] };
    case 'is-not-null':
      return { text: `${column} IS NOT NULL`, values: [] };
    case 'in':
      return among(column, filter.value);
    case 'prefix': {
      const end = prefixEnd(filter.value);
      if (end === null) return { text: `${column} >= ?`, values: [filter.value] };
      return { text: `${column} >= ? AND ${column} < ?`, values: [filter.value, end] };
    }
    case '=':
    case '<>':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return { text: `${column} ${filter.op} ?`, values: [filter.value] };
    default:
      return unreachable(filter);
  }
}

/**
 * The least text behind all that begin with the prefix, by code points: the prefix with its last character replaced by
 * the next. Null when there is none (an empty prefix, or nothing but U+10FFFF).
 */
export function prefixEnd(prefix: string): string | null {
  const points = Array.from(prefix, (character) => character.codePointAt(0) as number);
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop();
  if (last === undefined) return null;
  // The surrogates U+D800 to U+DFFF are no characters.
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
}

/**
 * The rows behind `values`, as disjoint ranges in the order's own order, each of a form that an index answers.
 *
 * A run of columns in one direction is one row-value comparison. SQL's comparisons skip NULL, which is right ascending
 * (NULL stands before any value) and wrong descending (NULL stands behind): there a column that may be NULL begins a
 * run of its own, and its NULLs are one more range.
 */
function rangesAfter(
  names: Names,
  order: readonly PlannedOrder[],
  values: readonly Value[],
  from: number,
): Condition[][] {
  const first = order[from];
  if (first === undefined) return [];
  const isNull: Condition = { text: `${names.column(first.column)} IS NULL`, values: [] };
  if (values[from] === null) {
    const same = rangesAfter(names, order, values, from + 1).map((range) => [isNull, ...range]);
    if (first.descending) return same;
    return [...same, [{ text: `${names.column(first.column)} IS NOT NULL`, values: [] }]];
  }

  let end = from + 1;
  for (; end < order.length; end += 1) {
    const next = order[end] as PlannedOrder;
    if (next.descending !== first.descending || values[end] === null || (next.descending && next.nullable))
      break;
  }
  const run = order.slice(from, end).map(({ column }) => names.column(column));
  const bound = values.slice(from, end) as SqlValue[];
  const equal: Condition = {
    text: run.map((column) => `${column} = ?`).join(' AND '),
    values: bound,
  };
  const behind = names.dialect.behind(run, first.descending, bound);
  return [
    ...rangesAfter(names, order, values, end).map((range) => [equal, ...range]),
    [behind],
    ...(first.descending && first.nullable ? [[isNull]] : []),
  ];
}
