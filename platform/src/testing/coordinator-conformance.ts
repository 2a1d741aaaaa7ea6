/** What every coordinator must do, whatever its driver. Each case gets an empty one; `coordinator-mutants.ts` proves it. */
import assert from 'node:assert/strict';
import { VALUE_CHARS_MAX } from '../discovery/coordinator.ts';
import { bounds } from './coordinator-conformance-bounds.ts';
import {
  type CoordinatorCases,
  type CoordinatorUnderTest,
  fails,
  put,
  valuesOf,
  watching,
} from './coordinator-conformance-case.ts';
import { leases } from './coordinator-conformance-lease.ts';
import { watches } from './coordinator-conformance-watch.ts';

export interface CoordinatorHarness extends CoordinatorUnderTest {
  /** Lets the host work until the promise settles: the simulated one needs someone to pass its time. */
  done<T>(work: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const values: CoordinatorCases = {
  'who reads behind a change sees it, whoever made it': async ({ open }) => {
    const [a, b] = [await open(), await open()];
    for (let i = 0; i < 20; i += 1) {
      const revision = await put(a, { key: 'turn', value: String(i) });
      const { values, revision: seen } = await b.read('turn');
      assert.deepEqual(values, [{ key: 'turn', value: String(i), revision }]);
      assert.ok(seen >= revision, 'a read is as of the change at least');
    }
  },

  'a read gives the values under a prefix, in order of key, and what they were given as': async ({
    open,
  }) => {
    const coordinator = await open();
    const text = `"quoted", \u0000, \n, ação, 🐟 ${'x'.repeat(VALUE_CHARS_MAX - 40)}`;
    const revision = await put(
      coordinator,
      { key: 'b/2', value: '' },
      { key: 'a', value: 'not this' },
      { key: 'b/10', value: text },
      { key: 'b-', value: 'not this' },
      { key: 'b', value: 'not this' },
      { key: 'b/z', value: 'last' },
      { key: 'b0', value: 'not this' },
    );
    assert.deepEqual((await coordinator.read('b/')).values, [
      { key: 'b/10', value: text, revision },
      { key: 'b/2', value: '', revision },
      { key: 'b/z', value: 'last', revision },
    ]);
    assert.deepEqual(Object.keys(await valuesOf(coordinator)), ['a', 'b', 'b-', 'b/10', 'b/2', 'b/z', 'b0']);
    assert.deepEqual((await coordinator.read('c')).values, []);
  },

  'a revision grows with every change, and a value keeps that of its own': async ({ open }) => {
    const coordinator = await open();
    const first = await put(coordinator, { key: 'a', value: '1' });
    const second = await put(coordinator, { key: 'b', value: '1' });
    const third = await put(coordinator, { key: 'a', value: null });
    const { revision, values } = await coordinator.read('');
    assert.ok(first > 0 && second > first && third > second && revision >= third);
    assert.deepEqual(values, [{ key: 'b', value: '1', revision: second }]);
  },

  'a condition on what stands holds at its revision alone': async ({ open }) => {
    const coordinator = await open();
    const first = await put(coordinator, { key: 'home', value: 'east' });
    const refused = await coordinator.change(
      [{ key: 'home', revision: first - 1 }],
      [{ key: 'home', value: 'west' }],
    );
    assert.equal(refused.done, false);
    assert.ok(refused.revision >= first);
    const done = await coordinator.change(
      [{ key: 'home', revision: first }],
      [{ key: 'home', value: 'west' }],
    );
    assert.ok(done.done && done.revision > first);
    const late = await coordinator.change(
      [{ key: 'home', revision: first }],
      [{ key: 'home', value: 'north' }],
    );
    assert.equal(late.done, false);
    assert.deepEqual(await valuesOf(coordinator), { home: 'west' });
  },

  'a condition on what is absent holds as long as it is': async ({ open }) => {
    const coordinator = await open();
    const absent = [{ key: 'home', revision: 0 }];
    assert.ok((await coordinator.change(absent, [{ key: 'home', value: 'east' }])).done);
    assert.equal((await coordinator.change(absent, [{ key: 'home', value: 'west' }])).done, false);
    await put(coordinator, { key: 'home', value: null });
    assert.ok((await coordinator.change(absent, [{ key: 'home', value: 'west' }])).done);
    assert.deepEqual(await valuesOf(coordinator), { home: 'west' });
  },

  'what was removed and made again is another': async ({ open }) => {
    const coordinator = await open();
    const first = await put(coordinator, { key: 'home', value: 'east' });
    await put(coordinator, { key: 'home', value: null });
    const again = await put(coordinator, { key: 'home', value: 'east' });
    assert.ok(again > first);
    const stale = await coordinator.change(
      [{ key: 'home', revision: first }],
      [{ key: 'home', value: 'west' }],
    );
    assert.equal(stale.done, false);
    const [value] = (await coordinator.read('home')).values;
    assert.deepEqual(value, { key: 'home', value: 'east', revision: again });
  },

  'changes stand together or not at all': async ({ open }) => {
    const coordinator = await open();
    const a = await put(coordinator, { key: 'a', value: '1' });
    const changes = [
      { key: 'b', value: '2' },
      { key: 'a', value: null },
      { key: 'c', value: '3' },
    ] as const;
    const refused = await coordinator.change(
      [
        { key: 'a', revision: a },
        { key: 'c', revision: a },
      ],
      changes,
    );
    assert.equal(refused.done, false);
    assert.deepEqual(await valuesOf(coordinator), { a: '1' });
    const { done, revision } = await coordinator.change(
      [
        { key: 'a', revision: a },
        { key: 'c', revision: 0 },
      ],
      changes,
    );
    assert.ok(done);
    assert.deepEqual((await coordinator.read('')).values, [
      { key: 'b', value: '2', revision },
      { key: 'c', value: '3', revision },
    ]);
  },

  'of many who want the same one gets it': async ({ open }) => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => open()));
    const claims = clients.flatMap((client, i) =>
      Array.from({ length: 4 }, (_, j) =>
        client.change([{ key: 'leader', revision: 0 }], [{ key: 'leader', value: `${i}/${j}` }]),
      ),
    );
    const won = (await Promise.all(claims)).map(({ done }) => done);
    assert.equal(won.filter(Boolean).length, 1);
    const winner = won.indexOf(true);
    const leader = `${Math.floor(winner / 4)}/${winner % 4}`;
    assert.deepEqual(await valuesOf(clients[0] as (typeof clients)[0]), { leader });
  },

  'what changes nothing is done, and is no news': async (under) => {
    const [coordinator, other] = [await under.open(), await under.open()];
    const revision = await put(coordinator, { key: 'a', value: '1' });
    const news = watching(under, other, '', revision);
    assert.ok((await coordinator.change([], [{ key: 'b', value: null }])).done);
    assert.ok((await coordinator.change([{ key: 'a', revision }], [])).done);
    assert.equal((await coordinator.change([{ key: 'a', revision: 0 }], [])).done, false);
    assert.deepEqual((await coordinator.read('')).values, [{ key: 'a', value: '1', revision }]);
    const next = await put(coordinator, { key: 'b', value: null }, { key: 'c', value: '1' });
    assert.deepEqual(await news.take(1), [[{ key: 'c', value: '1', revision: next }]]);
    await news.end();
  },

  'who has closed gets no answer any more': async ({ open }) => {
    const [a, b] = [await open(), await open()];
    await put(a, { key: 'a', value: '1' });
    const ended = (async () => {
      for await (const _ of a.watch('', 0, new AbortController().signal));
    })();
    ended.catch(() => undefined); // told where it is awaited
    await a.close();
    await fails(a.read(''), 'draining');
    await fails(ended, 'draining');
    assert.deepEqual(await valuesOf(b), { a: '1' });
  },
};

export const coordinatorCases: CoordinatorCases = { ...values, ...leases, ...watches, ...bounds };
