import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { formatAmount } from 'cardume/base/money';
import { revenueOf } from './comparison.ts';
import { isKnownCountry, isoCountry } from './countries.ts';
import { openSource } from './files.ts';
import { readInvoices } from './invoices.ts';
import { visitRows } from './rows.ts';
import { cataloguePrice, type InvoiceNote, productName, Survey } from './survey.ts';

const HEADER = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';

async function* chunksOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

async function surveyOf(chunks: () => AsyncIterable<Uint8Array>, limit?: number) {
  const notes: InvoiceNote[] = [];
  const survey = new Survey((note) => notes.push(note), limit);
  const visitor = {
    sellable: survey.sellable.bind(survey),
    rejected: survey.rejected.bind(survey),
  };
  for await (const _ of visitRows(chunks(), visitor));
  return { survey, notes };
}

const csv = (...rows: readonly string[]) => {
  const text = [HEADER, ...rows.map((row) => row.replace('@', '2010-12-01 08:26:00'))].join('\n');
  return () => chunksOf(text);
};

describe('survey', () => {
  test('the first row of an invoice decides; others are reported and sold under it', async () => {
    const chunks = csv('1,A,apple,2,@,1.5,c1,EIRE', '1,B,bun,1,@,1,c2,France', '2,A,apple,1,@,2,c1,USA');
    const { survey, notes } = await surveyOf(chunks);
    assert.deepEqual(
      notes.map(({ line, reason }) => `${line} ${reason}`),
      ['3 customer-differs', '3 country-differs'],
    );
    assert.deepEqual([...survey.customers], [['c1', 'IE']]);
    assert.deepEqual(
      [...(survey.needs.get('IE') ?? [])],
      [
        ['A', 3],
        ['B', 1],
      ],
    );
    assert.deepEqual(
      [...revenueOf(survey.orders())],
      [
        ['EIRE', { revenueE4: 40_000n, orders: 1 }],
        ['USA', { revenueE4: 20_000n, orders: 1 }],
      ],
    );
  });

  test('codes that differ by case are two products; the most frequent name and the last whole price win', async () => {
    const chunks = csv(
      '1,a,old,1,@,1,NA,Spain',
      '1,a,new,1,@,3.25,NA,Spain',
      '2,a,new,1,@,9.125,NA,Spain',
      '2,A,other,1,@,0.001,NA,Spain',
    );
    const { survey } = await surveyOf(chunks);
    const [small, big] = [...survey.products.values()];
    assert.ok(small !== undefined && big !== undefined);
    assert.deepEqual([small.sku, productName(small), cataloguePrice(small)], ['a', 'new', '3.25']);
    assert.deepEqual([big.sku, productName(big), cataloguePrice(big)], ['A', 'other', '0.01']);
    assert.deepEqual([...survey.guestCountries], ['ES']);
  });

  test('an invoice of more than 1,000 lines is left out of orders and revenue', async () => {
    const rows = Array.from({ length: 1_001 }, () => '1,A,apple,1,@,1,NA,Spain');
    const chunks = csv(...rows, '2,A,apple,1,@,1,NA,Spain');
    const { survey, notes } = await surveyOf(chunks);
    assert.deepEqual(
      notes.map(({ reason }) => reason),
      ['too-many-lines'],
    );
    assert.deepEqual(
      [...survey.orders()].map(({ number }) => number),
      ['2'],
    );
    const invoices = [];
    for await (const invoice of readInvoices(chunks(), survey, () => true)) invoices.push(invoice.number);
    assert.deepEqual(invoices, ['2']);
  });

  test('rows of an invoice need not be neighbours, and keep their order', async () => {
    const chunks = csv('1,A,a,1,@,1,NA,Spain', '2,B,b,2,@,1,NA,Spain', '1,C,c,3,@,1,NA,Spain');
    const { survey } = await surveyOf(chunks);
    const invoices = [];
    for await (const { number, lines } of readInvoices(chunks(), survey, () => true)) {
      invoices.push(`${number}: ${lines.map(({ sku, quantity }) => `${quantity} ${sku}`).join(', ')}`);
    }
    assert.deepEqual(invoices, ['2: 2 B', '1: 1 A, 3 C']);
  });

  test('a limit takes the first invoices, and only what they need', async () => {
    const chunks = csv('1,A,a,1,@,1,c1,Spain', '2,B,b,2,@,1,c2,Spain', '1,C,c,3,@,1,c1,Spain');
    const { survey } = await surveyOf(chunks, 1);
    assert.deepEqual([[...survey.customers.keys()], [...survey.products.keys()]], [['c1'], ['A', 'C']]);
  });

  test('an unknown country is reported once, and lives at home', async () => {
    const { notes } = await surveyOf(csv('1,A,a,1,@,1,c1,Atlantis', '2,A,a,1,@,1,c2,Atlantis'));
    assert.deepEqual(
      notes.map(({ reason }) => reason),
      ['country-unknown'],
    );
    assert.deepEqual(['Atlantis', 'EIRE', 'RSA', 'FR', 'constructor'].map(isoCountry), [
      'GB',
      'IE',
      'ZA',
      'FR',
      'GB',
    ]);
  });
});

describe('the retailer of the public data set', () => {
  const file = join(import.meta.dirname, '../../../../shared/data/online-retail-dev.csv.gz');
  const skip = existsSync(file)
    ? false
    : 'the data file is not on this machine (see its README for where to get it)';

  test('agrees with the facts that were computed independently', { skip }, async () => {
    const source = await openSource(file);
    const { survey, notes } = await surveyOf(() => source.chunks());
    assert.deepEqual(notes, []);
    assert.equal(survey.rows, 370_931);
    assert.equal(survey.regularInvoices, 15_899);
    assert.equal(survey.cancellations, 2_887);
    const sums = revenueOf(survey.orders());
    assert.equal(sums.size, 37);
    assert.ok([...sums.keys()].every(isKnownCountry));
    assert.equal(
      [...sums.values()].reduce((orders, sum) => orders + sum.orders, 0),
      14_332,
    );
    assert.equal(
      formatAmount(
        [...sums.values()].reduce((all, sum) => all + sum.revenueE4, 0n),
        2,
      ),
      '7363416.234',
    );
    const named = ['United Kingdom', 'EIRE', 'Netherlands', 'Germany', 'France', 'Australia'];
    assert.deepEqual(
      named.map((country) => formatAmount(sums.get(country)?.revenueE4 ?? 0n, 3)),
      ['6168278.774', '221056.720', '207135.660', '161219.530', '137194.030', '114128.060'],
    );

    let orders = 0;
    let lines = 0;
    let longest = 0;
    for await (const invoice of readInvoices(source.chunks(), survey, () => true)) {
      orders += 1;
      lines += invoice.lines.length;
      longest = Math.max(longest, invoice.lines.length);
    }
    assert.deepEqual([orders, lines, longest], [14_332, survey.sellableRows, 705]);
  });
});
