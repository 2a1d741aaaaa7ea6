/** What a projection may write, the same on every engine. A throw halts the projection. */
import { unreachable } from '../base/assert.ts';
import { isCardumeError } from '../base/errors.ts';
import { parseId } from '../base/id.ts';
import {
  type ColumnType,
  KEY_BYTES_MAX,
  type Row,
  type Table,
  TEXT_BYTES_MAX,
  type Value,
} from '../sharding/table.ts';
import { partitionKey } from '../topology/partition.ts';

/** The key of a row. */
export function required(table: Table, row: Row, column: string): string | number {
  const value = row[column];
  if (value === undefined || value === null)
    throw new Error(`table '${table.name}': the key column '${column}' is missing`);
  check(table, column, table.columns[column] as ColumnType, value, KEY_BYTES_MAX);
  return value as string | number;
}

export function checkRow(table: Table, row: Readonly<Record<string, Value | undefined>>): void {
  for (const column in row) {
    const type = table.columns[column];
    if (type === undefined) throw new Error(`table '${table.name}' has no column '${column}'`);
    const value = row[column];
    if (value !== null && value !== undefined) check(table, column, type, value, TEXT_BYTES_MAX);
  }
}

/** A row that tells its partition tells the right one: joins rest on it. @param row or a part of one */
export function checkPlace(table: Table, row: Row, partition: number): void {
  const { shardedBy } = table;
  const id = shardedBy === undefined ? null : (row[shardedBy] ?? null);
  if (id === null) return;
  if (!isIdOf(partition, id))
    throw new Error(`table '${table.name}': '${shardedBy}' is no id of the row's partition`);
}

function isIdOf(partition: number, id: Value): boolean {
  try {
    return partitionKey(parseId(String(id))) === partition;
  } catch (error) {
    if (!isCardumeError(error, 'not-found')) throw error;
    return false;
  }
}

/** What is added, to integer columns alone. */
export function checkDeltas(table: Table, deltas: Readonly<Record<string, number>>): void {
  checkRow(table, deltas);
  for (const [column, by] of Object.entries(deltas))
    if (table.columns[column] !== 'integer' || !Number.isSafeInteger(by))
      throw new Error(`table '${table.name}': ${by} cannot be added to '${column}'`);
}

function check(table: Table, column: string, type: ColumnType, value: Value, bytesMax: number): void {
  if (isOf(type, value)) {
    if (type === 'text') checkLength(table, column, value as string, bytesMax);
    return;
  }
  throw new Error(`table '${table.name}': ${shown(value)} is no value of '${column}', which is ${type}`);
}

function isOf(type: ColumnType, value: Value): boolean {
  switch (type) {
    case 'integer':
      return Number.isSafeInteger(value);
    case 'real':
      return Number.isFinite(value);
    case 'text':
    case 'json':
      // A lone surrogate has no UTF-8 form: what is stored would be another text.
      return typeof value === 'string' && value.isWellFormed();
    default:
      return unreachable(type);
  }
}

const shown = (value: Value): string => (typeof value === 'string' ? 'a text' : `${typeof value} ${value}`);

/** UTF-8 has at most three bytes for a UTF-16 unit, so most texts need no count. */
function checkLength(table: Table, column: string, value: string, bytesMax: number): void {
  if (value.length * 3 <= bytesMax || Buffer.byteLength(value) <= bytesMax) return;
  throw new Error(`table '${table.name}': a text of '${column}' has more than ${bytesMax} bytes`);
}
