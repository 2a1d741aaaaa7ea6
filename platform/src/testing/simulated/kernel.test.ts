import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Kernel } from './kernel.ts';

test('events happen in the order of their times, whatever was cancelled between them', async () => {
  const kernel = new Kernel(1);
  const times = kernel.stream('times');
  const happened: number[] = [];
  const expected: number[] = [];
  for (let i = 0; i < 10_000; i += 1) {
    const atUs = times.below(1_000_000);
    const event = kernel.at(atUs, 'test', 'event', () => happened.push(atUs));
    if (i % 4 === 0) expected.push(atUs);
    else event.cancel();
  }
  await kernel.advance(1_000);
  assert.deepEqual(
    happened,
    expected.sort((a, b) => a - b),
  );
  assert.equal(kernel.trace().events, expected.length);
});

async function orderOf(seed: number): Promise<string> {
  const kernel = new Kernel(seed);
  let order = '';
  kernel.at(5, 'test', 'last', () => (order += '!'), 'last');
  for (const name of 'abcdefgh') kernel.at(5, 'test', name, () => (order += name));
  await kernel.advance(1);
  return order;
}

test('the seed orders events of the same time, and nothing else does', async () => {
  const orders = new Set<string>();
  for (let seed = 0; seed < 20; seed += 1) {
    const order = await orderOf(seed);
    assert.equal(await orderOf(seed), order);
    assert.equal([...order.slice(0, 8)].sort().join(''), 'abcdefgh');
    assert.equal(order[8], '!');
    orders.add(order);
  }
  assert.ok(orders.size > 15, `${orders.size} orders from 20 seeds`);
});

test('promises of any depth settle before the next event', async () => {
  const kernel = new Kernel(1);
  let depth = 0;
  let seen = -1;
  kernel.at(1, 'test', 'chain', () => {
    void (async () => {
      for (; depth < 1_000; depth += 1) await null;
    })();
  });
  kernel.at(2, 'test', 'look', () => {
    seen = depth;
  });
  await kernel.advance(1);
  assert.equal(seen, 1_000);
});

test('a run ends with the value or the error of its promise', async () => {
  const kernel = new Kernel(1);
  const value = new Promise((resolve) => kernel.at(3_000, 'test', 'value', () => resolve('here')));
  assert.equal(await kernel.run(value), 'here');
  assert.equal(kernel.nowUs, 3_000);
  const failure = new Promise((_, reject) =>
    kernel.at(1_000, 'test', 'failure', () => reject(new Error('no'))),
  );
  await assert.rejects(kernel.run(failure), /^Error: no$/);
  kernel.at(1_000, 'test', 'bug', () => {
    throw new Error('a bug');
  });
  await assert.rejects(kernel.run(10), /^Error: a bug$/);
});

test('a run that cannot end says so, with its seed and the last events', async () => {
  const kernel = new Kernel(77);
  kernel.at(1_000, 'test', 'the only one', () => undefined);
  await assert.rejects(
    kernel.run(() => false),
    /^Error: seed 77, 1 ms: nothing is left.+1 ms test the only one$/s,
  );
  const tick = (): void => void kernel.at(1_000, 'test', 'tick', tick);
  tick();
  await assert.rejects(
    kernel.run(() => false, 100),
    /seed 77, 101 ms: 100 virtual ms have passed/,
  );
  await assert.rejects(
    Promise.all([kernel.run(() => false, 10), kernel.run(() => false, 10)]),
    /one run at a time/,
  );
});

test('virtual time waits for work outside, and resumes in the order of the waiting', async () => {
  const kernel = new Kernel(1);
  const seen: string[] = [];
  const outside: (() => void)[] = [];
  const work = (): Promise<void> => new Promise((resolve) => outside.push(resolve));
  kernel.hold(work, () => {
    seen.push('first');
    void Promise.resolve()
      .then(() => null)
      .then(() => seen.push('what the first began'));
  });
  kernel.hold(work, () => {
    void (async () => {
      for (let depth = 0; depth < 100; depth += 1) await null;
      seen.push('second');
    })();
  });
  kernel.at(1, 'test', 'event', () => seen.push('event'));
  const run = kernel.run(1);
  outside[1]?.();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, []);
  outside[0]?.();
  await run;
  assert.deepEqual(seen, ['first', 'what the first began', 'second', 'event']);
});

test('the trace tells runs apart by one event, its time or its label', async () => {
  const traceOf = async (events: readonly (readonly [number, string])[]): Promise<string> => {
    const kernel = new Kernel(1);
    for (const [atUs, label] of events) kernel.at(atUs, 'test', label, () => undefined);
    await kernel.advance(1_000);
    return kernel.trace().hash;
  };
  const hashes = await Promise.all([
    traceOf([]),
    traceOf([[1, 'a']]),
    traceOf([[2, 'a']]),
    traceOf([[1, 'b']]),
    traceOf([
      [1, 'a'],
      [2, 'a'],
    ]),
  ]);
  assert.equal(new Set(hashes).size, hashes.length);
  assert.equal(await traceOf([[1, 'a']]), hashes[1]);
});

test('the last events are kept, oldest first', async () => {
  const kernel = new Kernel(1);
  for (let i = 1; i <= 100; i += 1) kernel.at(i * 1_000, 'test', `number ${i}`, () => undefined);
  await kernel.advance(3);
  assert.deepEqual(kernel.recent(), ['1 ms test number 1', '2 ms test number 2', '3 ms test number 3']);
  await kernel.advance(97);
  assert.equal(kernel.recent().length, 64);
  assert.equal(kernel.recent()[0], '37 ms test number 37');
  assert.equal(kernel.recent().at(-1), '100 ms test number 100');
});
