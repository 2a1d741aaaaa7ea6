/**
 * An account. It is pending until the claim on its e-mail is confirmed; without an e-mail (an import by staff) it is
 * active at once. Whatever says who the person is stands sealed in the log.
 */
import { accept, aggregate, type Decision, reject } from 'cardume/cqrs/aggregate';
import { refer } from 'cardume/cqrs/bus';
import { Personal } from 'cardume/privacy/personal';
import { type Static, Type } from 'typebox';
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
};
export type AccountEvent = EventOf<typeof events>;
type Registered = Extract<AccountEvent, { type: 'AccountRegistered' }>;

export type AccountCommand =
  | ({ readonly type: 'Register' } & Omit<Registered, 'type' | 'registered_at_ms'>)
  | { readonly type: 'Activate' | 'Abandon' }
  /** Its e-mail was refused before the account was made: remembered under the request's key. */
  | { readonly type: 'Refuse'; readonly detail: string }
  | { readonly type: 'ChangeProfile'; readonly name: string }
  | { readonly type: 'AddAddress'; readonly addressId: string; readonly address: Address }
  | { readonly type: 'RemoveAddress'; readonly addressId: string }
  | { readonly type: 'ChangePassword'; readonly passwordHash: string };

/** Personal fields are null once the person was erased. */
export interface AccountState {
  status: 'none' | 'pending' | 'active' | 'abandoned';
  role: 'customer' | 'staff';
  country: string;
  registeredAtMs: number;
  name: string | null;
  email: string | null;
  passwordHash: string | null;
  readonly addresses: Map<string, Address | null>;
}

export const account = aggregate<AccountState, AccountCommand, AccountEvent>({
  name: 'account',
  idType: 'acc',
  events,
  initial: () => ({
    status: 'none',
    role: 'customer',
    country: '',
    registeredAtMs: 0,
    name: null,
    email: null,
    passwordHash: null,
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
    }
    return state;
  },
});

export const accounts = refer('users', account);
