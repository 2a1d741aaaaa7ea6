/**
 * Values as JSON, between instances and in cursors: null, text and finite numbers stand as they are, a bigint or a
 * number that JSON does not know is its text in an array of one (`["9007199254740993"]`, `["Infinity"]`).
 */
import type { Json } from '../base/json.ts';
import type { Value } from './table.ts';

export function encodeValue(value: Value): Json {
  if (typeof value === 'bigint') return [value.toString()];
  if (typeof value === 'number' && !Number.isFinite(value)) return [String(value)];
  return value;
}

const WHOLE = /^-?\d{1,400}$/;

/** @returns undefined for what `encodeValue` never gives */
export function decodeValue(json: Json | undefined): Value | undefined {
  if (json === null || typeof json === 'string' || typeof json === 'number') return json;
  if (!Array.isArray(json) || json.length !== 1 || typeof json[0] !== 'string') return undefined;
  const text = json[0];
  if (WHOLE.test(text)) return BigInt(text);
  return text === 'Infinity' || text === '-Infinity' ? Number(text) : undefined;
}

export function encodeRow(row: readonly Value[]): readonly Json[] {
  return row.map(encodeValue);
}

export function encodeRows(rows: readonly (readonly Value[])[]): Json {
  return rows.map(encodeRow);
}

/** Anything that `encodeRows` never gives is a peer's bug and throws. */
export function decodeRows(json: Json): Value[][] {
  return (json as readonly (readonly Json[])[]).map(decodeRow);
}

export function decodeRow(cells: readonly Json[]): Value[] {
  return cells.map((cell) => {
    const value = decodeValue(cell);
    if (value === undefined) throw new Error(`not a value of a row: ${JSON.stringify(cell)}`);
    return value;
  });
}
