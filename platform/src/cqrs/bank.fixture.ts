/** A small service for the tests of this folder: accounts that transfer to each other. */
import { Type } from 'typebox';
import { Personal } from '../privacy/personal.ts';
import type { Table } from '../sharding/table.ts';
import { accept, aggregate, reject } from './aggregate.ts';
import { process } from './process.ts';
import { projection } from './projection.ts';
import type { Service } from './service.ts';

export type AccountEvent =
  | { readonly type: 'Opened'; readonly owner: string }
  | { readonly type: 'Deposited'; readonly amount: number }
  | {
      readonly type: 'TransferStarted';
      readonly to: string;
      readonly amount: number;
      readonly transfer: number;
    }
  | { readonly type: 'TransferDone'; readonly transfer: number }
  | { readonly type: 'Broken' };

export type AccountCommand =
  | { readonly type: 'Open'; readonly owner: string }
  | { readonly type: 'Deposit'; readonly amount: number }
  | { readonly type: 'Withdraw'; readonly amount: number }
  | { readonly type: 'Transfer'; readonly to: string; readonly amount: number }
  | { readonly type: 'FinishTransfer'; readonly transfer: number }
  | { readonly type: 'Break' };

export interface AccountState {
  balance: number;
  owner: string | null;
  transfers: number;
  readonly open: Set<number>;
}

export const account = aggregate<AccountState, AccountCommand, AccountEvent>({
  name: 'account',
  idType: 'acc',
  events: {
    Opened: Type.Object({ owner: Personal(Type.String()) }),
    Deposited: Type.Object({ amount: Type.Integer() }),
    TransferStarted: Type.Object({ to: Type.String(), amount: Type.Integer(), transfer: Type.Integer() }),
    TransferDone: Type.Object({ transfer: Type.Integer() }),
    Broken: Type.Object({}),
  },
  initial: () => ({ balance: 0, owner: null, transfers: 0, open: new Set() }),
  decide(command, state) {
    if (command.type === 'Open') {
      if (state.owner !== null) return reject('already-exists', 'the account is open');
      return accept([{ type: 'Opened', owner: command.owner }], { owner: command.owner.length });
    }
    if (state.owner === null) return reject('not-found', 'there is no such account');
    switch (command.type) {
      case 'Deposit':
        return accept([{ type: 'Deposited', amount: command.amount }], {
          balance: state.balance + command.amount,
        });
      case 'Withdraw':
        if (command.amount > state.balance) return reject('conflict', `the balance is ${state.balance}`);
        return accept([{ type: 'Deposited', amount: -command.amount }]);
      case 'Transfer':
        if (command.amount > state.balance) return reject('conflict', `the balance is ${state.balance}`);
        return accept([
          { type: 'TransferStarted', to: command.to, amount: command.amount, transfer: state.transfers + 1 },
        ]);
      case 'FinishTransfer':
        return accept(
          state.open.has(command.transfer) ? [{ type: 'TransferDone', transfer: command.transfer }] : [],
        );
      case 'Break':
        return accept([{ type: 'Broken' }]);
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'Opened':
        state.owner = event.owner;
        break;
      case 'Deposited':
        state.balance += event.amount;
        break;
      case 'TransferStarted':
        state.balance -= event.amount;
        state.transfers = event.transfer;
        state.open.add(event.transfer);
        break;
      case 'TransferDone':
        state.open.delete(event.transfer);
        break;
    }
    return state;
  },
});

/** Carries the money of a transfer to the other account, once. */
export const transfers = process<Map<number, { to: string; amount: number }>, AccountEvent, AccountCommand>({
  name: 'transfers',
  of: account,
  startsOn: ['TransferStarted'],
  initial: () => new Map(),
  evolve(open, event) {
    if (event.type === 'TransferStarted') open.set(event.transfer, { to: event.to, amount: event.amount });
    if (event.type === 'TransferDone') open.delete(event.transfer);
    if (event.type === 'Broken') throw new Error('this process does not know what to do');
    return open;
  },
  ended: (open) => open.size === 0,
  react: (open) =>
    [...open].map(([transfer, { to, amount }]) => ({
      key: `transfer-${transfer}`,
      kind: 'work' as const,
      async run({ bus, ports, key }) {
        await (ports.beforeDeposit as (() => Promise<void>) | undefined)?.();
        const deposit = { type: 'Deposit', amount } as const;
        await bus.send({ service: 'bank', aggregate: 'account' }, to, deposit, {
          key: { text: key, fingerprint: '' },
        });
        return { type: 'FinishTransfer', transfer };
      },
    })),
});

export const balances: Table = {
  name: 'balances',
  columns: { id: 'text', balance: 'integer', deposits: 'integer' },
  key: ['id'],
  indexes: [['balance']],
};

export const owners: Table = {
  name: 'owners',
  columns: { id: 'text', owner: 'text' },
  key: ['id'],
  indexes: [],
};

const balanceList = projection<AccountEvent>({
  name: 'balance-list',
  tables: [balances],
  on: {
    Opened: (_event, { stream }, rows) => rows(balances).put({ id: stream, balance: 0, deposits: 0 }),
    Deposited: ({ amount }, { stream }, rows) =>
      rows(balances).add({ id: stream }, { balance: amount, deposits: 1 }),
    TransferStarted: ({ amount }, { stream }, rows) =>
      rows(balances).add({ id: stream }, { balance: -amount }),
  },
});

/** Breaks on an event that the other projection does not mind. */
const ownerList = projection<AccountEvent>({
  name: 'owner-list',
  tables: [owners],
  on: {
    Opened: ({ owner }, { stream }, rows) => rows(owners).put({ id: stream, owner }),
    Broken() {
      throw new Error('this projection does not know what to do');
    },
  },
});

export const service: Service = {
  name: 'bank',
  module: import.meta.url,
  aggregates: [account],
  projections: [balanceList, ownerList],
  processes: [transfers],
};
