import { deepStrictEqual, notDeepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { parseId } from 'cardume/base/id';
import { stage } from '../rehearsal.ts';
import { stockBeside, stockId } from './stock.ts';

const product = 'prd_002_2kb0000000000000000000000a';

test('every region has its own stock of a product', () => {
  notDeepStrictEqual(stockId(stage, 'north', product), stockId(stage, 'south', product));
});

test('an order meets the stock of its own region, wherever its home is now', () => {
  for (const region of stage.regions) {
    const born = stage.placeInRegion('orders', region, 'some customer');
    deepStrictEqual(stockBeside(stage, born, product), stockId(stage, region, product));
    deepStrictEqual(parseId(stockBeside(stage, born, product)).scope, born.scope);
  }
});
