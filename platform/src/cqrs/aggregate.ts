/**
 * A decider (Chassaing's term) with its events' schemas: `decide` and `evolve` are pure. Time, ids and randomness
 * arrive in the command; what a decision needs to remember stands in its events.
 */
import type { TSchema } from 'typebox';
import { CardumeError, type ErrorCode } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { StoredFields } from './upcasting.ts';

/** Flat JSON objects: `{ type, …fields }`. */
export interface Typed {
  readonly type: string;
}

export interface Aggregate<State = unknown, Command extends Typed = Typed, Event extends Typed = Typed> {
  /** Unique over all services, such as `order`. */
  readonly name: string;
  /** The three letters of its ids. */
  readonly idType: string;
  /** Schema of each event, `type` left out. A field made with `Personal(…)` is stored under the subject's key. */
  readonly events: { readonly [T in Event['type']]: TSchema };
  /**
   * Events that have changed: for each version that logs may hold, beginning with the first, what makes the next one of
   * it. It owns the event's fields. Personal ones are sealed, under their names: they stay as they are. What a state
   * keeps of such an event is of the older version until `stateRevision` is raised.
   */
  readonly upcasters?: { readonly [T in Event['type']]?: readonly ((event: StoredFields) => StoredFields)[] };
  /**
   * Types of events that end a stream, when nothing follows. Streams that have ended move to archives some time after
   * `idempotencyDays`, and are read, and go on, as ever. Without it none of its streams ends.
   */
  readonly endsOn?: readonly Event['type'][];
  /** Whose key seals personal fields: the stream's id when left out. */
  readonly subjectOf?: (stream: string) => string;
  /**
   * Raise it when the shape of `State` changes: snapshots of another revision are left aside and the stream is
   * folded again. States may hold Maps, Sets and bigints, no functions.
   */
  readonly stateRevision?: number;
  initial(): State;
  decide(command: Command, state: State, context: DecideContext): Decision<Event>;
  /** Owns `state`: it may change it in place and return it. */
  evolve(state: State, event: Event): State;
}

export interface DecideContext {
  readonly id: string;
  /** Events of the stream so far; 0 when it does not exist. */
  readonly version: number;
  /** Wall clock of the host when it decides, milliseconds. */
  readonly atMs: number;
  /**
   * The partition was taken over from a region that was lost, and that may have known more of it: the term that began so, until
   * that region follows again. 0: all that anybody was told is known here.
   */
  readonly unclean: number;
}

/** What happened, and what the caller is told. No events: nothing happened, and the answer says so. */
export type Decision<Event extends Typed = Typed> =
  | { readonly outcome: 'accepted'; readonly events: readonly Event[]; readonly result: Json }
  | { readonly outcome: 'rejected'; readonly code: ErrorCode; readonly detail: string };

export function accept<Event extends Typed>(events: readonly Event[], result: Json = null): Decision<Event> {
  return { outcome: 'accepted', events, result };
}

export function reject(code: ErrorCode, detail: string): Decision<never> {
  return { outcome: 'rejected', code, detail };
}

/** Fixes the types of a definition. */
export function aggregate<State, Command extends Typed, Event extends Typed>(
  definition: Aggregate<State, Command, Event>,
): Aggregate<State, Command, Event> {
  return definition;
}

/** A rejection as the error that callers see. */
export function rejection(code: ErrorCode, detail: string): CardumeError {
  return new CardumeError(code, detail);
}
