/** Objects that histories are held against, and the checks that need no search. */
import type { CounterInput, RegisterInput } from '../history.ts';
import type { Model } from './linearizable.ts';

/** Holds the value that was written last; null before the first. */
export const register: Model<string | null, RegisterInput> = {
  initial: null,
  step: (state, input) => (input.kind === 'write' ? input.value : input.value === state ? state : undefined),
  name: (state) => String(state),
};

export const counter: Model<number, CounterInput> = {
  initial: 0,
  step: (state, input) =>
    input.kind === 'add' ? state + input.by : input.value === state ? state : undefined,
  name: String,
};

export interface Added {
  readonly element: string;
  readonly fromMs: number;
  /** Infinity: nobody knows whether it was added. */
  readonly untilMs: number;
}

export interface Listed {
  readonly elements: readonly string[];
  readonly fromMs: number;
  readonly untilMs: number;
  /** How old it may be; 0 when left out. */
  readonly staleMs?: number;
}

/**
 * A set that only grows: a list holds whatever was acknowledged before it was asked for, or so long before as it may be
 * old, nothing that was not even asked for when it was answered, and whatever an earlier list held.
 * @returns what is wrong
 */
export function faultsOfSet(added: readonly Added[], lists: readonly Listed[]): readonly string[] {
  const faults: string[] = [];
  const begun = new Map(added.map(({ element, fromMs }) => [element, fromMs]));
  const byEnd = [...lists].sort((a, b) => a.untilMs - b.untilMs);
  for (const { elements, fromMs, untilMs, staleMs = 0 } of lists) {
    const sinceMs = fromMs - staleMs;
    const held = new Set(elements);
    if (held.size < elements.length) faults.push(`a list at ${untilMs} ms names an element twice`);
    for (const one of added)
      if (one.untilMs < sinceMs && !held.has(one.element))
        faults.push(`a list at ${untilMs} ms lacks ${one.element}, acknowledged at ${one.untilMs} ms`);
    for (const element of held)
      if ((begun.get(element) ?? Number.POSITIVE_INFINITY) > untilMs)
        faults.push(`a list at ${untilMs} ms holds ${element}, which nobody had added`);
    for (const earlier of byEnd) {
      if (earlier.untilMs >= sinceMs) break;
      const lost = earlier.elements.find((element) => !held.has(element));
      if (lost !== undefined)
        faults.push(`a list at ${untilMs} ms lacks ${lost}, which one at ${earlier.untilMs} ms held`);
    }
  }
  return faults;
}

/**
 * A bank: whatever moves between its accounts, one look at all of them finds the total.
 * @param looks balances and the total that they should have
 */
export function faultsOfBank(
  looks: readonly {
    readonly balances: readonly number[];
    readonly total: number;
    readonly untilMs: number;
  }[],
): readonly string[] {
  return looks
    .filter(
      ({ balances, total }) =>
        balances.some((one) => one < 0) || balances.reduce((sum, one) => sum + one, 0) !== total,
    )
    .map(({ balances, total, untilMs }) => `at ${untilMs} ms ${balances.join(' + ')} are not ${total}`);
}
