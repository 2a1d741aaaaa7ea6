/** The dialect of MySQL's family, and its tables of read models. */
import type { Condition, Dialect } from './dialect.ts';
import { type ColumnType, checkTable, KEY_BYTES_MAX, PARTITION_COLUMN, type Table } from './table.ts';

export function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

export const mysql: Dialect = {
  quoted,
  stored: quoted,
  limit: 'LIMIT ?',
  /** A decimal: exact for any number of rows. */
  sum: (column) => [`IFNULL(SUM(${column}), 0)`],
  sumOf: ([sum]) => BigInt(sum as string),
  /** Written out: these servers find no index for a comparison of row values. */
  behind(columns, descending, values): Condition {
    const than = descending ? '<' : '>';
    const ways = columns.map((column, i) => {
      const equal = columns.slice(0, i).map((one) => `${one} = ?`);
      return [...equal, `${column} ${than} ?`].join(' AND ');
    });
    return {
      text: `((${ways.join(') OR (')}))`,
      values: columns.flatMap((_, i) => values.slice(0, i + 1)),
    };
  },
  /** Cast, since a server must know types before it has values. MySQL and MariaDB share no other table of values. */
  table(columns, types, rows) {
    const casts = types.map((type) => `CAST(? AS ${CASTS[type]})`);
    const first = `SELECT ${casts.map((cast, i) => `${cast} AS ${columns[i]}`).join(', ')}`;
    const rest = ` UNION ALL SELECT ${casts.join(', ')}`;
    return `(${first}${rest.repeat(rows - 1)})`;
  },
};

const CASTS: Readonly<Record<ColumnType, string>> = {
  text: 'BINARY',
  integer: 'SIGNED',
  real: 'DOUBLE',
  json: 'BINARY',
};

/** Text is bytes, which no collation folds or pads; a key is short enough for an index to hold whole. */
const SQL_TYPES: Readonly<Record<ColumnType, string>> = {
  text: 'LONGBLOB',
  integer: 'BIGINT',
  real: 'DOUBLE',
  json: 'LONGTEXT CHARACTER SET utf8mb4',
};
/** Of one index, over all of its columns (InnoDB, `ROW_FORMAT=DYNAMIC`). */
const INDEX_BYTES_MAX = 3_000;

/** The statement that creates the table and its indexes where they are missing. */
export function createTable(table: Table): string {
  checkTable(table);
  const columns = Object.entries(table.columns).map(([name, type]) => {
    const isKey = table.key.includes(name);
    const sqlType = isKey && type === 'text' ? `VARBINARY(${KEY_BYTES_MAX})` : SQL_TYPES[type];
    return `${quoted(name)} ${sqlType}${isKey ? ' NOT NULL' : ''}`;
  });
  const key = [PARTITION_COLUMN, ...table.key].map(quoted).join(', ');
  const indexes = table.indexes.map((index) => {
    const texts = index.filter((column) => table.columns[column] === 'text').length;
    const bytes = Math.min(KEY_BYTES_MAX, Math.floor(INDEX_BYTES_MAX / Math.max(1, texts)));
    const parts = index.map((column) =>
      table.columns[column] === 'text' ? `${quoted(column)}(${bytes})` : quoted(column),
    );
    return `KEY ${quoted(`${table.name}_by_${index.join('_')}`.slice(0, 64))} (${parts.join(', ')})`;
  });
  const parts = [
    `${quoted(PARTITION_COLUMN)} INT UNSIGNED NOT NULL`,
    ...columns,
    `PRIMARY KEY (${key})`,
    ...indexes,
  ];
  return `CREATE TABLE IF NOT EXISTS ${quoted(table.name)} (${parts.join(', ')})`;
}
