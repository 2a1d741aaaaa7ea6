/** What a projection may write, on every engine. A throw halts the projection. */
import { KEY_BYTES_MAX, type Row, type Table, TEXT_BYTES_MAX, type Value } from '../sharding/table.ts';

/** The key of a row. */
export function required(table: Table, row: Row, column: string): string | number | bigint {
  const value = row[column];
  if (value === undefined || value === null)
    throw new Error(`table '${table.name}': the key column '${column}' is missing`);
  checkText(table, column, value, KEY_BYTES_MAX);
  return value;
}

export function checkRow(table: Table, row: Readonly<Record<string, Value | undefined>>): void {
  for (const column in row) {
    const type = table.columns[column];
    if (type === undefined) throw new Error(`table '${table.name}' has no column '${column}'`);
    if (type === 'text') checkText(table, column, row[column], TEXT_BYTES_MAX);
    else if (typeof row[column] === 'number' && !Number.isFinite(row[column]))
      throw new Error(`table '${table.name}': ${row[column]} is no number for '${column}'`);
  }
}

/** UTF-8 has at most three bytes for a UTF-16 unit, so most texts need no count. */
function checkText(table: Table, column: string, value: Value | undefined, bytesMax: number): void {
  if (typeof value !== 'string' || value.length * 3 <= bytesMax || Buffer.byteLength(value) <= bytesMax)
    return;
  throw new Error(`table '${table.name}': a text of '${column}' has more than ${bytesMax} bytes`);
}
