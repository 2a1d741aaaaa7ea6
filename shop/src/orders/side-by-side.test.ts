import { deepStrictEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { sideBySide } from './side-by-side.ts';

test('everything is done, at most 32 things at a time', async () => {
  let underWay = 0;
  let most = 0;
  const done: number[] = [];
  await sideBySide(
    Array.from({ length: 100 }, (_, i) => i),
    async (i) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise(setImmediate);
      underWay -= 1;
      done.push(i);
    },
  );
  deepStrictEqual([done.length, most], [100, 32]);
  await sideBySide([], () => Promise.reject(new Error('never called')));
});

test('the first error is told when what was under way has ended, and nothing new begins', async () => {
  let begun = 0;
  let ended = 0;
  const work = sideBySide(
    Array.from({ length: 100 }, (_, i) => i),
    async (i) => {
      begun += 1;
      await new Promise(setImmediate);
      ended += 1;
      if (i === 3) throw new Error('the fourth');
    },
  );
  await rejects(work, { message: 'the fourth' });
  deepStrictEqual([begun < 100, ended], [true, begun]);
});
