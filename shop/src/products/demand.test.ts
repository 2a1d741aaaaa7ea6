import { deepStrictEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stockId } from '../contracts/stock.ts';
import { productNamed, Rehearsal, type Script, stage } from '../rehearsal.ts';
import { giftsFor } from './demand.ts';
import { service } from './products.ts';
import { type StockState, stocks } from './stock.ts';

const product = productNamed('heart');
const north = stockId(stage, 'north', product);
const south = stockId(stage, 'south', product);

test('the richest gives what is lacking, or half of what it has more, and others what is left to give', () => {
  const poor = { id: 'poor', version: 1, available: 4 };
  const rich = { id: 'rich', version: 1, available: 10 };
  const givers = [poor, rich, { id: 'none', version: 0, available: 0 }];
  deepStrictEqual(giftsFor(0, 2, givers), [{ from: rich, quantity: 4 }]);
  deepStrictEqual(giftsFor(1, 2, givers), [{ from: rich, quantity: 4 }]);
  deepStrictEqual(giftsFor(9, 0, givers), [{ from: rich, quantity: 9 }]);
  deepStrictEqual(giftsFor(12, 0, givers), [
    { from: rich, quantity: 10 },
    { from: poor, quantity: 2 },
  ]);
  deepStrictEqual(giftsFor(99, 0, givers), [
    { from: rich, quantity: 10 },
    { from: poor, quantity: 4 },
  ]);
  deepStrictEqual(giftsFor(0, 10, givers), []);
});

const wishes = fc.array(
  fc.record({ at: fc.constantFrom(north, south), quantity: fc.integer({ min: 1, max: 8 }) }),
  { minLength: 1, maxLength: 6 },
);

test('two regions that run out: nobody waits for ever, what all have suffices or is not there, nothing is made', async () => {
  let served = 0;
  let moved = 0;
  await fc.assert(
    fc.asyncProperty(wishes, fc.infiniteStream(fc.nat({ max: 99 })), async (orders, chances) => {
      let faultsLeft = chances.next().value % 3 === 0 ? 0 : 8;
      const isCalm = faultsLeft === 0;
      const chance = (): number => chances.next().value;
      const script: Script = {
        pick: (waiting) => chance() % waiting,
        fault: () => {
          const fault = (['lost', 'answer-lost', 'twice'] as const)[chance() % 6] ?? 'none';
          if (faultsLeft === 0 || fault === 'none') return 'none';
          faultsLeft -= 1;
          return fault;
        },
      };
      const play = new Rehearsal([service], script);
      play.now(stocks, north, { type: 'Receive', quantity: 7 });
      play.now(stocks, south, { type: 'Receive', quantity: 5 });
      orders.forEach(({ at, quantity }, i) => {
        try {
          play.now(stocks, at, { type: 'Reserve', order: `ord_${i}`, quantity, mayWait: true });
        } catch {
          // It is put off.
        }
      });
      await play.play();
      const both: readonly StockState[] = [play.state(stocks, north), play.state(stocks, south)];
      const sum = (of: (state: StockState) => number): number =>
        both.reduce((total, state) => total + of(state), 0);
      deepStrictEqual(
        sum(({ available, reserved }) => available + reserved),
        12,
      );
      const inLine = both.flatMap(({ line }) => [...line.values()]);
      ok(
        inLine.every(({ isRefused }) => isRefused),
        'somebody still waits',
      );
      ok(both.every(({ demand, inTransit }) => demand === null && inTransit.size === 0));
      // Where no message is lost, whoever is refused wanted more than was left in all.
      if (isCalm) {
        const left = sum(({ available }) => available);
        ok(inLine.every(({ quantity }) => quantity > left));
      }
      served += sum(({ reservations }) => reservations.size);
      moved += sum(({ transferredIn }) => transferredIn);
    }),
    { numRuns: 300 },
  );
  ok(served > 0 && moved > 0);
});
