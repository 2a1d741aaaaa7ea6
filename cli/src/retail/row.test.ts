import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { COLUMNS, readHeader } from './row.ts';

const good = {
  InvoiceNo: '536365',
  StockCode: '85123A',
  Description: 'HOLDER',
  Quantity: '6',
  InvoiceDate: '2010-12-01 08:26:00',
  UnitPrice: '2.55',
  CustomerID: '17850',
  Country: 'United Kingdom',
};

const read = (changes: Partial<typeof good> = {}) =>
  readHeader(COLUMNS)(
    2,
    COLUMNS.map((column) => ({ ...good, ...changes })[column]),
  );
const reasonOf = (changes: Partial<typeof good>): string => {
  const found = read(changes);
  return found.kind === 'sellable' ? 'sellable' : found.reason;
};

describe('a row', () => {
  test('is read exactly', () => {
    const found = read();
    assert.equal(found.kind, 'sellable');
    assert.deepEqual(found.row, {
      line: 2,
      invoice: '536365',
      sku: '85123A',
      name: 'HOLDER',
      quantity: 6,
      atMs: Date.parse('2010-12-01T08:26:00Z'),
      price: '2.55',
      priceE4: 25_500,
      customer: '17850',
      country: 'United Kingdom',
    });
  });

  const cases: readonly (readonly [changes: Partial<typeof good>, reason: string])[] = [
    [{ InvoiceNo: 'C536365', Quantity: '-6' }, 'cancellation'],
    [{ InvoiceNo: 'A563185' }, 'sellable'],
    [{ InvoiceNo: '' }, 'bad-invoice'],
    [{ Quantity: '0' }, 'quantity-not-positive'],
    [{ Quantity: '-1' }, 'quantity-not-positive'],
    [{ Quantity: '1.5' }, 'bad-quantity'],
    [{ Quantity: 'six' }, 'bad-quantity'],
    [{ Quantity: '1000001' }, 'bad-quantity'],
    [{ UnitPrice: '0' }, 'price-not-positive'],
    [{ UnitPrice: '-11062.06' }, 'price-not-positive'],
    [{ UnitPrice: '0.001' }, 'sellable'],
    [{ UnitPrice: '0.0001' }, 'sellable'],
    [{ UnitPrice: '0.00001' }, 'bad-price'],
    [{ UnitPrice: '1e-2' }, 'bad-price'],
    [{ UnitPrice: '2,55' }, 'bad-price'],
    [{ UnitPrice: '' }, 'bad-price'],
    [{ InvoiceDate: '2011-02-29 10:00:00' }, 'bad-date'],
    [{ InvoiceDate: '13/1/2010 8:26' }, 'bad-date'],
    [{ InvoiceDate: '12/1/2010 8:26' }, 'sellable'],
    [{ InvoiceDate: '2010-12-01T24:00:00' }, 'bad-date'],
    [{ InvoiceDate: 'NA' }, 'bad-date'],
    [{ StockCode: ' ' }, 'bad-sku'],
    [{ CustomerID: 'a b' }, 'bad-customer'],
    [{ Country: '' }, 'bad-country'],
    [{ Country: 'x'.repeat(61) }, 'bad-country'],
  ];
  for (const [changes, reason] of cases) {
    test(`${JSON.stringify(changes).slice(0, 60)} → ${reason}`, () =>
      assert.equal(reasonOf(changes), reason));
  }

  test('guests, and what spreadsheets make of numbers', () => {
    const customerOf = (CustomerID: string): unknown => {
      const found = read({ CustomerID });
      return found.kind === 'sellable' ? found.row.customer : found.reason;
    };
    assert.deepEqual(['', 'NA', 'nan', '17850.0', '17850'].map(customerOf), [
      null,
      null,
      null,
      '17850',
      '17850',
    ]);
  });

  test('months come first in dates with strokes', () => {
    const found = read({ InvoiceDate: '12/1/2010 8:26' });
    assert.ok(found.kind === 'sellable');
    assert.equal(new Date(found.row.atMs).toISOString(), '2010-12-01T08:26:00.000Z');
  });
});

describe('the header', () => {
  test('takes any order and other columns beside', () => {
    const header = ['Note', ...COLUMNS.toReversed()];
    const found = readHeader(header)(7, ['n', ...COLUMNS.toReversed().map((column) => good[column])]);
    assert.ok(found.kind === 'sellable');
    assert.equal(found.row.sku, '85123A');
  });

  test('names what is missing', () => {
    assert.throws(
      () => readHeader(['InvoiceNo', 'StockCode', 'Description', 'InvoiceDate', 'CustomerID', 'Country']),
      /the header lacks Quantity, UnitPrice: the first line must name the columns InvoiceNo, .*it says: InvoiceNo/,
    );
  });
});
