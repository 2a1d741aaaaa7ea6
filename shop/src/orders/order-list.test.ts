import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { projected } from '../projected.ts';
import type { OrderEvent } from './order.ts';
import { orderList } from './order-list.ts';

const placed: OrderEvent = {
  type: 'OrderPlaced',
  customer: null,
  placed_by: 'acc_9',
  country: 'EIRE',
  currency: 'GBP',
  placed_at_ms: 1_291_190_760_000,
  lines: [
    { product: 'a', sku: 'A', quantity: 2, unit_price_e4: 10 },
    { product: 'b', sku: 'B', quantity: 1, unit_price_e4: 5 },
  ],
  total_e4: 25,
  pieces: 3,
  payment: { method: 'invoice' },
  agreed: true,
  reference: '536365',
};

test('the table follows an order’s status', () => {
  const after = (...events: OrderEvent[]) =>
    projected(
      orderList,
      events.map((event) => ({ stream: 'ord_1', event })),
    )({ id: 'ord_1' });
  const row = {
    id: 'ord_1',
    customer: null,
    status: 'placed',
    country: 'EIRE',
    currency: 'GBP',
    total_e4: 25,
    lines: 2,
    pieces: 3,
    placed_at_ms: 1_291_190_760_000,
    reference: '536365',
  };
  const confirmed: OrderEvent = { type: 'OrderConfirmed', payment: 'invoice' };
  const cancellation: OrderEvent = { type: 'CancellationRequested', by: 'acc_9' };
  const rejected: OrderEvent = { type: 'OrderRejected', reason: 'expired', detail: '', held: 'nothing' };
  deepStrictEqual(after(placed), row);
  deepStrictEqual(after(placed, { type: 'PaymentPending' })?.['status'], 'paying');
  deepStrictEqual(after(placed, confirmed), { ...row, status: 'confirmed' });
  deepStrictEqual(after(placed, rejected)?.['status'], 'rejected');
  deepStrictEqual(after(placed, confirmed, cancellation)?.['status'], 'cancelling');
  deepStrictEqual(after(placed, cancellation, { type: 'OrderCancelled' })?.['status'], 'cancelled');
});
