/**
 * An account. It is pending until the claim on its e-mail is confirmed; without an e-mail (an import by staff) it is
 * active at once. Whatever says who the person is stands sealed in the log.
 *
 * Its id names its region. One that moves to another goes on under a new id: from `MoveBegun` on it takes no writes
 * here, all that it is arrives there, and `AccountMoved` is its last event.
 */
import { accept, aggregate, type Decision, reject } from 'cardume/cqrs/aggregate';
import { refer } from 'cardume/cqrs/bus';
import { Personal } from 'cardume/privacy/personal';
import { type Static, Type } from 'typebox';
import { movesMax } from '../contracts/accounts.ts';
import type { EventOf } from '../contracts/event.ts';
import { CountryCode, Id, Milliseconds } from '../contracts/schemas.ts';

const addressesMax = 20;

export const Role = Type.Union([Type.Literal('customer'), Type.Literal('staff')]);
export const PersonName = Type.String({ minLength: 1, maxLength: 200 });
const Line = Type.String({ minLength: 1, maxLength: 200 });
export const Address = Type.Object({
  name: PersonName,
  line1: Line,
  line2: Type.Optional(Line),
  city: Line,
  postcode: Type.String({ minLength: 1, maxLength: 20 }),
  country: CountryCode,
});
export type Address = Static<typeof Address>;

const events = {
  AccountRegistered: Type.Object({
    role: Role,
    country: CountryCode,
    registered_at_ms: Milliseconds,
    name: Personal(PersonName),
    email: Type.Optional(Personal(Type.String())),
    password_hash: Type.Optional(Personal(Type.String())),
    /** The claim on the e-mail. */
    claim: Type.Optional(Id),
  }),
  AccountActivated: Type.Object({}),
  AccountAbandoned: Type.Object({ reason: Type.Literal('email-taken') }),
  ProfileChanged: Type.Object({ name: Personal(PersonName) }),
  AddressAdded: Type.Object({ address_id: Id, address: Personal(Address) }),
  AddressRemoved: Type.Object({ address_id: Id }),
  PasswordChanged: Type.Object({ password_hash: Personal(Type.String()) }),
  /** It takes no writes any more: they are its own where it goes. */
  MoveBegun: Type.Object({ to: Id, by: Id }),
  /** The first event of a moved account's new id. What was erased before is null. */
  AccountArrived: Type.Object({
    /** All of its ids before, oldest first. The first is the one that holds the claim. */
    former: Type.Array(Id, { minItems: 1, maxItems: movesMax }),
    arrived_at_ms: Milliseconds,
    role: Role,
    country: CountryCode,
    registered_at_ms: Milliseconds,
    name: Personal(Type.Union([PersonName, Type.Null()])),
    email: Personal(Type.Union([Type.String(), Type.Null()])),
    password_hash: Personal(Type.Union([Type.String(), Type.Null()])),
    addresses: Personal(
      Type.Union([Type.Array(Type.Object({ address_id: Id, address: Address })), Type.Null()]),
    ),
    claim: Type.Union([Id, Type.Null()]),
  }),
  AccountMoved: Type.Object({ to: Id }),
};
export type AccountEvent = EventOf<typeof events>;
type Registered = Extract<AccountEvent, { type: 'AccountRegistered' }>;
type Arrived = Extract<AccountEvent, { type: 'AccountArrived' }>;

export type AccountCommand =
  | ({ readonly type: 'Register' } & Omit<Registered, 'type' | 'registered_at_ms'>)
  | { readonly type: 'Activate' | 'Abandon' }
  /** Its e-mail was refused before the account was made: remembered under the request's key. */
  | { readonly type: 'Refuse'; readonly detail: string }
  | { readonly type: 'ChangeProfile'; readonly name: string }
  | { readonly type: 'AddAddress'; readonly addressId: string; readonly address: Address }
  | { readonly type: 'RemoveAddress'; readonly addressId: string }
  | { readonly type: 'ChangePassword'; readonly passwordHash: string }
  | { readonly type: 'BeginMove'; readonly to: string; readonly by: string }
  | ({ readonly type: 'Arrive' } & Omit<Arrived, 'type' | 'arrived_at_ms'>)
  /** It has arrived there. */
  | { readonly type: 'EndMove' };

/** Personal fields are null once the person was erased. */
export interface AccountState {
  status: 'none' | 'pending' | 'active' | 'abandoned' | 'moving' | 'moved';
  role: 'customer' | 'staff';
  country: string;
  registeredAtMs: number;
  name: string | null;
  email: string | null;
  passwordHash: string | null;
  /** On its e-mail; held by the first of its ids. */
  claim: string | null;
  movedTo: string | null;
  former: readonly string[];
  /** When it came from the last of them; null, not 0 (see the quietUntilMs of a stock): it never has. */
  arrivedAtMs: number | null;
  readonly addresses: Map<string, Address | null>;
}

