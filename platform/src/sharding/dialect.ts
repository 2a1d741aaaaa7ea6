/** What differs between SQLite and the servers of MySQL's family, where a plan becomes SQL. */
import type { SqlValue } from '../host/disk.ts';
import type { ColumnType, Value } from './table.ts';

/** Columns are given as expressions, quoted. */
export interface Dialect {
  quoted(name: string): string;
  /** A table, behind FROM and JOIN. */
  stored(table: string): string;
  /** Bound to the most rows that are wanted. */
  readonly limit: string;
  /** Expressions whose values together are the exact sum of an integer column; `sumOf` reads them. */
  sum(column: string): readonly string[];
  sumOf(cells: readonly Value[]): bigint;
  /** Rows whose columns, none of them NULL, stand behind the values; all in one direction. */
  behind(columns: readonly string[], descending: boolean, values: readonly SqlValue[]): Condition;
  /**
   * A table in parentheses with bound values, row by row. @param columns quoted names, and types of the values
   * @param rows at least 1
   */
  table(columns: readonly string[], types: readonly ColumnType[], rows: number): string;
}

export interface Condition {
  readonly text: string;
  readonly values: readonly SqlValue[];
}
