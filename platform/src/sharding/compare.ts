/** The one order of values, on every engine and in every merge: NULL first, numbers by value, text by its UTF-8 bytes. */
import type { Value } from './table.ts';

/** Negative, zero or positive. Both values are of one column, so of one type or null; a sum meets numbers. */
export function compareValues(a: Value, b: Value): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  if (typeof a === 'string') return compareText(a, b as string);
  // biome-ignore lint/suspicious/noDoubleEquals: 5n == 5, whatever the types
  if (a == b) return 0;
  return a < (b as number) ? -1 : 1;
}

/**
 * UTF-8 bytes order text by code point. JavaScript's `<` orders by UTF-16 unit, which differs where surrogates (code
 * points from U+10000) meet U+E000 to U+FFFF: those units change places here. Well-formed text only.
 */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? byCodePoint(x) - byCodePoint(y) : x - y;
  }
  return a.length - b.length;
}

function byCodePoint(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}
