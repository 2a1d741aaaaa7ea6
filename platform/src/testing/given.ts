/** `given(aggregate, events).when(command).then(…)`: a decider's test reads like its specification. */
import { deepStrictEqual, fail } from 'node:assert/strict';
import type { ErrorCode } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Aggregate, DecideContext, Decision, Typed } from '../cqrs/aggregate.ts';

type Expected<Event extends Typed> =
  | { readonly events: readonly Event[]; readonly result?: Json }
  | { readonly rejected: ErrorCode };

export interface When<Command extends Typed, Event extends Typed> {
  when(command: Command, options?: Partial<Omit<DecideContext, 'version'>>): Then<Event>;
}

export interface Then<Event extends Typed> {
  readonly decision: Decision<Event>;
  then(expected: Expected<Event>): void;
}

/** @param events the history of the aggregate, first to last */
export function given<State, Command extends Typed, Event extends Typed>(
  aggregate: Aggregate<State, Command, Event>,
  events: readonly Event[],
): When<Command, Event> {
  const state = fold(aggregate, events);
  return {
    when(command, options = {}) {
      const decision = aggregate.decide(command, state, {
        id: options.id ?? `${aggregate.idType}_000_00000000000000000000000000`,
        version: events.length,
        atMs: options.atMs ?? 0,
        unclean: options.unclean ?? 0,
      });
      // biome-ignore lint/suspicious/noThenProperty: the third word of given/when/then; nobody awaits it
      return { decision, then: (expected) => check(decision, expected) };
    },
  };
}

export function fold<State, Event extends Typed>(
  aggregate: Pick<Aggregate<State, never, Event>, 'initial' | 'evolve'>,
  events: readonly Event[],
): State {
  return events.reduce((state, event) => aggregate.evolve(state, event), aggregate.initial());
}

function check<Event extends Typed>(decision: Decision<Event>, expected: Expected<Event>): void {
  if ('rejected' in expected) {
    if (decision.outcome !== 'rejected') fail(`expected a rejection, got ${JSON.stringify(decision)}`);
    deepStrictEqual(decision.code, expected.rejected);
    return;
  }
  if (decision.outcome !== 'accepted')
    fail(`expected events, got the rejection ${decision.code}: ${decision.detail}`);
  deepStrictEqual(decision.events, expected.events);
  if (expected.result !== undefined) deepStrictEqual(decision.result, expected.result);
}
