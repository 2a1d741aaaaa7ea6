import { deepStrictEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from 'cardume/base';
import { amountE4, moment, money, parseMoment } from './schemas.ts';

test('money is exact decimal text in and out', () => {
  deepStrictEqual(amountE4({ amount: '2.55', currency: 'GBP' }, '/body/price'), 25_500);
  deepStrictEqual(money(25_500, 'GBP'), { amount: '2.55', currency: 'GBP' });
  deepStrictEqual(money(61_682_787_740n, 'GBP'), { amount: '6168278.774', currency: 'GBP' });
  deepStrictEqual(money(5_000_000, 'JPY'), { amount: '500', currency: 'JPY' });
});

test('more decimals than the currency has are refused, unless they were declared', () => {
  const fine = { amount: '0.001', currency: 'GBP' };
  deepStrictEqual(amountE4(fine, '/body/lines/0/unit_price', 3), 10);
  throws(
    () => amountE4(fine, '/body/lines/0/unit_price'),
    (error) => {
      return (
        isCardumeError(error, 'invalid-input') && error.faults[0]?.path === '/body/lines/0/unit_price/amount'
      );
    },
  );
});

test('times are RFC 3339', () => {
  deepStrictEqual(parseMoment('2010-12-01T08:26:00Z', '/body/placed_at'), Date.UTC(2010, 11, 1, 8, 26));
  deepStrictEqual(parseMoment('2010-12-01T09:26:00+01:00', '/body/placed_at'), Date.UTC(2010, 11, 1, 8, 26));
  deepStrictEqual(moment(Date.UTC(2010, 11, 1, 8, 26)), '2010-12-01T08:26:00.000Z');
  for (const text of ['2010-12-01', 'yesterday', '2010-13-01T00:00:00Z', '1/12/2010 08:26']) {
    throws(
      () => parseMoment(text, '/body/placed_at'),
      (error) => isCardumeError(error, 'invalid-input'),
      text,
    );
  }
});
