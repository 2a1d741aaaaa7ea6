import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { Recent } from './recent.ts';

test('the oldest entry makes room, a changed one does not', () => {
  const recent = new Recent<number>(2);
  recent.set('a', 1);
  recent.set('b', 2);
  recent.set('b', 3);
  deepStrictEqual([recent.get('a'), recent.get('b')], [1, 3]);
  recent.set('c', 4);
  deepStrictEqual([recent.get('a'), recent.get('b'), recent.get('c')], [undefined, 3, 4]);
});
