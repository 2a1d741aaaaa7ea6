import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mergeLists } from './merge-lists.ts';

const numbers = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 8 });

test('the first so many of all lists come in order, and no list is read further than its head', () => {
  fc.assert(
    fc.property(fc.array(numbers, { maxLength: 6 }), fc.integer({ min: 0, max: 30 }), (given, count) => {
      const lists = given.map((list) => list.toSorted((a, b) => a - b));
      const read = lists.map(() => 0);
      const counted = lists.map((list, i) =>
        list.values().map((item) => {
          read[i] = (read[i] as number) + 1;
          return item;
        }),
      );
      const merged = [...mergeLists(counted, (a, b) => a - b, count)];
      assert.deepEqual(
        merged.map(({ item }) => item),
        lists
          .flat()
          .sort((a, b) => a - b)
          .slice(0, count),
      );
      for (const [i, list] of lists.entries()) {
        const own = merged.filter(({ from }) => from === i).map(({ item }) => item);
        assert.deepEqual(own, list.slice(0, own.length));
        assert.ok((read[i] as number) <= own.length + 1);
      }
    }),
  );
});
