/**
 * A cursor is the place of a row in a list: the values of its order columns, bound to the list by a digest of what
 * was asked. It holds no secret and gives no right: its values reach the database as bound parameters only.
 */
import { CardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { ColumnType, Value } from './table.ts';
import { decodeValue, encodeValue } from './wire.ts';

export function encodeCursor(shape: string, values: readonly Value[]): string {
  const text = JSON.stringify([digest(shape), ...values.map(encodeValue)]);
  return new TextEncoder().encode(text).toBase64({ alphabet: 'base64url', omitPadding: true });
}

/**
 * @param types of the order columns; a sum's values are bigints
 * @throws CardumeError `invalid-cursor` when the cursor is of another list, or of none
 */
export function decodeCursor(cursor: string, shape: string, types: readonly (ColumnType | 'sum')[]): Value[] {
  const parts = parsed(cursor);
  if (parts === undefined || parts[0] !== digest(shape) || parts.length !== types.length + 1)
    throw invalidCursor(cursor);
  return types.map((type, i) => {
    const value = decodeValue(parts[i + 1]);
    if (value === undefined || !fits(value, type)) throw invalidCursor(cursor);
    return value;
  });
}

function parsed(cursor: string): readonly Json[] | undefined {
  try {
    const bytes = Uint8Array.fromBase64(cursor, { alphabet: 'base64url' });
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // not base64, UTF-8 or JSON: the caller says that it is no cursor
  }
}

function fits(value: Value, type: ColumnType | 'sum'): boolean {
  if (value === null) return type !== 'sum';
  switch (type) {
    case 'sum':
      return typeof value === 'bigint';
    case 'integer':
      return Number.isSafeInteger(value);
    case 'real':
      return typeof value === 'number';
    default:
      return typeof value === 'string' && value.isWellFormed();
  }
}

export function invalidCursor(cursor: string): CardumeError {
  return new CardumeError('invalid-cursor', `'${cursor.slice(0, 40)}' is not a cursor of this list`);
}

/** FNV-1a, twice 32 bits: against mistakes, not against forgery. */
function digest(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x85ebca6b) ^ (b >>> 13);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}
