/** SQLite's dialect, and its tables of read models. */
import type { Dialect } from './dialect.ts';
import { type ColumnType, checkTable, PARTITION_COLUMN, type Table } from './table.ts';

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function list(columns: readonly string[]): string {
  return columns.map(quoted).join(', ');
}

export const sqlite: Dialect = {
  quoted,
  stored: quoted,
  /** No bare parameter: SQLite plans with its value, and so prepares the statement again at every execution. */
  limit: 'LIMIT ? + 0',
  /** Halves above and below 2^32, since SQLite's own sum fails beyond 2^63: exact for any number of rows. */
  sum: (column) => [`IFNULL(SUM(${column} >> 32), 0)`, `IFNULL(SUM(${column} & 4294967295), 0)`],
  sumOf: ([high, low]) => (high as bigint) * 4_294_967_296n + (low as bigint),
  /** One comparison of row values, which an index answers. */
  behind: (columns, descending, values) => ({
    text: `(${columns.join(', ')}) ${descending ? '<' : '>'} (${values.map(() => '?').join(', ')})`,
    values,
  }),
  table(columns, _types, rows) {
    const named = columns.map((column, i) => `column${i + 1} AS ${column}`);
    const row = `(${columns.map(() => '?').join(', ')})`;
    return `(SELECT ${named.join(', ')} FROM (VALUES ${Array(rows).fill(row).join(', ')}))`;
  },
};

/** Of one of several files on a connection. */
export function sqliteIn(schema: string): Dialect {
  return { ...sqlite, stored: (table) => `${quoted(schema)}.${quoted(table)}` };
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
