/**
 * The claim on one value that must be unique: free, held until a deadline, or confirmed (unique.ts says how it is used).
 * Its events have the words of what it is about, since they stand in logs for ever.
 */
import { type TSchema, Type } from 'typebox';
import type { ErrorCode } from '../base/errors.ts';
import { type Aggregate, accept, aggregate, type Decision, reject } from './aggregate.ts';

/** How long a claim lasts that is not confirmed: time enough to make a holder, with a slow hash in between. */
const CLAIM_MS = 60_000;

export interface ClaimWords<Value extends string, Holder extends string> {
  /** Of the claims: the name of their aggregate and the three letters of their ids. */
  readonly name: string;
  readonly idType: string;
  /** What it is, in one word such as `email`: events begin with it (`EmailClaimed`), and ids follow from it. */
  readonly value: Value;
  /** The field of events and commands that names the holder, such as `account`. */
  readonly holder: Holder;
  /** What those hear who come too late. */
  readonly taken: { readonly code: ErrorCode; readonly detail: string };
}

export type ClaimEvent<Value extends string, Holder extends string> = Named<Holder> &
  (
    | { readonly type: `${Capitalize<Value>}Claimed`; readonly until_ms: number }
    | { readonly type: `${Capitalize<Value>}Confirmed` | `${Capitalize<Value>}Released` }
  );

/** `Release` leaves what was confirmed; `Free` is for a holder that has ended. Of another holder neither takes anything. */
export type ClaimCommand<Holder extends string> = Named<Holder> & {
  readonly type: 'Claim' | 'Confirm' | 'Release' | 'Free';
};

type Named<Holder extends string> = { readonly [H in Holder]: string };

export type ClaimState<Holder extends string> = { confirmed: boolean; untilMs: number } & {
  /** Null: the value is free. */
  [H in Holder]: string | null;
};

/** A claim with the words of one value left out. */
type Event = { readonly holder: string } & (
  | { readonly type: 'Claimed'; readonly untilMs: number }
  | { readonly type: 'Confirmed' | 'Released' }
);

export function claimAggregate<Value extends string, Holder extends string>({
  name,
  idType,
  value,
  holder,
  taken,
}: ClaimWords<Value, Holder>): Aggregate<
  ClaimState<Holder>,
  ClaimCommand<Holder>,
  ClaimEvent<Value, Holder>
> {
  type Worded = ClaimEvent<Value, Holder>;
  const prefix = `${value.slice(0, 1).toUpperCase()}${value.slice(1)}`;
  const worded = (event: Event): Worded =>
    ({
      type: `${prefix}${event.type}`,
      [holder]: event.holder,
      ...(event.type === 'Claimed' ? { until_ms: event.untilMs } : {}),
    }) as Worded;
  const named = { [holder]: Type.String({ maxLength: 40 }) };
  const events: Readonly<Record<string, TSchema>> = {
    [`${prefix}Claimed`]: Type.Object({ ...named, until_ms: Type.Integer({ minimum: 0 }) }),
    [`${prefix}Confirmed`]: Type.Object(named),
    [`${prefix}Released`]: Type.Object(named),
  };

  function decide(
    type: ClaimCommand<Holder>['type'],
    id: string,
    state: ClaimState<Holder>,
    atMs: number,
  ): Decision<never> | readonly Event[] {
    const has: string | null = state[holder];
    const own = has === id;
    const claimed: Event = { type: 'Claimed', holder: id, untilMs: atMs + CLAIM_MS };
    const isTaken = !own && has !== null && (state.confirmed || atMs < state.untilMs);
    if (isTaken && (type === 'Claim' || type === 'Confirm')) return reject(taken.code, taken.detail);
    switch (type) {
      case 'Claim':
        return own && (state.confirmed || atMs < state.untilMs) ? [] : [claimed];
      case 'Confirm':
        if (own) return state.confirmed ? [] : [{ type: 'Confirmed', holder: id }];
        // Never claimed, or let go of by a twin of the request that goes on, or lapsed: it is there to take.
        return [claimed, { type: 'Confirmed', holder: id }];
      case 'Release':
        return own && !state.confirmed ? [{ type: 'Released', holder: id }] : [];
      case 'Free':
        return own ? [{ type: 'Released', holder: id }] : [];
    }
  }

  return aggregate<ClaimState<Holder>, ClaimCommand<Holder>, Worded>({
    name,
    idType,
    events: events as { readonly [T in Worded['type']]: TSchema },
    initial: () => ({ [holder]: null, confirmed: false, untilMs: 0 }) as ClaimState<Holder>,
    decide(command, state, { atMs }) {
      const decided = decide(command.type, command[holder], state, atMs);
      return 'outcome' in decided ? decided : accept(decided.map(worded));
    },
    evolve(before, event) {
      const state: { confirmed: boolean; untilMs: number; [holder: string]: unknown } = before;
      switch (event.type.slice(prefix.length)) {
        case 'Claimed':
          state[holder] = event[holder];
          state.untilMs = (event as unknown as { readonly until_ms: number }).until_ms;
          break;
        case 'Confirmed':
          state.confirmed = true;
          break;
        case 'Released':
          state[holder] = null;
          state.confirmed = false;
          break;
      }
      return before;
    },
  });
}
