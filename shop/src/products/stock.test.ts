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

const queued: StockEvent = { type: 'ReservationQueued', order: 'b', quantity: 7 };
const demanded: StockEvent = { type: 'RightsDemanded', demand: 1, wanted: 1 };

const reserve = (order: string, quantity: number, mayWait = false): StockCommand => ({
  type: 'Reserve',
  order,
  quantity,
  mayWait,
});
const settle = (granted: number, isSure = true): StockCommand => ({
  type: 'SettleDemand',
  demand: 1,
  granted,
  isSure,
});
const settled = (dry: boolean, until_ms: number): StockEvent => ({
  type: 'DemandSettled',
  demand: 1,
  dry,
  until_ms,
});

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

describe('an order that finds too little', () => {
  const before = [received, reserved, queued, demanded];
  const arrived: StockEvent = { type: 'TransferReceived', transfer: 't', from: 'stk_2', quantity: 1 };
  const served: StockEvent = { type: 'StockReserved', order: 'b', quantity: 7 };

  test('waits in line, and other regions are asked once for all who wait', () => {
    given(stock, [received, reserved])
      .when(reserve('b', 7, true))
      .then({ events: [queued, demanded], result: 'waiting' });
    given(stock, before)
      .when(reserve('c', 9, true))
      .then({ events: [{ type: 'ReservationQueued', order: 'c', quantity: 9 }], result: 'waiting' });
    given(stock, before).when({ type: 'Look', order: 'b' }).then({ events: [], result: 'waiting' });
    given(stock, before).when({ type: 'Commit', order: 'b' }).then({ events: [] });
  });

  test('has what comes, from wherever', () => {
    given(stock, before)
      .when({ type: 'ReceiveTransfer', transfer: 't', from: 'stk_2', quantity: 1 })
      .then({ events: [arrived, served] });
    given(stock, before)
      .when({ type: 'Receive', quantity: 3 })
      .then({ events: [{ type: 'StockReceived', quantity: 3 }, served] });
    given(stock, before)
      .when({ type: 'Return', order: 'a', quantity: 4 })
      .then({ events: [released, served] });
    given(stock, [...before, arrived, served])
      .when(settle(1))
      .then({ events: [settled(false, 0)] });
  });

  test('is refused when nobody has anything; for a moment nobody waits', () => {
    const refused: StockEvent = { type: 'ReservationRefused', order: 'b' };
    const all = [...before, settled(true, 2_000), refused];
    given(stock, before)
      .when(settle(0))
      .then({ events: [settled(true, 2_000), refused] });
    given(stock, all).when({ type: 'Look', order: 'b' }).then({ events: [], result: 'refused' });
    given(stock, all)
      .when({ type: 'Receive', quantity: 3 })
      .then({ events: [{ type: 'StockReceived', quantity: 3 }] });
    given(stock, all)
      .when({ type: 'Return', order: 'b', quantity: 7 })
      .then({ events: [{ type: 'ReservationReleased', order: 'b' }] });
    given(stock, all)
      .when(reserve('c', 7, true), { atMs: 1_999 })
      .then({ rejected: 'insufficient-stock' });
    given(stock, all)
      .when(reserve('c', 7, true), { atMs: 2_000 })
      .then({
        events: [
          { type: 'ReservationQueued', order: 'c', quantity: 7 },
          { type: 'RightsDemanded', demand: 2, wanted: 1 },
        ],
      });
  });

  test('waits on while a region cannot be asked', () => {
    given(stock, before)
      .when(settle(0, false))
      .then({ events: [settled(false, 0), { type: 'RightsDemanded', demand: 2, wanted: 1 }] });
  });

  test('is asked for as long as anything comes, however many rounds that takes', () => {
    const history: StockEvent[] = [...before];
    for (let demand = 1; demand <= 12; demand += 1) {
      const came: StockEvent = {
        type: 'TransferReceived',
        transfer: `t${demand}`,
        from: 'stk_2',
        quantity: 1,
      };
      const order = `c${demand}`;
      const next: StockEvent[] = demand === 1 ? [{ type: 'StockReserved', order: 'b', quantity: 7 }] : [];
      history.push(came, ...next, { type: 'ReservationQueued', order, quantity: 50 });
      const { decision } = given(stock, history).when({
        type: 'SettleDemand',
        demand,
        granted: 1,
        isSure: true,
      });
      const events = decision.outcome === 'accepted' ? decision.events : [];
      deepStrictEqual(
        events.map(({ type }) => type),
        ['DemandSettled', 'RightsDemanded'],
      );
      history.push(...events);
    }
  });

  test('that came behind a demand for fewer is asked for again', () => {
    const next: StockEvent = { type: 'ReservationQueued', order: 'c', quantity: 9 };
    given(stock, [...before, next, arrived, served])
      .when(settle(1))
      .then({ events: [settled(false, 0), { type: 'RightsDemanded', demand: 2, wanted: 9 }] });
  });

  test('other regions are asked before anybody waits, and not again when they had no more', () => {
    given(stock, [received])
      .when(reserve('a', 3, true))
      .then({
        events: [
          { type: 'StockReserved', order: 'a', quantity: 3 },
          { type: 'RightsDemanded', demand: 1, wanted: 0 },
        ],
      });
    given(stock, [received, { type: 'RightsDemanded', demand: 1, wanted: 0 }, settled(false, 10_000)])
      .when(reserve('a', 3, true), { atMs: 9_999 })
      .then({ events: [{ type: 'StockReserved', order: 'a', quantity: 3 }] });
  });

  test('of two that wait for each other, one is given', () => {
    const give = (to: string): StockCommand => ({ type: 'Give', transfer: 't', to, quantity: 9 });
    given(stock, before)
      .when(give('stk_2'), { id: 'stk_1' })
      .then({ events: [], result: { quantity: 0 } });
    given(stock, before)
      .when(give('stk_2'), { id: 'stk_3' })
      .then({
        events: [{ type: 'TransferSent', transfer: 't', to: 'stk_2', quantity: 6 }],
        result: { quantity: 6 },
      });
  });
});

