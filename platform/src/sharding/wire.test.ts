import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Json } from '../base/json.ts';
import { decodeRows, encodeRows } from './wire.ts';

it('brings every value over the wire as it was', () => {
  const rows = [
    [null, '', 'text', '["1"]', 0, -1.5, Number.MAX_SAFE_INTEGER, 5e-324],
    [0n, -(2n ** 70n), 9_007_199_254_740_993n, Infinity, -Infinity],
    [],
  ];
  assert.deepEqual(decodeRows(JSON.parse(JSON.stringify(encodeRows(rows)))), rows);
});

it('refuses what is no value', () => {
  const strange: Json[] = [true, {}, [], ['x'], ['1', '2'], [1], ['1.5'], ['']];
  for (const cell of strange) assert.throws(() => decodeRows([[cell]]), /not a value/);
});
