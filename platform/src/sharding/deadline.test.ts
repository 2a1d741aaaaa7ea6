import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { type Within, withDeadline } from './deadline.ts';

const { clock } = realHost();
const never = new Promise<never>(() => undefined);
const isLate = (reason: RegExp) => (error: unknown) =>
  isCardumeError(error, 'deadline-exceeded') && reason.test(error.message);

test('work that ends in time is left alone', async () => {
  let seen: Within | null = null;
  const answer = await withDeadline(clock, { deadlineMs: 5_000 }, async (within) => {
    seen = within;
    assert.ok(within.leftMs() > 4_000 && within.leftMs() <= 5_000);
    return 'done';
  });
  assert.equal(answer, 'done');
  assert.equal((seen as Within | null)?.signal.aborted, false);
});

test('behind the deadline every part is told to end, with the reason', async () => {
  let seen: Within | null = null;
  const late = withDeadline(clock, { deadlineMs: 20 }, (within) => {
    seen = within;
    return never;
  });
  await assert.rejects(late, isLate(/longer than 20 ms/));
  const { signal, leftMs } = seen as unknown as Within;
  assert.ok(isLate(/longer than 20 ms/)(signal.reason));
  assert.equal(leftMs(), 1);
});

test('a part that fails ends the others', async () => {
  let other: AbortSignal | null = null;
  const failed = withDeadline(clock, { deadlineMs: 5_000 }, ({ signal }) => {
    other = signal;
    return Promise.all([never, Promise.reject(new CardumeError('fenced', 'it moved'))]);
  });
  await assert.rejects(failed, (error) => isCardumeError(error, 'fenced'));
  assert.ok(isLate(/nobody waits/)((other as unknown as AbortSignal).reason));
});

test('an asker that goes away ends all, also when it has gone before', async () => {
  const asker = new AbortController();
  const left = withDeadline(clock, { deadlineMs: 5_000, signal: asker.signal }, () => never);
  asker.abort();
  await assert.rejects(left, isLate(/nobody waits/));
  const begun = withDeadline(clock, { deadlineMs: 5_000, signal: asker.signal }, () =>
    assert.fail('nobody asked'),
  );
  await assert.rejects(begun, isLate(/nobody waits/));
});
