/** The table of orders: what lists and reports need. Lines stay in the order itself. */
import { projection } from 'cardume/cqrs/projection';
import type { Table } from 'cardume/sharding/table';
import type { OrderEvent } from './order.ts';

export const ordersTable: Table = {
  name: 'orders',
  columns: {
    id: 'text',
    /** Null for a guest. */
    customer: 'text',
    status: 'text',
    country: 'text',
    currency: 'text',
    total_e4: 'integer',
    lines: 'integer',
    pieces: 'integer',
    placed_at_ms: 'integer',
    reference: 'text',
  },
  key: ['id'],
  indexes: [['customer', 'placed_at_ms'], ['placed_at_ms']],
};

export const orderList = projection<OrderEvent>({
  name: 'order-list',
  tables: [ordersTable],
  on: {
    OrderPlaced(
      { customer, country, currency, total_e4, lines, pieces, placed_at_ms, reference = null },
      { stream },
      rows,
    ) {
      rows(ordersTable).put({
        id: stream,
        customer,
        status: 'placed',
        country,
        currency,
        total_e4,
        lines: lines.length,
        pieces,
        placed_at_ms,
        reference,
      });
    },
    PaymentPending: (_event, { stream }, rows) =>
      rows(ordersTable).patch({ id: stream }, { status: 'paying' }),
    OrderConfirmed: (_event, { stream }, rows) =>
      rows(ordersTable).patch({ id: stream }, { status: 'confirmed' }),
    OrderRejected: (_event, { stream }, rows) =>
      rows(ordersTable).patch({ id: stream }, { status: 'rejected' }),
    CancellationRequested: (_event, { stream }, rows) =>
      rows(ordersTable).patch({ id: stream }, { status: 'cancelling' }),
    OrderCancelled: (_event, { stream }, rows) =>
      rows(ordersTable).patch({ id: stream }, { status: 'cancelled' }),
  },
});
