import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matches } from './filter.ts';
import type { Filter } from './query.ts';
import { byWholeNumbers } from './whole-numbers.ts';

test('a filter without fractions passes what the one with them did', () => {
  const column = 'n';
  const filters: Filter[] = [-1.5, -1, -0.5, 0, 0.5, 1, 1e300].flatMap((value) => [
    ...(['=', '<>', '<', '<=', '>', '>='] as const).map((op) => ({ column, op, value })),
    { column, op: 'in', value: [value, 2] },
  ]);
  for (const filter of [...filters, { column, op: 'is-null' } as const]) {
    const whole = byWholeNumbers(filter);
    for (const value of [null, -2, -1, 0, 1, 2])
      assert.equal(matches(value, whole), matches(value, filter), JSON.stringify([value, filter]));
    assert.ok([('value' in whole ? whole.value : []) as number].flat().every(Number.isInteger));
  }
});
