/**
 * The table of accounts, for staff. It holds nothing personal: names and addresses stay sealed in the log. One that moves
 * stands under its old id as `moving` until its new one is there.
 */
import { projection } from 'cardume/cqrs/projection';
import type { Table } from 'cardume/sharding/table';
import type { AccountEvent } from './account.ts';

export const accountsTable: Table = {
  name: 'accounts',
  columns: { id: 'text', role: 'text', country: 'text', status: 'text', registered_at_ms: 'integer' },
  key: ['id'],
  indexes: [['registered_at_ms']],
};

export const accountsProjection = projection<AccountEvent>({
  name: 'accounts',
  tables: [accountsTable],
  on: {
    AccountRegistered({ role, country, registered_at_ms }, { stream }, rows) {
      rows(accountsTable).put({ id: stream, role, country, status: 'pending', registered_at_ms });
    },
    AccountActivated(_event, { stream }, rows) {
      rows(accountsTable).patch({ id: stream }, { status: 'active' });
    },
    AccountAbandoned(_event, { stream }, rows) {
      rows(accountsTable).remove({ id: stream });
    },
    MoveBegun(_event, { stream }, rows) {
      rows(accountsTable).patch({ id: stream }, { status: 'moving' });
    },
    AccountArrived({ role, country, registered_at_ms }, { stream }, rows) {
      rows(accountsTable).put({ id: stream, role, country, status: 'active', registered_at_ms });
    },
    AccountMoved(_event, { stream }, rows) {
      rows(accountsTable).remove({ id: stream });
    },
  },
});
