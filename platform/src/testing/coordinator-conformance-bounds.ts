/** What is refused before anything was changed. */
import assert from 'node:assert/strict';
import {
  CHANGE_CHARS_MAX,
  CHANGES_MAX,
  CONDITIONS_MAX,
  KEY_CHARS_MAX,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  VALUE_CHARS_MAX,
} from '../discovery/coordinator.ts';
import { type CoordinatorCases, fails, put, valuesOf } from './coordinator-conformance-case.ts';

/** All of it of characters that take three bytes each. */
const wide = (chars: number): string => '鱼'.repeat(chars);

export const bounds: CoordinatorCases = {
  'keys have their characters and their length': async ({ open }) => {
    const coordinator = await open();
    for (const key of ['', 'A', 'a b', 'ação', 'a\n', 'a\u0000', 'k'.repeat(KEY_CHARS_MAX + 1)]) {
      await fails(
        coordinator.change(
          [],
          [
            { key: 'good', value: '' },
            { key, value: '' },
          ],
        ),
        'invalid-input',
      );
      await fails(coordinator.change([{ key, revision: 0 }], [{ key: 'good', value: '' }]), 'invalid-input');
      if (key === '') continue;
      await fails(coordinator.read(key), 'invalid-input');
      const watch = coordinator.watch(key, 0, new AbortController().signal)[Symbol.asyncIterator]();
      await fails(watch.next() as Promise<unknown>, 'invalid-input');
    }
    assert.deepEqual(await valuesOf(coordinator), {});
    const longest = `${'k'.repeat(KEY_CHARS_MAX - 6)}09-_./`;
    await put(coordinator, { key: longest, value: '' });
    assert.deepEqual(await valuesOf(coordinator, longest), { [longest]: '' });
  },

  'values have their length, and are text': async ({ open }) => {
    const coordinator = await open();
    for (const value of ['v'.repeat(VALUE_CHARS_MAX + 1), 'half of a pair: \ud83d'])
      await fails(
        coordinator.change(
          [],
          [
            { key: 'good', value: '' },
            { key: 'a', value },
          ],
        ),
        'invalid-input',
      );
    assert.deepEqual(await valuesOf(coordinator), {});
    const largest = wide(VALUE_CHARS_MAX);
    await put(coordinator, { key: 'a', value: largest });
    assert.deepEqual(await valuesOf(coordinator), { a: largest });
  },

  'a change has a bound of keys and of characters': async ({ open }) => {
    const coordinator = await open();
    const some = (count: number, value = ''): { key: string; value: string }[] =>
      Array.from({ length: count }, (_, i) => ({ key: `k${i}`, value }));
    const absent = (count: number): { key: string; revision: number }[] =>
      some(count).map(({ key }) => ({ key, revision: 0 }));
    await fails(coordinator.change([], some(CHANGES_MAX + 1)), 'invalid-input');
    await fails(coordinator.change(absent(CONDITIONS_MAX + 1), some(1)), 'invalid-input');
    await fails(coordinator.change([], [...some(1), ...some(1)]), 'invalid-input');
    await fails(
      coordinator.change(
        [],
        [...some(CHANGES_MAX - 1, wide(CHANGE_CHARS_MAX / 100)), { key: 'l', value: wide(4_001) }],
      ),
      'invalid-input',
    );
    assert.deepEqual(await valuesOf(coordinator), {});
    const largest = some(CHANGES_MAX, wide(CHANGE_CHARS_MAX / CHANGES_MAX));
    const done = await coordinator.change(absent(CONDITIONS_MAX), largest);
    assert.ok(done.done);
    assert.equal((await coordinator.read('k')).values.length, CHANGES_MAX);
  },

  'revisions and times are whole numbers within their bounds': async ({ open }) => {
    const coordinator = await open();
    const revision = await put(coordinator, { key: 'a', value: '1' });
    for (const wrong of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await fails(coordinator.change([{ key: 'a', revision: wrong }], []), 'invalid-input');
      const watch = coordinator.watch('', wrong, new AbortController().signal)[Symbol.asyncIterator]();
      await fails(watch.next() as Promise<unknown>, 'invalid-input');
      await fails(coordinator.grant(wrong), 'invalid-input');
    }
    for (const wrong of [LEASE_MS_MIN - 1, LEASE_MS_MAX + 1])
      await fails(coordinator.grant(wrong), 'invalid-input');
    const [least, most] = [await coordinator.grant(LEASE_MS_MIN), await coordinator.grant(LEASE_MS_MAX)];
    assert.ok(least.ttlMs >= LEASE_MS_MIN && most.ttlMs >= LEASE_MS_MAX);
    await Promise.all([least.end(), most.end()]);
    assert.deepEqual((await coordinator.read('')).values, [{ key: 'a', value: '1', revision }]);
  },
};
