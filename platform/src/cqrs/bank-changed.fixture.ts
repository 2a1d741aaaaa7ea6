/** The bank after an upgrade: its list of balances has one more column. */
import type { Table } from '../sharding/table.ts';
import { type AccountEvent, service as before } from './bank.fixture.ts';
import { projection } from './projection.ts';
import type { Service } from './service.ts';

const balances: Table = {
  name: 'balances',
  columns: { id: 'text', balance: 'integer', largest: 'integer' },
  key: ['id'],
  indexes: [],
};

const balanceList = projection<AccountEvent>({
  name: 'balance-list',
  tables: [balances],
  on: {
    Opened: (_event, { stream }, rows) => rows(balances).put({ id: stream, balance: 0, largest: 0 }),
    Deposited({ amount }, { stream }, rows) {
      const row = rows(balances).get({ id: stream });
      const largest = Math.max(amount, row?.['largest'] as number);
      rows(balances).patch({ id: stream }, { balance: (row?.['balance'] as number) + amount, largest });
    },
  },
});

export const service: Service = {
  ...before,
  module: import.meta.url,
  projections: before.projections.map((one) => (one.name === balanceList.name ? balanceList : one)),
};
