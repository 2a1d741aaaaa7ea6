import { deepStrictEqual, ok } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fold, given } from 'cardume/testing/given';
import fc from 'fast-check';
import { Compile } from 'typebox/compile';
import type { StockCommand } from '../contracts/stock.ts';
import { rights, type StockEvent, type StockState, stock } from './stock.ts';

const received: StockEvent = { type: 'StockReceived', quantity: 10 };
const reserved: StockEvent = { type: 'StockReserved', order: 'a', quantity: 4 };
const committed: StockEvent = { type: 'ReservationCommitted', order: 'a' };
const released: StockEvent = { type: 'ReservationReleased', order: 'a' };
const sent: StockEvent = { type: 'TransferSent', transfer: 't', to: 'stk_2', quantity: 3 };

const reserve = (order: string, quantity: number): StockCommand => ({ type: 'Reserve', order, quantity });

describe('stock of a region', () => {
  test('is received', () => {
    given(stock, [])
      .when({ type: 'Receive', quantity: 10 })
      .then({ events: [received] });
  });

  test('is reserved as long as there is enough', () => {
    given(stock, [received])
      .when(reserve('a', 4))
      .then({ events: [reserved] });
    given(stock, [received, reserved]).when(reserve('b', 7)).then({ rejected: 'insufficient-stock' });
    given(stock, [received, reserved])
      .when(reserve('b', 6))
      .then({ events: [{ type: 'StockReserved', order: 'b', quantity: 6 }] });
  });

  test('never was there: another answer than sold out', () => {
    given(stock, []).when(reserve('a', 1)).then({ rejected: 'not-found' });
  });

  test('a repeated reservation reserves nothing more while it is open', () => {
    given(stock, [received, reserved]).when(reserve('a', 4)).then({ events: [] });
  });

  test('a reservation is sold once', () => {
    given(stock, [received, reserved])
      .when({ type: 'Commit', order: 'a' })
      .then({ events: [committed] });
    given(stock, [received, reserved, committed]).when({ type: 'Commit', order: 'a' }).then({ events: [] });
    given(stock, [received, reserved, released]).when({ type: 'Commit', order: 'a' }).then({ events: [] });
  });

  test('an order gives back its reservation, or else what it was sold', () => {
    const back: StockCommand = { type: 'Return', order: 'a', quantity: 4 };
    given(stock, [received, reserved])
      .when(back)
      .then({ events: [released] });
    given(stock, [received, reserved, committed])
      .when(back)
      .then({ events: [{ type: 'StockReturned', order: 'a', quantity: 4 }] });
    given(stock, [received]).when(back).then({ rejected: 'conflict' });
  });

  test('is sent to another region, and no more than is available', () => {
    given(stock, [received])
      .when({ type: 'SendTransfer', transfer: 't', to: 'stk_2', quantity: 3 })
      .then({ events: [sent], result: { transfer: 't' } });
    given(stock, [received, reserved])
      .when({ type: 'SendTransfer', transfer: 't', to: 'stk_2', quantity: 7 })
      .then({ rejected: 'insufficient-stock' });
  });

  test('a transfer is in transit until it is settled, once', () => {
    deepStrictEqual(fold(stock, [received, sent]).inTransit.get('t'), 3);
    given(stock, [received, sent])
      .when({ type: 'SettleTransfer', transfer: 't' })
      .then({ events: [{ type: 'TransferSettled', transfer: 't' }] });
    given(stock, [received]).when({ type: 'SettleTransfer', transfer: 't' }).then({ events: [] });
  });
});

const order = fc.constantFrom('a', 'b', 'c', 'd');
const quantity = fc.integer({ min: 1, max: 12 });
const command: fc.Arbitrary<StockCommand> = fc.oneof(
  fc.record({ type: fc.constant('Receive' as const), quantity }),
  fc.record({ type: fc.constant('Reserve' as const), order, quantity }),
  fc.record({ type: fc.constant('Commit' as const), order }),
  fc.record({ type: fc.constant('Return' as const), order, quantity }),
  fc.record({
    type: fc.constant('SendTransfer' as const),
    transfer: order,
    to: fc.constant('stk_2'),
    quantity,
  }),
  fc.record({
    type: fc.constant('ReceiveTransfer' as const),
    transfer: order,
    from: fc.constant('stk_2'),
    quantity,
  }),
  fc.record({ type: fc.constant('SettleTransfer' as const), transfer: order }),
);

function balanced(state: StockState): void {
  const { available, reserved: held, sold, reservations } = state;
  deepStrictEqual(available + held + sold, rights(state));
  ok(available >= 0 && sold >= 0, `available ${available}, sold ${sold}`);
  deepStrictEqual(
    held,
    [...reservations.values()].reduce((sum, one) => sum + one, 0),
  );
}

test('whatever is asked of it, nothing is sold twice and events fit their schemas', () => {
  const checks = Object.fromEntries(
    Object.entries(stock.events).map(([type, schema]) => [type, Compile(schema)]),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const history: StockEvent[] = [];
      for (const one of commands) {
        const { decision } = given(stock, history).when(one);
        if (decision.outcome === 'rejected') continue;
        for (const event of decision.events) {
          const { type, ...fields } = event;
          ok(checks[type]?.Check(fields), `${type} ${JSON.stringify(fields)}`);
          history.push(event);
        }
        balanced(fold(stock, history));
      }
    }),
  );
});
