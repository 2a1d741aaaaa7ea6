import { deepStrictEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamEvent } from 'cardume/cqrs/bus';
import { statuses, versionOf } from './statuses.ts';

async function* events(...types: readonly object[]): AsyncIterable<StreamEvent> {
  for (const [i, event] of types.entries()) {
    yield { version: i + 1, event: event as StreamEvent['event'], atMs: 0, token: '' };
  }
}

async function told(...types: readonly object[]): Promise<unknown[]> {
  const out = [];
  for await (const { id, data } of statuses('ord_1', events(...types))) {
    const { status, reason } = data as { readonly status: string; readonly reason?: string };
    out.push(reason === undefined ? [id, status] : [id, status, reason]);
  }
  return out;
}

const placed = { type: 'OrderPlaced' };
const rejected = { type: 'OrderRejected', reason: 'payment-declined', held: 'stock' };

test('each status is told once, with the version that it came with', async () => {
  deepStrictEqual(await told(placed, { type: 'PaymentPending' }, { type: 'OrderConfirmed' }), [
    ['1', 'placed'],
    ['2', 'paying'],
    ['3', 'confirmed'],
  ]);
});

test('the stream ends with the last status', async () => {
  deepStrictEqual(await told(placed, rejected, { type: 'OrderSettled' }), [
    ['1', 'placed'],
    ['2', 'rejected', 'payment-declined'],
  ]);
  const cancelled = [
    { type: 'CancellationRequested' },
    { type: 'PaymentReturned' },
    { type: 'OrderCancelled' },
  ];
  deepStrictEqual(await told(...cancelled), [
    ['1', 'cancelling'],
    ['3', 'cancelled'],
  ]);
});

test('it is taken up behind the last event that was seen', () => {
  deepStrictEqual([versionOf(null), versionOf('7')], [0, 7]);
  throws(() => versionOf('7; drop'), { code: 'invalid-cursor' });
});
