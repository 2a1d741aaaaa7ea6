/** News: complete, in order, once. */
import assert from 'node:assert/strict';
import { type CoordinatorCases, fails, put, valuesOf, watching } from './coordinator-conformance-case.ts';

const CHANGES = 60;

export const watches: CoordinatorCases = {
  'a watch has every change behind its revision, once and in order, while others change': async (under) => {
    const [a, b, c] = [await under.open(), await under.open(), await under.open()];
    const begin = await put(a, { key: 'n/0', value: 'before' });
    const early = watching(under, c, 'n/', begin);
    const revisions: number[] = [];
    const write = async (from: number): Promise<void> => {
      for (let i = from; i <= CHANGES; i += 2)
        revisions.push(await put(i % 2 === 0 ? a : b, { key: `n/${i % 7}`, value: String(i) }));
    };
    const first = write(1);
    // In the middle of it another joins, from the same revision.
    const head = (await early.take(10)).flat();
    const late = watching(under, c, 'n/', begin);
    await Promise.all([first, write(2)]);
    const tail = (await early.take(CHANGES - head.length)).flat();
    const told = (await late.take(CHANGES)).flat();
    revisions.sort((x, y) => x - y);
    assert.deepEqual(
      told.map(({ revision }) => revision),
      revisions,
    );
    assert.deepEqual([...head, ...tail], told, 'all who watch are told the same');
    assert.deepEqual([await early.end(), await late.end()], [[], []], 'nothing twice');
    const middle = watching(under, c, 'n/', revisions[20] as number);
    assert.deepEqual((await middle.take(CHANGES - 21)).flat(), told.slice(21));
    await middle.end();
    const last = new Map([['n/0', 'before'], ...told.map(({ key, value }) => [key, value] as const)]);
    assert.deepEqual(await valuesOf(a, 'n/'), Object.fromEntries([...last].toSorted()));
  },

  'what one change brings arrives together': async (under) => {
    const [a, b] = [await under.open(), await under.open()];
    const begin = await put(a, { key: 'k/0', value: 'before' }, { key: 'x', value: '' });
    const news = watching(under, b, 'k/', begin);
    const many = Array.from({ length: 99 }, (_, i) => ({
      key: `k/${String(i + 1).padStart(2, '0')}`,
      value: `${i}`,
    }));
    const revision = await put(a, { key: 'k/0', value: null }, ...many);
    const [list, ...more] = await news.take(100);
    assert.equal(more.length, 0);
    assert.deepEqual(
      list?.toSorted((x, y) => (x.key < y.key ? -1 : 1)),
      [{ key: 'k/0', value: null }, ...many].map((change) => ({ ...change, revision })),
    );
    await put(a, { key: 'k/1', value: '1' });
    const next = await put(a, { key: 'k/1', value: '2' });
    await news.take(2);
    await news.end();
    // From the past, too: a list is of one revision.
    const past = watching(under, b, 'k/', begin);
    const lists = await past.take(102);
    assert.deepEqual(
      lists.map((one) => [one.length, new Set(one.map((item) => item.revision)).size]),
      [
        [100, 1],
        [1, 1],
        [1, 1],
      ],
    );
    assert.equal(lists.at(-1)?.[0]?.revision, next);
    await past.end();
  },

  'a watch has what lies under its prefix, and nothing else': async (under) => {
    const [a, b] = [await under.open(), await under.open()];
    const begin = await put(a, { key: 'r/east', value: '1' }, { key: 's/east', value: '1' });
    const [narrow, wide] = [watching(under, b, 'r/', begin), watching(under, b, '', begin)];
    const first = await put(
      a,
      { key: 's/east', value: '2' },
      { key: 'r', value: '2' },
      { key: 'r0', value: '2' },
    );
    const second = await put(a, { key: 'r/east', value: null }, { key: 's/east', value: '3' });
    assert.deepEqual((await narrow.take(1)).flat(), [{ key: 'r/east', value: null, revision: second }]);
    assert.deepEqual(
      (await wide.take(5)).map((list) => [list[0]?.revision, list.length]),
      [
        [first, 3],
        [second, 2],
      ],
    );
    assert.deepEqual([await narrow.end(), await wide.end()], [[], []]);
  },

  'a watch that wants what is forgotten is told so, and begins again from a read': async (under) => {
    const [a, b] = [await under.open(), await under.open()];
    const begin = await put(a, { key: 'a', value: '1' });
    for (let i = 2; i <= 5; i += 1) await put(a, { key: 'a', value: String(i) });
    await under.forget();
    const behind = (async () => {
      for await (const _ of b.watch('', begin, new AbortController().signal)) assert.fail('there is a gap');
    })();
    await fails(behind, 'partition-unavailable');
    const { revision, values } = await b.read('a');
    assert.deepEqual(
      values.map(({ value }) => value),
      ['5'],
    );
    const news = watching(under, b, 'a', revision);
    const next = await put(a, { key: 'a', value: '6' });
    assert.deepEqual((await news.take(1)).flat(), [{ key: 'a', value: '6', revision: next }]);
    await news.end();
  },

  'a watch ends with its signal, also before it has begun': async (under) => {
    const coordinator = await under.open();
    const revision = await put(coordinator, { key: 'a', value: '1' });
    for await (const _ of coordinator.watch('', revision, AbortSignal.abort())) assert.fail('it has ended');
    const idle = watching(under, coordinator, '', revision);
    await put(coordinator, { key: 'a', value: '2' });
    await idle.take(1);
    assert.deepEqual(await idle.end(), []);
    await put(coordinator, { key: 'a', value: '3' });
  },
};
