/** The checker itself: histories labelled good and bad by hand, and small ones against trying every order. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { CounterInput, RegisterInput } from '../history.ts';
import { linearizable, type Model, type Operation } from './linearizable.ts';
import { counter, faultsOfBank, faultsOfSet, register } from './models.ts';

const never = Number.POSITIVE_INFINITY;
const write = (value: string, fromMs: number, untilMs: number): Operation<RegisterInput> => {
  return { input: { kind: 'write', value }, fromMs, untilMs };
};
const read = (value: string | null, fromMs: number, untilMs: number): Operation<RegisterInput> => {
  return { input: { kind: 'read', value }, fromMs, untilMs };
};
const add = (by: number, fromMs: number, untilMs: number): Operation<CounterInput> => {
  return { input: { kind: 'add', by }, fromMs, untilMs };
};
const count = (value: number, fromMs: number, untilMs: number): Operation<CounterInput> => {
  return { input: { kind: 'read', value }, fromMs, untilMs };
};

describe('registers', () => {
  const good: Record<string, Operation<RegisterInput>[]> = {
    'nothing happens': [],
    'a read before the first write': [read(null, 0, 1), write('a', 2, 3), read('a', 4, 5)],
    'a read beside a write sees the old or the new': [write('a', 0, 10), read(null, 1, 2), read('a', 3, 4)],
    'two writes side by side, in either order': [
      write('a', 0, 10),
      write('b', 0, 10),
      read('b', 11, 12),
      read('b', 13, 14),
    ],
    'a write without an answer that happened': [
      write('a', 0, 1),
      write('b', 2, never),
      read('a', 3, 4),
      read('b', 5, 6),
    ],
    'a write without an answer that never happened': [
      write('a', 0, 1),
      write('b', 2, never),
      read('a', 3, 4),
      read('a', 50, 60),
    ],
    'Lowe’s example: reads overtake a slow write': [
      write('a', 0, 1),
      write('b', 2, 20),
      read('b', 3, 6),
      read('a', 2, 5),
      read('b', 7, 8),
    ],
  };
  const bad: Record<string, Operation<RegisterInput>[]> = {
    'a value that nobody wrote': [write('a', 0, 1), read('b', 2, 3)],
    'a write that was acknowledged is lost': [write('a', 0, 1), read(null, 2, 3)],
    'an old value after the new was seen': [
      write('a', 0, 1),
      write('b', 2, 10),
      read('b', 3, 4),
      read('a', 5, 6),
    ],
    'two reads see two writes in two orders': [
      write('a', 0, 10),
      write('b', 0, 10),
      read('a', 11, 12),
      read('b', 13, 14),
    ],
    'a write without an answer comes and goes': [
      write('a', 0, 1),
      write('b', 2, never),
      read('b', 3, 4),
      read('a', 5, 6),
    ],
  };
  for (const [name, history] of Object.entries(good))
    test(`good: ${name}`, () => strictEqual(linearizable(register, history), 'linearizable'));
  for (const [name, history] of Object.entries(bad))
    test(`bad: ${name}`, () => strictEqual(linearizable(register, history), 'not linearizable'));
});

describe('counters', () => {
  test('good: adds side by side', () => {
    const history = [add(1, 0, 10), add(2, 0, 10), count(2, 1, 9), count(3, 11, 12)];
    strictEqual(linearizable(counter, history), 'linearizable');
  });
  test('good: an add without an answer counts, or does not', () => {
    strictEqual(linearizable(counter, [add(5, 0, never), count(0, 1, 2), count(5, 3, 4)]), 'linearizable');
    strictEqual(linearizable(counter, [add(5, 0, never), count(0, 1, 2)]), 'linearizable');
  });
  test('bad: an add counts twice', () => {
    strictEqual(linearizable(counter, [add(5, 0, 1), count(10, 2, 3)]), 'not linearizable');
  });
  test('bad: an add is forgotten', () => {
    strictEqual(linearizable(counter, [add(5, 0, 1), count(5, 2, 3), count(0, 4, 5)]), 'not linearizable');
  });
});

describe('against every order', () => {
  const operation = fc.record({
    input: fc.oneof(
      fc.record({ kind: fc.constant('write' as const), value: fc.constantFrom('a', 'b') }),
      fc.record({ kind: fc.constant('read' as const), value: fc.constantFrom(null, 'a', 'b') }),
    ),
    fromMs: fc.nat(12),
    lastsMs: fc.oneof(fc.nat(8), fc.constant(never)),
  });
  test('finds what trying every order finds', () => {
    const verdicts = { good: 0, bad: 0 };
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6 }), (drawn) => {
        const history = drawn.map(({ input, fromMs, lastsMs }) => ({
          input,
          fromMs,
          untilMs: input.kind === 'read' && lastsMs === never ? fromMs : fromMs + lastsMs,
        }));
        const wanted = anyOrder(register, history);
        verdicts[wanted ? 'good' : 'bad'] += 1;
        strictEqual(linearizable(register, history), wanted ? 'linearizable' : 'not linearizable');
      }),
      { numRuns: 2_000 },
    );
    strictEqual(verdicts.good > 100 && verdicts.bad > 100, true, JSON.stringify(verdicts));
  });
});

/** Tries all orders that real time allows. */
function anyOrder<State, Input>(
  model: Model<State, Input>,
  left: readonly Operation<Input>[],
  state = model.initial,
): boolean {
  if (left.every(({ untilMs }) => untilMs === never)) return true;
  return left.some((one, i) => {
    if (left.some((other) => other.untilMs < one.fromMs)) return false;
    const after = model.step(state, one.input);
    return after !== undefined && anyOrder(model, left.toSpliced(i, 1), after);
  });
}

describe('sets', () => {
  const added = [
    { element: 'a', fromMs: 0, untilMs: 1 },
    { element: 'b', fromMs: 2, untilMs: never },
  ];
  test('good: what was acknowledged is listed, the rest may be', () => {
    const lists = [
      { elements: ['a'], fromMs: 3, untilMs: 4 },
      { elements: ['a', 'b'], fromMs: 5, untilMs: 6 },
    ];
    deepStrictEqual(faultsOfSet(added, lists), []);
  });
  const bad: Record<string, { elements: string[]; fromMs: number; untilMs: number }[]> = {
    'an acknowledged element is missing': [{ elements: ['b'], fromMs: 3, untilMs: 4 }],
    'an element twice': [{ elements: ['a', 'a'], fromMs: 3, untilMs: 4 }],
    'an element that nobody added': [{ elements: ['a', 'c'], fromMs: 3, untilMs: 4 }],
    'an element before it was added': [{ elements: ['b'], fromMs: 0, untilMs: 1 }],
    'an element comes and goes': [
      { elements: ['a', 'b'], fromMs: 3, untilMs: 4 },
      { elements: ['a'], fromMs: 5, untilMs: 6 },
    ],
  };
  for (const [name, lists] of Object.entries(bad))
    test(`bad: ${name}`, () => strictEqual(faultsOfSet(added, lists).length, 1));
});

describe('banks', () => {
  test('good: the balances make the total', () => {
    deepStrictEqual(faultsOfBank([{ balances: [3, 0, 7], total: 10, untilMs: 1 }]), []);
  });
  test('bad: money appears, is lost, or is owed', () => {
    const looks = [
      { balances: [3, 8], total: 10, untilMs: 1 },
      { balances: [3, 6], total: 10, untilMs: 2 },
      { balances: [11, -1], total: 10, untilMs: 3 },
    ];
    strictEqual(faultsOfBank(looks).length, 3);
  });
});
