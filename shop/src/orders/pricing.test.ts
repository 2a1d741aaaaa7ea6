import { deepStrictEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CardumeError } from 'cardume/base';
import type { Offer } from '../contracts/catalogue.ts';
import { type AskedLine, price } from './pricing.ts';

const offers: Readonly<Record<string, Offer>> = {
  heart: { sku: '85123A', priceE4: 25_500, currency: 'GBP', withdrawn: false },
  lampe: { sku: 'L1', priceE4: 100_000, currency: 'EUR', withdrawn: false },
  island: { sku: 'I', priceE4: 9_000_000_000_000_000, currency: 'GBP', withdrawn: false },
};
const offerOf = (product: string): Offer | null => offers[product] ?? null;
const gbp = (amount: string) => ({ amount, currency: 'GBP' });

function faults(lines: readonly AskedLine[], decimals = 0): string[] {
  try {
    price(lines, offerOf, decimals);
  } catch (error) {
    if (error instanceof CardumeError) return error.faults.map(({ path }) => path);
    throw error;
  }
  return [];
}

describe('pricing', () => {
  test('takes the catalogue’s price', () => {
    deepStrictEqual(price([{ product: 'heart', quantity: 3 }], offerOf, 0), {
      lines: [{ product: 'heart', sku: '85123A', quantity: 3, unit_price_e4: 25_500 }],
      currency: 'GBP',
      total_e4: 76_500,
      agreed: false,
    });
  });

  test('takes an agreed price, exact to the declared decimals', () => {
    const { total_e4, agreed } = price(
      [{ product: 'heart', quantity: 3, unit_price: gbp('0.001') }],
      offerOf,
      3,
    );
    deepStrictEqual([total_e4, agreed], [30, true]);
    deepStrictEqual(faults([{ product: 'heart', quantity: 3, unit_price: gbp('0.001') }]), [
      '/body/lines/0/unit_price/amount',
    ]);
  });

  test('a product may stand in several lines', () => {
    const line = { product: 'heart', quantity: 1 };
    deepStrictEqual(price([line, line], offerOf, 0).total_e4, 51_000);
  });

  test('names every line that cannot be sold', () => {
    const asked = [
      { product: 'vase', quantity: 1 },
      { product: 'heart', quantity: 1 },
      { product: 'lampe', quantity: 1 },
      { product: 'lampe', quantity: 1, unit_price: gbp('1') },
      { product: 'lampe', quantity: 1, unit_price: { amount: '1', currency: 'EUR' } },
    ];
    deepStrictEqual(faults(asked), [
      '/body/lines/0/product',
      '/body/lines/2/product',
      '/body/lines/4/unit_price/currency',
    ]);
  });

  test('a total beyond the largest amount is refused', () => {
    deepStrictEqual(faults([{ product: 'island', quantity: 1 }]), []);
    deepStrictEqual(faults([{ product: 'island', quantity: 1_000_000 }]), ['/body/lines/0/quantity']);
    const line = { product: 'island', quantity: 1 };
    deepStrictEqual(faults([line, { product: 'heart', quantity: 1 }]), ['/body/lines/1/quantity']);
  });
});