export const account = aggregate<AccountState, AccountCommand, AccountEvent>({
  name: 'account',
  idType: 'acc',
  events,
  stateRevision: 2,
  initial: () => ({
    status: 'none',
    role: 'customer',
    country: '',
    registeredAtMs: 0,
    name: null,
    email: null,
    passwordHash: null,
    claim: null,
    movedTo: null,
    former: [],
    arrivedAtMs: null,
    addresses: new Map(),
  }),

  decide(command, state, { atMs }): Decision<AccountEvent> {
    switch (command.type) {
      case 'Register': {
        if (state.status !== 'none') return reject('already-exists', 'the account is registered');
        const registered: Registered = { ...command, type: 'AccountRegistered', registered_at_ms: atMs };
        return accept(
          command.claim === undefined ? [registered, { type: 'AccountActivated' }] : [registered],
        );
      }
      case 'Refuse':
        return reject('email-taken', command.detail);
      case 'Activate':
        return accept(state.status === 'pending' ? [{ type: 'AccountActivated' }] : []);
      case 'Abandon':
        return accept(
          state.status === 'pending' ? [{ type: 'AccountAbandoned', reason: 'email-taken' }] : [],
        );
      case 'Arrive':
        return accept(
          state.status === 'none' ? [{ ...command, type: 'AccountArrived', arrived_at_ms: atMs }] : [],
        );
      case 'EndMove':
        return accept(
          state.status === 'moving' ? [{ type: 'AccountMoved', to: state.movedTo as string }] : [],
        );
    }
    if (state.movedTo !== null) {
      if (command.type === 'BeginMove') return reject('conflict', `it is '${state.movedTo}' by now`);
      // No refusal, which a key would remember: the same is asked where the account is now.
      return accept([], { moved_to: state.movedTo });
    }
    if (state.status !== 'active') return reject('not-found', 'there is no such account');
    switch (command.type) {
      case 'ChangeProfile':
        return accept(command.name === state.name ? [] : [{ type: 'ProfileChanged', name: command.name }]);
      case 'AddAddress': {
        if (state.addresses.size >= addressesMax)
          return reject('conflict', `an account has at most ${addressesMax} addresses`);
        const { addressId: address_id, address } = command;
        return accept([{ type: 'AddressAdded', address_id, address }], { address_id });
      }
      case 'RemoveAddress':
        if (!state.addresses.has(command.addressId))
          return reject('not-found', 'the account has no such address');
        return accept([{ type: 'AddressRemoved', address_id: command.addressId }]);
      case 'ChangePassword':
        return accept([{ type: 'PasswordChanged', password_hash: command.passwordHash }]);
      case 'BeginMove': {
        const { to, by } = command;
        if (state.former.length >= movesMax)
          return reject('conflict', `an account moves at most ${movesMax} times`);
        return accept([{ type: 'MoveBegun', to, by }], { to });
      }
    }
  },

  evolve(state, event) {
    switch (event.type) {
      case 'AccountRegistered':
        state.status = 'pending';
        state.role = event.role;
        state.country = event.country;
        state.registeredAtMs = event.registered_at_ms;
        state.name = event.name;
        state.email = event.email ?? null;
        state.passwordHash = event.password_hash ?? null;
        state.claim = event.claim ?? null;
        break;
      case 'AccountActivated':
        state.status = 'active';
        break;
      case 'AccountAbandoned':
        state.status = 'abandoned';
        break;
      case 'ProfileChanged':
        state.name = event.name;
        break;
      case 'AddressAdded':
        state.addresses.set(event.address_id, event.address);
        break;
      case 'AddressRemoved':
        state.addresses.delete(event.address_id);
        break;
      case 'PasswordChanged':
        state.passwordHash = event.password_hash;
        break;
      case 'MoveBegun':
        state.status = 'moving';
        state.movedTo = event.to;
        break;
      case 'AccountArrived': {
        const { role, country, name, email, claim, former } = event;
        Object.assign(state, { status: 'active', role, country, name, email, claim, former });
        state.registeredAtMs = event.registered_at_ms;
        state.arrivedAtMs = event.arrived_at_ms;
        state.passwordHash = event.password_hash;
        for (const { address_id, address } of event.addresses ?? []) state.addresses.set(address_id, address);
        break;
      }
      case 'AccountMoved':
        state.status = 'moved';
        break;
    }
    return state;
  },
});

export const accounts = refer('users', account);
