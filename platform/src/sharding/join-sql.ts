/** A plan's tables in SQL: what they are called, and how they are joined. */
import type { SqlValue } from '../host/disk.ts';
import type { Condition, Dialect } from './dialect.ts';
import type { BroadcastValues, PlannedJoin } from './join.ts';
import type { Plan } from './plan.ts';
import { PARTITION_COLUMN } from './table.ts';
import { decodeRow } from './wire.ts';

/** How a statement calls the plan's columns. */
export interface Names {
  readonly dialect: Dialect;
  /** The column as an expression: `<name>.<column>` is of a joined table, any other of the first. */
  column(name: string): string;
}

export function namesOf({ table, joins }: Plan, dialect: Dialect): Names {
  const { quoted } = dialect;
  if (joins.length === 0) return { dialect, column: quoted };
  return {
    dialect,
    column(name) {
      const dot = name.indexOf('.');
      if (dot < 0) return `${quoted(table)}.${quoted(name)}`;
      return `${quoted(name.slice(0, dot))}.${quoted(name.slice(dot + 1))}`;
    },
  };
}

/** What stands behind FROM. */
export function sourceOf({ table, joins }: Plan, names: Names): Condition {
  const parts = joins.map((join) => joinSql(join, names));
  return {
    text: [names.dialect.stored(table), ...parts.map(({ text }) => text)].join(' '),
    values: parts.flatMap(({ values }) => values),
  };
}

function joinSql({ type, table, as, on, values }: PlannedJoin, names: Names): Condition {
  const { quoted, stored } = names.dialect;
  const own = (column: string): string => `${quoted(as)}.${quoted(column)}`;
  const equal = on.map(({ left, right }) => `${own(right)} = ${names.column(left)}`);
  // Also lets the primary key, which begins with it, find the row.
  if (values === null) equal.unshift(`${own(PARTITION_COLUMN)} = ${names.column(PARTITION_COLUMN)}`);
  const right = values === null ? { text: stored(table), values: [] } : valuesSql(values, names.dialect);
  return {
    text: `${type === 'left' ? 'LEFT' : 'INNER'} JOIN ${right.text} AS ${quoted(as)} ON ${equal.join(' AND ')}`,
    values: right.values,
  };
}

/**
 * Filled up to a power of two with rows of NULLs, which equal nothing, so that few statements are prepared. A whole
 * number is bound as one: servers would take it for a double.
 */
function valuesSql({ columns, types, rows }: BroadcastValues, dialect: Dialect): Condition {
  let count = 1;
  while (count < rows.length) count *= 2;
  const bound = rows
    .flatMap((row) => decodeRow(row as never))
    .map(
      (value): SqlValue => (typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value),
    );
  while (bound.length < count * columns.length) bound.push(null);
  return { text: dialect.table(columns.map(dialect.quoted), types, count), values: bound };
}
