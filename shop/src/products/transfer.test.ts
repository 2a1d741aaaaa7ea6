import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stockId } from '../contracts/stock.ts';
import { productNamed, Rehearsal, type Script, stage } from '../rehearsal.ts';
import { service } from './products.ts';
import { rights, stocks } from './stock.ts';

const product = productNamed('heart');
const north = stockId(stage, 'north', product);
const south = stockId(stage, 'south', product);

test('rights arrive once, however often the way is interrupted', async () => {
  const roll = fc.infiniteStream(fc.nat({ max: 99 }));
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(sizes, roll, fc.nat({ max: 12 }), async (quantities, chances, crashAt) => {
      let faultsLeft = 12;
      const chance = (): number => chances.next().value;
      const script: Script = {
        pick: (waiting) => chance() % waiting,
        fault: () => {
          const fault = (['lost', 'answer-lost', 'twice'] as const)[chance() % 5] ?? 'none';
          return faultsLeft-- > 0 ? fault : 'none';
        },
      };
      const play = new Rehearsal([service], script);
      play.now(stocks, north, { type: 'Receive', quantity: 200 });
      quantities.forEach((quantity, i) => {
        play.now(stocks, north, { type: 'SendTransfer', transfer: `trf_${i}`, to: south, quantity });
      });
      let step = 0;
      await play.play(() => {
        const given = play.state(stocks, north);
        const taken = play.state(stocks, south);
        // Nothing can be sold that was not debited first.
        deepStrictEqual(rights(given) + rights(taken) <= 200, true);
        if (step === crashAt) play.crash();
        step += 1;
      });
      const moved = quantities.reduce((sum, quantity) => sum + quantity, 0);
      const giver = play.state(stocks, north);
      deepStrictEqual([rights(giver), rights(play.state(stocks, south))], [200 - moved, moved]);
      deepStrictEqual(giver.inTransit.size, 0);
    }),
  );
});
