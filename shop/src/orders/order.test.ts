import { deepStrictEqual, ok } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codecOf } from 'cardume/cqrs/codec';
import { realHost } from 'cardume/host/real';
import { fold, given } from 'cardume/testing/given';
import fc from 'fast-check';
import { Compile } from 'typebox/compile';
import { type OrderCommand, type OrderEvent, type OrderPlaced, order, quantities } from './order.ts';

const placed: OrderPlaced = {
  type: 'OrderPlaced',
  customer: 'acc_103_01kb0000000000000000000000',
  country: 'NO',
  currency: 'GBP',
  placed_at_ms: 1_700_000_000_000,
  lines: [
    { product: 'prd_003_2kb0000000000000000000000a', sku: '85123A', quantity: 2, unit_price_e4: 25_500 },
  ],
  total_e4: 51_000,
  pieces: 2,
  payment: { method: 'card', token: 'tok_approve' },
  agreed: false,
};
const pending: OrderEvent = { type: 'PaymentPending' };
const confirmed: OrderEvent = { type: 'OrderConfirmed', payment: 'ref' };
const declined: OrderEvent = {
  type: 'OrderRejected',
  reason: 'payment-declined',
  detail: 'no',
  held: 'stock',
};
const soldOut: OrderEvent = {
  type: 'OrderRejected',
  reason: 'insufficient-stock',
  detail: 'no',
  held: 'nothing',
};
const cancellation: OrderEvent = { type: 'CancellationRequested', by: 'acc_1' };
const cancel: OrderCommand = { type: 'Cancel', by: 'acc_1' };

describe('an order', () => {
  test('is placed once, and the answer says what it costs', () => {
    const { type: _, pieces: __, ...fields } = placed;
    given(order, [])
      .when({ type: 'Place', ...fields })
      .then({
        events: [placed],
        result: { placed_at_ms: 1_700_000_000_000, currency: 'GBP', total_e4: 51_000 },
      });
    given(order, [placed])
      .when({ type: 'Place', ...fields })
      .then({ rejected: 'already-exists' });
  });

  test('that was placed under an older version of the program knows its pieces', () => {
    const { type, pieces: _, ...first } = placed;
    const codec = codecOf(realHost().crypto, order as never);
    deepStrictEqual(codec.decode(type, JSON.stringify(first), 'ord_1', null), placed);
    deepStrictEqual(codec.decode(type, codec.encode(placed, 'ord_1', null), 'ord_1', null), placed);
  });

  test('is confirmed in one event, at once or after the payment was pending', () => {
    given(order, [placed])
      .when({ type: 'Confirm', payment: 'ref' })
      .then({ events: [confirmed] });
    given(order, [placed, pending])
      .when({ type: 'Confirm', payment: 'ref' })
      .then({ events: [confirmed] });
  });

  test('waits for a payment only while it is placed', () => {
    given(order, [placed])
      .when({ type: 'AwaitPayment' })
      .then({ events: [pending] });
    given(order, [placed, pending]).when({ type: 'AwaitPayment' }).then({ events: [] });
    given(order, [placed, cancellation]).when({ type: 'AwaitPayment' }).then({ events: [] });
  });

  test('is rejected with a reason, and not any more once it has ended', () => {
    const { type: _, ...why } = declined as Extract<OrderEvent, { type: 'OrderRejected' }>;
    given(order, [placed])
      .when({ type: 'Reject', ...why })
      .then({ events: [declined] });
    given(order, [placed, confirmed])
      .when({ type: 'Reject', ...why })
      .then({ events: [] });
    given(order, [placed, soldOut])
      .when({ type: 'Reject', ...why })
      .then({ events: [] });
  });

  test('may be cancelled while it is placed, paying or confirmed', () => {
    const events = [cancellation];
    given(order, [placed]).when(cancel).then({ events });
    given(order, [placed, pending]).when(cancel).then({ events });
    given(order, [placed, confirmed]).when(cancel).then({ events });
    given(order, [placed, cancellation]).when(cancel).then({ events: [] });
    given(order, [placed, soldOut]).when(cancel).then({ rejected: 'conflict' });
    given(order, []).when(cancel).then({ rejected: 'not-found' });
  });

  test('a confirmation that comes after the cancellation comes to nothing', () => {
    given(order, [placed, cancellation]).when({ type: 'Confirm', payment: 'ref' }).then({ events: [] });
  });

  test('ends when everything is given back', () => {
    const returned: OrderEvent = { type: 'PaymentReturned', reference: 'ref' };
    given(order, [placed, confirmed, cancellation])
      .when({ type: 'Settle', payment: 'ref' })
      .then({ events: [returned, { type: 'OrderCancelled' }] });
    given(order, [placed, declined])
      .when({ type: 'Settle', payment: null })
      .then({ events: [{ type: 'OrderSettled' }] });
    given(order, [placed, soldOut]).when({ type: 'Settle', payment: null }).then({ events: [] });
    given(order, [placed, declined, { type: 'OrderSettled' }])
      .when({ type: 'Settle', payment: null })
      .then({ events: [] });
  });
});

const commands: readonly OrderCommand[] = [
  { type: 'AwaitPayment' },
  { type: 'Confirm', payment: 'ref' },
  { type: 'Reject', reason: 'payment-timed-out', detail: '', held: 'stock-and-payment' },
  { type: 'Reject', reason: 'insufficient-stock', detail: '', held: 'nothing' },
  { type: 'Settle', payment: null },
  { type: 'Settle', payment: 'ref' },
  cancel,
];

function decided(history: readonly OrderEvent[], command: OrderCommand): readonly OrderEvent[] {
  const { decision } = given(order, history).when(command);
  return decision.outcome === 'accepted' ? decision.events : [];
}

test('whatever happens, events fit their schemas, and an order that ended stays ended', () => {
  const checks = Object.fromEntries(
    Object.entries(order.events).map(([type, schema]) => [type, Compile(schema)]),
  );
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...commands), { maxLength: 12 }), (sequence) => {
      let history: OrderEvent[] = [placed];
      for (const command of sequence) {
        const before = fold(order, history).status;
        const events = decided(history, command);
        history = [...history, ...events];
        for (const { type, ...fields } of events)
          ok(checks[type]?.Check(fields), `${type} ${JSON.stringify(fields)}`);
        const after = fold(order, history).status;
        if (before === 'rejected' || before === 'cancelled') deepStrictEqual(after, before);
        if (before === 'confirmed') ok(after === 'confirmed' || after === 'cancelling');
      }
    }),
  );
});

test('from wherever it stands an order can end', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...commands), { maxLength: 12 }), (sequence) => {
      let history: OrderEvent[] = [placed];
      for (const command of sequence) history = [...history, ...decided(history, command)];
      const ways: readonly OrderCommand[][] = [
        [],
        [{ type: 'Confirm', payment: 'ref' }],
        [{ type: 'Settle', payment: null }],
      ];
      const ends = ways.some((way) => {
        let so = history;
        for (const command of way) so = [...so, ...decided(so, command)];
        const { status, held } = fold(order, so);
        return ['confirmed', 'rejected', 'cancelled'].includes(status) && held === 'nothing';
      });
      ok(ends);
    }),
  );
});

test('lines that name one product are one quantity', () => {
  const line = placed.lines[0] as OrderPlaced['lines'][0];
  deepStrictEqual(
    [...quantities({ lines: [line, { ...line, product: 'b' }, { ...line, quantity: 5 }] })],
    [
      [line.product, 7],
      ['b', 2],
    ],
  );
});
