/**
 * A process (saga) carries one aggregate through steps that reach beyond it. It is declarative: `evolve` folds the
 * aggregate's events into the process's state, and `react` says which effects that state wants to be under way.
 * An effect is started when it first appears, tried until it has an outcome, and its outcome comes back as a command
 * to the aggregate. After a crash the state is folded from the log again and the same effects appear with the same
 * keys, so each happens once. A process sees personal fields sealed: it carries ids, never people.
 */

import type { CardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Aggregate, Typed } from './aggregate.ts';
import type { Answer, Bus } from './bus.ts';

export interface Process<State = unknown, Event extends Typed = Typed, Command extends Typed = Typed> {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: a process does not see the aggregate's state
  readonly of: Aggregate<any, Command, Event>;
  /**
   * Event types that begin an instance; all of the aggregate's when left out. Events of an aggregate without an open
   * instance are passed over unless they are named here.
   */
  readonly startsOn?: readonly Event['type'][];
  /**
   * Raise it when the shape of `State` changes, or what `evolve` makes of old events: saved states of another revision
   * are left aside and the log is folded again from its start. Default 1.
   */
  readonly stateRevision?: number;
  initial(id: string): State;
  evolve(state: State, event: Event, atMs: number): State;
  /** The instance needs nothing more and is forgotten. */
  ended(state: State): boolean;
  /** Effects wanted now; pure. Keys are unique within the instance and stable. */
  react(state: State, id: string): readonly Effect<Command>[];
}

export type Effect<Command extends Typed = Typed> =
  /** Runs `run` until it gives an outcome; after `notYet` and retryable errors again, with growing pauses. */
  | {
      readonly key: string;
      readonly kind: 'work';
      /** Must be idempotent under `key`: it may run again after a crash. */
      run(work: Work): Promise<Command | null | typeof notYet>;
    }
  /** Sends `command` to the aggregate itself at a time. */
  | { readonly key: string; readonly kind: 'timer'; readonly atMs: number; readonly command: Command };

/**
 * Nothing is wrong, and nothing is decided: ask me again. The pauses grow as after an error, up to 10 s, and nobody is
 * told. Whoever must not wait for ever sets a timer beside it.
 */
export const notYet: unique symbol = Symbol('not yet');

export interface Work {
  readonly bus: Bus;
  /** Ports that the service was given, such as payments. */
  readonly ports: Readonly<Record<string, unknown>>;
  /** `<process>/<instance>/<effect>`: the idempotency key of what this effect does. */
  readonly key: string;
  /** It may have run before: an attempt gave no outcome, or the process was recovered after a stop or a crash. */
  readonly again: boolean;
  readonly nowMs: number;
}

export function process<State, Event extends Typed, Command extends Typed>(
  definition: Process<State, Event, Command>,
): Process<State, Event, Command> {
  return definition;
}

export type { Answer, CardumeError, Json };
