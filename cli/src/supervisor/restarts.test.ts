import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterExit, NO_RESTARTS, type Restarts } from './restarts.ts';

function delaysOf(readyForMs: readonly (number | null)[]): (number | null)[] {
  let restarts: Restarts = NO_RESTARTS;
  return readyForMs.map((ms) => {
    const plan = afterExit(restarts, ms);
    restarts = plan.restarts;
    return plan.delayMs;
  });
}

test('delays double up to ten seconds', () => {
  const short = new Array<number>(8).fill(1_000);
  assert.deepEqual(delaysOf(short), [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
});

test('a lasting run clears the past', () => {
  assert.deepEqual(delaysOf([1_000, 1_000, 30_000, 1_000]), [200, 400, 200, 400]);
});

test('a process that is not ready five times in a row is given up', () => {
  assert.deepEqual(delaysOf([null, null, null, null, null]), [200, 400, 800, 1_600, null]);
  assert.deepEqual(delaysOf([null, null, null, null, 1_000, null]).at(-1), 6_400);
});
