import { deepStrictEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { personalFields } from 'cardume/privacy/personal';
import { fold, given } from 'cardume/testing/given';
import { projected } from '../projected.ts';
import { type AccountEvent, type Address, account } from './account.ts';
import { accountsProjection } from './accounts.ts';

const registered: AccountEvent = {
  type: 'AccountRegistered',
  role: 'customer',
  country: 'NO',
  registered_at_ms: 5,
  name: 'Anna',
  email: 'anna@example.org',
  password_hash: '$argon2id$',
  claim: 'clm_1',
};
const imported: AccountEvent = {
  type: 'AccountRegistered',
  role: 'customer',
  country: 'NO',
  registered_at_ms: 5,
  name: '17850',
};
const activated: AccountEvent = { type: 'AccountActivated' };
const abandoned: AccountEvent = { type: 'AccountAbandoned', reason: 'email-taken' };
const begun: AccountEvent = { type: 'MoveBegun', to: 'acc_2', by: 'acc_1' };
const moved: AccountEvent = { type: 'AccountMoved', to: 'acc_2' };
const address: Address = { name: 'Anna', line1: 'Storgata 1', city: 'Oslo', postcode: '0155', country: 'NO' };

describe('an account', () => {
  test('is pending until its e-mail is confirmed', () => {
    const {
      registered_at_ms: _,
      type: __,
      ...fields
    } = registered as Extract<AccountEvent, { type: 'AccountRegistered' }>;
    given(account, [])
      .when({ type: 'Register', ...fields }, { atMs: 5 })
      .then({ events: [registered] });
    given(account, [registered])
      .when({ type: 'Register', ...fields })
      .then({ rejected: 'already-exists' });
    deepStrictEqual(fold(account, [registered]).status, 'pending');
    given(account, [registered])
      .when({ type: 'Activate' })
      .then({ events: [activated] });
    given(account, [registered])
      .when({ type: 'Abandon' })
      .then({ events: [abandoned] });
  });

  test('without an e-mail is active at once', () => {
    given(account, [])
      .when({ type: 'Register', role: 'customer', country: 'NO', name: '17850' }, { atMs: 5 })
      .then({ events: [imported, activated] });
  });

  test('is activated or abandoned once', () => {
    given(account, [registered, activated]).when({ type: 'Abandon' }).then({ events: [] });
    given(account, [registered, abandoned]).when({ type: 'Activate' }).then({ events: [] });
  });

  test('can be changed only while it is active', () => {
    const change = { type: 'ChangeProfile', name: 'Anne' } as const;
    given(account, [registered, activated])
      .when(change)
      .then({ events: [{ type: 'ProfileChanged', name: 'Anne' }] });
    given(account, [registered, activated])
      .when({ type: 'ChangeProfile', name: 'Anna' })
      .then({ events: [] });
    for (const history of [[], [registered], [registered, abandoned]]) {
      given(account, history).when(change).then({ rejected: 'not-found' });
    }
  });

  test('keeps addresses, up to a bound', () => {
    const added = (i: number): AccountEvent => ({ type: 'AddressAdded', address_id: `adr_${i}`, address });
    const history = [registered, activated, added(1)];
    given(account, [registered, activated])
      .when({ type: 'AddAddress', addressId: 'adr_1', address })
      .then({ events: [added(1)], result: { address_id: 'adr_1' } });
    given(account, history)
      .when({ type: 'RemoveAddress', addressId: 'adr_1' })
      .then({ events: [{ type: 'AddressRemoved', address_id: 'adr_1' }] });
    given(account, history)
      .when({ type: 'RemoveAddress', addressId: 'adr_2' })
      .then({ rejected: 'not-found' });
    const full = [registered, activated, ...Array.from({ length: 20 }, (_, i) => added(i))];
    given(account, full)
      .when({ type: 'AddAddress', addressId: 'adr_21', address })
      .then({ rejected: 'conflict' });
    deepStrictEqual(
      fold(account, [...history, { type: 'AddressRemoved', address_id: 'adr_1' }]).addresses.size,
      0,
    );
  });

  test('takes a new password', () => {
    const changed: AccountEvent = { type: 'PasswordChanged', password_hash: 'new' };
    given(account, [registered, activated])
      .when({ type: 'ChangePassword', passwordHash: 'new' })
      .then({ events: [changed] });
    deepStrictEqual(fold(account, [registered, activated, changed]).passwordHash, 'new');
  });

  test('takes no writes once it moves, and says where they are taken', () => {
    const begin = { type: 'BeginMove', to: 'acc_2', by: 'acc_1' } as const;
    given(account, [registered, activated])
      .when(begin)
      .then({ events: [begun], result: { to: 'acc_2' } });
    for (const history of [
      [registered, activated, begun],
      [registered, activated, begun, moved],
    ]) {
      given(account, history)
        .when({ type: 'ChangeProfile', name: 'Anne' })
        .then({ events: [], result: { moved_to: 'acc_2' } });
      given(account, history)
        .when({ ...begin, to: 'acc_3' })
        .then({ rejected: 'conflict' });
    }
    for (const history of [[], [registered], [registered, abandoned]])
      given(account, history).when(begin).then({ rejected: 'not-found' });
    given(account, [registered, activated, begun])
      .when({ type: 'EndMove' })
      .then({ events: [moved] });
    given(account, [registered, activated, begun, moved]).when({ type: 'EndMove' }).then({ events: [] });
  });

  test('arrives once, as what it was, and moves on up to a bound', () => {
    const { type: _, ...arrived } = {
      type: 'AccountArrived',
      former: ['acc_1'],
      role: 'staff',
      country: 'NO',
      registered_at_ms: 5,
      name: 'Anna',
      email: 'anna@example.org',
      password_hash: '$argon2id$',
      addresses: [{ address_id: 'adr_1', address }],
      claim: 'clm_1',
    } as const;
    const event = { ...arrived, addresses: [...arrived.addresses], former: [...arrived.former] };
    given(account, [])
      .when({ type: 'Arrive', ...event }, { atMs: 9 })
      .then({ events: [{ type: 'AccountArrived', ...event, arrived_at_ms: 9 }] });
    const history: AccountEvent[] = [{ type: 'AccountArrived', ...event, arrived_at_ms: 9 }];
    given(account, history)
      .when({ type: 'Arrive', ...event })
      .then({ events: [] });
    deepStrictEqual(fold(account, history), {
      status: 'active',
      role: 'staff',
      country: 'NO',
      registeredAtMs: 5,
      name: 'Anna',
      email: 'anna@example.org',
      passwordHash: '$argon2id$',
      claim: 'clm_1',
      movedTo: null,
      former: ['acc_1'],
      arrivedAtMs: 9,
      addresses: new Map([['adr_1', address]]),
    });
    const former = Array.from({ length: 8 }, (_, i) => `acc_${i}`);
    given(account, [{ type: 'AccountArrived', ...event, former, arrived_at_ms: 9 }])
      .when({ type: 'BeginMove', to: 'acc_9', by: 'acc_8' })
      .then({ rejected: 'conflict' });
  });

  test('seals everything that tells who the person is', () => {
    deepStrictEqual(personalFields(account.events.AccountRegistered).toSorted(), [
      'email',
      'name',
      'password_hash',
    ]);
    deepStrictEqual(personalFields(account.events.ProfileChanged), ['name']);
    deepStrictEqual(personalFields(account.events.AddressAdded), ['address']);
    deepStrictEqual(personalFields(account.events.PasswordChanged), ['password_hash']);
    deepStrictEqual(personalFields(account.events.AccountArrived).toSorted(), [
      'addresses',
      'email',
      'name',
      'password_hash',
    ]);
  });
});

test('the table of accounts follows their status and holds nothing personal', () => {
  const after = (...events: AccountEvent[]): ReturnType<typeof projected> =>
    projected(
      accountsProjection,
      events.map((event) => ({ stream: 'acc_1', event })),
    );
  const row = { id: 'acc_1', role: 'customer', country: 'NO', status: 'pending', registered_at_ms: 5 };
  deepStrictEqual(after(registered)({ id: 'acc_1' }), row);
  deepStrictEqual(after(registered, activated)({ id: 'acc_1' }), { ...row, status: 'active' });
  deepStrictEqual(after(registered, abandoned)({ id: 'acc_1' }), undefined);
  deepStrictEqual(after(registered, activated, begun)({ id: 'acc_1' }), { ...row, status: 'moving' });
  deepStrictEqual(after(registered, activated, begun, moved)({ id: 'acc_1' }), undefined);
  const arrived: AccountEvent = {
    type: 'AccountArrived',
    former: ['acc_0'],
    arrived_at_ms: 9,
    role: 'customer',
    country: 'NO',
    registered_at_ms: 5,
    name: null,
    email: null,
    password_hash: null,
    addresses: null,
    claim: null,
  };
  deepStrictEqual(after(arrived)({ id: 'acc_1' }), { ...row, status: 'active' });
});