describe('rights of a region that was lost', () => {
  const frozen: StockEvent = { type: 'RightsFrozen', term: 3, quantity: 6 };
  const frozenAll: StockEvent = { type: 'RightsFrozen', term: 3, quantity: 10 };
  const lost = { unclean: 3 };
  const writeOff: StockCommand = { type: 'WriteOff', reason: 'the warehouse burned down', by: 'acc_1' };

  test('are sold by nobody; what comes from elsewhere is', () => {
    given(stock, [received, reserved]).when(reserve('b', 1), lost).then({ rejected: 'insufficient-stock' });
    given(stock, [received, reserved])
      .when({ type: 'Give', transfer: 't', to: 'stk_2', quantity: 1 }, lost)
      .then({ events: [], result: { quantity: 0 } });
    given(stock, [received, reserved])
      .when({ type: 'Receive', quantity: 2 }, lost)
      .then({ events: [frozen, { type: 'StockReceived', quantity: 2 }] });
    const after = [received, reserved, frozen, { type: 'StockReceived', quantity: 2 }] as const;
    given(stock, after)
      .when(reserve('b', 2), lost)
      .then({ events: [{ type: 'StockReserved', order: 'b', quantity: 2 }] });
    given(stock, after).when(reserve('b', 3), lost).then({ rejected: 'insufficient-stock' });
  });

  test('are not returned twice: a sale that was lost with two regions took nothing from what is here', () => {
    const back: StockCommand = { type: 'Return', order: 'z', quantity: 2 };
    const missing: StockEvent = { type: 'SaleMissing', order: 'z', quantity: 2 };
    given(stock, [received])
      .when(back, lost)
      .then({ events: [frozenAll, missing] });
    // Also when nobody took or gave anything before the lost region followed again.
    given(stock, [received])
      .when(back)
      .then({ events: [missing] });
    given(stock, [received, missing])
      .when(reserve('b', 10))
      .then({ events: [{ type: 'StockReserved', order: 'b', quantity: 10 }], result: 'reserved' });
  });

  test('are waited for by orders that find too little, for so many rounds', () => {
    const next: StockEvent = { type: 'RightsDemanded', demand: 2, wanted: 1 };
    const before: StockEvent[] = [
      received,
      frozenAll,
      { type: 'ReservationQueued', order: 'b', quantity: 1 },
    ];
    given(stock, [...before, demanded])
      .when(settle(0), lost)
      .then({ events: [settled(false, 0), next] });
    // It is back meanwhile.
    given(stock, [...before, demanded])
      .when(settle(0))
      .then({
        events: [
          { type: 'RightsThawed', quantity: 10 },
          { type: 'StockReserved', order: 'b', quantity: 1 },
          settled(false, 10_000),
        ],
      });
    const rounds = Array.from({ length: 8 }, (_, i): StockEvent[] => [
      { type: 'RightsDemanded', demand: i + 1, wanted: 1 },
      { ...settled(false, 0), demand: i + 1 } as StockEvent,
    ]).flat();
    given(stock, [...before, ...rounds.slice(0, -1)])
      .when({ type: 'SettleDemand', demand: 8, granted: 0, isSure: true }, lost)
      .then({
        events: [
          { ...settled(true, 2_000), demand: 8 } as StockEvent,
          { type: 'ReservationRefused', order: 'b' },
        ],
      });
  });

  test('what was promised before is kept', () => {
    given(stock, [received, reserved])
      .when({ type: 'Commit', order: 'a' }, lost)
      .then({ events: [committed] });
  });

  test('are there again when it is back, and frozen again when it is lost again', () => {
    given(stock, [received, reserved, frozen])
      .when(reserve('b', 6))
      .then({
        events: [
          { type: 'RightsThawed', quantity: 6 },
          { type: 'StockReserved', order: 'b', quantity: 6 },
        ],
      });
    given(stock, [received, reserved, frozen, { type: 'RightsThawed', quantity: 6 }])
      .when({ type: 'Receive', quantity: 1 }, { unclean: 5 })
      .then({
        events: [
          { type: 'RightsFrozen', term: 5, quantity: 6 },
          { type: 'StockReceived', quantity: 1 },
        ],
      });
  });

  test('are written off by somebody, once', () => {
    const off: StockEvent = {
      type: 'RightsWrittenOff',
      quantity: 6,
      reason: 'the warehouse burned down',
      by: 'acc_1',
    };
    given(stock, [received, reserved])
      .when(writeOff, lost)
      .then({ events: [frozen, off], result: { quantity: 6 } });
    given(stock, [received, reserved, frozen, off]).when(writeOff, lost).then({ rejected: 'conflict' });
    given(stock, [received, reserved]).when(writeOff).then({ rejected: 'conflict' });
    given(stock, [received, reserved, frozen, off])
      .when(reserve('b', 1))
      .then({ rejected: 'insufficient-stock' });
  });
});

