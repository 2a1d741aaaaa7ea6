/** How much memory rows take, the same on every engine: a query has a cap on it. */
import { CardumeError } from '../base/errors.ts';
import type { Value } from './table.ts';

/** Of all rows that a query holds while it merges, and of those that one shard may read for it. */
export const QUERY_BYTES_MAX = 32 * 1024 * 1024;

/** A number, a reference, the head of a text. */
const CELL_BYTES = 8;
/** JavaScript's text, at most. */
const CHAR_BYTES = 2;

export function bytesOf(row: readonly Value[]): number {
  let bytes = row.length * CELL_BYTES;
  for (const value of row) if (typeof value === 'string') bytes += value.length * CHAR_BYTES;
  return bytes;
}

export interface Meter {
  /** @throws CardumeError `query-refused` when there are more than allowed, together with all before */
  add(rows: Iterable<readonly Value[]>): void;
  readonly bytes: number;
}

/** @param refusal what the caller may do about it */
export function openMeter(bytesMax = QUERY_BYTES_MAX, refusal = REFUSAL): Meter {
  let bytes = 0;
  return {
    add(rows) {
      for (const row of rows) {
        bytes += bytesOf(row);
        if (bytes > bytesMax)
          throw new CardumeError(
            'query-refused',
            `${refusal} more than ${bytesMax.toLocaleString('en')} bytes`,
          );
      }
    },
    get bytes() {
      return bytes;
    },
  };
}

const REFUSAL = 'limit: ask for fewer rows or columns, since these take';
