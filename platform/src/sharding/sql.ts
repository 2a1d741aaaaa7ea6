/** SQL of read models for SQLite: tables, and what a plan asks of one shard. */
import { unreachable } from '../base/assert.ts';
import type { SqlValue } from '../host/disk.ts';
import type { Plan, PlannedOrder } from './plan.ts';
import type { Filter } from './query.ts';
import { type ColumnType, checkTable, type Table, type Value } from './table.ts';
import { decodeRow } from './wire.ts';

/** The hidden first key column of every table: the place key of the row's partition. */
export const PARTITION_COLUMN = '_partition';

export interface Sql {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

const SQL_TYPES: Readonly<Record<ColumnType, string>> = {
  text: 'TEXT',
  integer: 'INTEGER',
  real: 'REAL',
  json: 'TEXT',
};

/**
 * Statements that create the table and its indexes where they are missing. Text columns compare by bytes (SQLite's
 * default collation, BINARY).
 *
 * A table with row ids and plain indexes: measured against rows kept in the primary key's tree (WITHOUT ROWID), whose
 * indexes end with partition and key, a put of 200 to 2,500 bytes costs half, and lists of rows from 800 bytes on too.
 * The price: a page behind a row looks at all rows that equal it in the indexed columns.
 */
export function createTable(table: Table): string[] {
  checkTable(table);
  const key = [PARTITION_COLUMN, ...table.key];
  const columns = [
    `${quoted(PARTITION_COLUMN)} INTEGER NOT NULL`,
    ...Object.entries(table.columns).map(
      ([name, type]) => `${quoted(name)} ${SQL_TYPES[type]}${table.key.includes(name) ? ' NOT NULL' : ''}`,
    ),
    `PRIMARY KEY (${list(key)})`,
  ];
  return [
    `CREATE TABLE IF NOT EXISTS ${quoted(table.name)} (${columns.join(', ')}) STRICT`,
    ...table.indexes.map((index) => {
      const name = `${table.name}_by_${index.join('_')}`;
      return `CREATE INDEX IF NOT EXISTS ${quoted(name)} ON ${quoted(table.name)} (${list(index)})`;
    }),
  ];
}

/**
 * What a shard runs, one after another and within one snapshot, until it has `plan.fetch` rows: statement i's rows
 * all stand before those of statement i + 1. The last bound value of each is the number of rows still wanted.
 */
export function selectRows(plan: Plan): Sql[] {
  const filters = [...plan.where.map(filterSql), ...partitionSql(plan)];
  const head = `SELECT ${list(plan.columns)} FROM ${quoted(plan.table)}`;
  const order = plan.order.map(({ column, descending }) => `${quoted(column)}${descending ? ' DESC' : ''}`);
  const tail = ` ORDER BY ${order.join(', ')} LIMIT ?`;
  const ranges = plan.after === null ? [[]] : rangesAfter(plan.order, decodeRow(plan.after), 0);
  return ranges.map((range) => joined(head, [...filters, ...range], tail));
}

/**
 * Partial aggregates of one shard, one row a group. Each sum has two columns, its halves above and below 2^32, since
 * SQLite's own sum fails beyond 2^63: `sum = high × 2^32 + low` is exact for any number of rows.
 */
export function selectGroups(plan: Plan): Sql {
  const { groupBy, columns } = plan.aggregate as NonNullable<Plan['aggregate']>;
  const groups = [...new Set(groupBy)].map(quoted);
  const output = [...groups];
  for (const what of Object.values(columns)) {
    if ('sum' in what) {
      const column = quoted(what.sum);
      output.push(`IFNULL(SUM(${column} >> 32), 0)`, `IFNULL(SUM(${column} & 4294967295), 0)`);
    } else {
      output.push('COUNT(*)');
    }
  }
  const head = `SELECT ${output.map((expression, i) => `${expression} AS c${i}`).join(', ')} FROM ${quoted(plan.table)}`;
  const by = groups.length === 0 ? '' : ` GROUP BY ${groups.join(', ')} LIMIT ${plan.fetch}`;
  return joined(head, [...plan.where.map(filterSql), ...partitionSql(plan)], by);
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

interface Condition {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

function list(columns: readonly string[]): string {
  return columns.map(quoted).join(', ');
}

function joined(head: string, conditions: readonly Condition[], tail: string): Sql {
  const where = conditions.map(({ text }) => text).join(' AND ');
  return {
    text: `${head}${where === '' ? '' : ` WHERE ${where}`}${tail}`,
    values: conditions.flatMap(({ values }) => values),
  };
}

function partitionSql(plan: Plan): Condition[] {
  if (plan.partitions === null) return [];
  const marks = plan.partitions.map(() => '?').join(', ');
  return [{ text: `${quoted(PARTITION_COLUMN)} IN (${marks})`, values: plan.partitions }];
}

function filterSql(filter: Filter): Condition {
  const column = quoted(filter.column);
  switch (filter.op) {
    case 'is-null':
      return { text: `${column} IS NULL`, values: [] };
    case 'is-not-null':
      return { text: `${column} IS NOT NULL`, values: [] };
    case 'in':
      return { text: `${column} IN (${filter.value.map(() => '?').join(', ')})`, values: filter.value };
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
function rangesAfter(order: readonly PlannedOrder[], values: readonly Value[], from: number): Condition[][] {
  const first = order[from];
  if (first === undefined) return [];
  const isNull: Condition = { text: `${quoted(first.column)} IS NULL`, values: [] };
  if (values[from] === null) {
    const same = rangesAfter(order, values, from + 1).map((range) => [isNull, ...range]);
    if (first.descending) return same;
    return [...same, [{ text: `${quoted(first.column)} IS NOT NULL`, values: [] }]];
  }

  let end = from + 1;
  for (; end < order.length; end += 1) {
    const next = order[end] as PlannedOrder;
    if (next.descending !== first.descending || values[end] === null || (next.descending && next.nullable))
      break;
  }
  const run = order.slice(from, end).map(({ column }) => column);
  const bound = values.slice(from, end) as SqlValue[];
  const marks = bound.map(() => '?').join(', ');
  const equal: Condition = {
    text: run.map((column) => `${quoted(column)} = ?`).join(' AND '),
    values: bound,
  };
  const behind: Condition = {
    text: `(${list(run)}) ${first.descending ? '<' : '>'} (${marks})`,
    values: bound,
  };
  return [
    ...rangesAfter(order, values, end).map((range) => [equal, ...range]),
    [behind],
    ...(first.descending && first.nullable ? [[isNull]] : []),
  ];
}