const order = fc.constantFrom('a', 'b', 'c', 'd');
const quantity = fc.integer({ min: 1, max: 12 });
const command: fc.Arbitrary<StockCommand> = fc.oneof(
  fc.record({ type: fc.constant('Receive' as const), quantity }),
  fc.record({ type: fc.constant('Reserve' as const), order, quantity, mayWait: fc.boolean() }),
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
  fc.record({ type: fc.constant('Give' as const), transfer: order, to: fc.constant('stk_2'), quantity }),
  fc.record({
    type: fc.constant('SettleDemand' as const),
    demand: fc.integer({ min: 1, max: 9 }),
    granted: fc.nat({ max: 1 }),
    isSure: fc.boolean(),
  }),
  fc.constant({ type: 'WriteOff' as const, reason: 'gone', by: 'acc_1' }),
);

/** One command of five is decided while the region is lost. */
const loss = fc.nat({ max: 4 }).map((roll) => roll === 0);

function balanced(state: StockState): void {
  const { available, reserved: held, sold, frozen, reservations } = state;
  deepStrictEqual(available + held + sold + frozen, rights(state));
  ok(available >= 0 && sold >= 0 && frozen >= 0, `available ${available}, sold ${sold}, frozen ${frozen}`);
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
    fc.property(fc.array(fc.tuple(command, loss), { maxLength: 60 }), (commands) => {
      const history: StockEvent[] = [];
      let term = 0;
      for (const [one, isLost] of commands) {
        if (isLost) term += 1;
        const { decision } = given(stock, history).when(one, { unclean: isLost ? term : 0 });
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
