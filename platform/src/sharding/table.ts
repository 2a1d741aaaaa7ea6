/**
 * A read model's table, the same on every engine. Rows live in the shard of the partition whose events made them;
 * every table has a hidden first key column for the partition, so that rows can move with it.
 * Text compares by its UTF-8 bytes, everywhere.
 */
export type ColumnType = 'text' | 'integer' | 'real' | 'json';

export interface Table {
  readonly name: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** Columns that identify a row within its partition. Never null. */
  readonly key: readonly string[];
  /** Each a list of columns, in order. */
  readonly indexes: readonly (readonly string[])[];
  /**
   * A text column of ids (`<type>_<place>_…`) whose place is the row's partition, or of NULLs; a projection that writes
   * another id halts. Rows that are equal in such columns stand in one partition, so tables can be joined on them.
   */
  readonly shardedBy?: string;
}

/** The hidden first key column of every table: the place key of the row's partition. */
export const PARTITION_COLUMN = '_partition';

/** `integer` is a safe integer in rows, a bigint in sums; `json` is JSON text. */
export type Value = null | string | number | bigint;
export type Row = Readonly<Record<string, Value>>;

/** Of a text in a key: an index holds it whole, on every engine. */
export const KEY_BYTES_MAX = 255;
/** Of any other text: servers order longer ones by their beginning alone. JSON may be longer, since it has no order. */
export const TEXT_BYTES_MAX = 8_192;

/** Of tables and columns; whatever an engine may quote or fold, these survive. */
export const NAME = /^[A-Za-z][A-Za-z0-9_]{0,62}$/;

/** Throws for a definition that no engine can hold: a bug of its author, found when the service starts. */
export function checkTable(table: Table): void {
  const names = Object.keys(table.columns);
  const fault = (what: string): never => {
    throw new Error(`table '${table.name}': ${what}`);
  };
  for (const name of [table.name, ...names]) if (!NAME.test(name)) fault(`'${name}' is not a name`);
  // SQL ignores the case of names.
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
    fault('two columns differ only by case');
  if (table.key.length === 0) fault('the key has no column');
  for (const column of table.key) {
    const type = table.columns[column];
    if (type !== 'text' && type !== 'integer')
      fault(`key column '${column}' is ${type}, not text or integer`);
  }
  const { shardedBy } = table;
  if (shardedBy !== undefined && table.columns[shardedBy] !== 'text')
    fault(`it is sharded by '${shardedBy}', which is no text column`);
  for (const column of table.indexes.flat()) {
    if (!Object.hasOwn(table.columns, column)) fault(`an index names '${column}', which is no column`);
    if (table.columns[column] === 'json') fault(`an index names '${column}', which is json and has no order`);
  }
}
