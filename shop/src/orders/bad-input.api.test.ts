/** Orders that no one may place: each is refused with the field that is wrong, and leaves no trace. */
import { after, before, describe, test } from 'node:test';
import {
  card,
  noAccount,
  noProduct,
  openStall,
  pounds,
  type Refusal,
  type Stall,
} from '../refusal.fixture.ts';

describe('a faulty order', () => {
  let stall: Stall;

  before(async () => {
    stall = await openStall();
  });
  after(() => stall.cluster.close());

  test('orders of customers', async () => {
    const { product, dollars, ana, bob, line, refuse } = stall;
    const place = (what: string, pointer: string, body: unknown): Refusal => [
      what,
      400,
      'invalid-input',
      pointer,
      'POST',
      '/orders',
      { token: ana.token, body },
    ];
    const lines = (what: string, pointer: string, ...of: unknown[]): Refusal =>
      place(what, pointer, { lines: of, payment: card });
    const also = (name: string, value: unknown): Refusal =>
      place(`${name}, which only staff may state`, `/body/${name}`, {
        lines: [line()],
        payment: card,
        [name]: value,
      });
    await refuse([
      place('no lines', '/body/lines', { payment: card }),
      place('null for lines', '/body/lines', { lines: null, payment: card }),
      lines('an empty order', '/body/lines'),
      lines('too many lines', '/body/lines', ...Array.from({ length: 1_001 }, () => line())),
      place('a list', '/body', [line()]),
      place('a text', '/body', 'order'),
      place('null', '/body', null),
      place('an unknown field', '/body/note', { lines: [line()], payment: card, note: 'quick!' }),
      lines('an unknown field in a line', '/body/lines/0/colour', line({ colour: 'red' })),
      lines(
        'a price named by the customer',
        '/body/lines/0/unit_price',
        line({ unit_price: pounds('0.01') }),
      ),
      lines('a total in a line', '/body/lines/1/total', line(), line({ total: pounds('0.01') })),
      lines('quantity 0', '/body/lines/0/quantity', line({ quantity: 0 })),
      lines('quantity -1', '/body/lines/0/quantity', line({ quantity: -1 })),
      lines('quantity 1.5', '/body/lines/0/quantity', line({ quantity: 1.5 })),
      lines('quantity beyond the bound', '/body/lines/0/quantity', line({ quantity: 1_000_001 })),
      lines('quantity beyond numbers', '/body/lines/0/quantity', line({ quantity: 1e300 })),
      lines('quantity as text', '/body/lines/0/quantity', line({ quantity: '1' })),
      lines('quantity null', '/body/lines/0/quantity', line({ quantity: null })),
      lines('quantity true', '/body/lines/0/quantity', line({ quantity: true })),
      lines('quantity left out', '/body/lines/0/quantity', { product }),
      lines('the third line', '/body/lines/2/quantity', line(), line(), line({ quantity: 0 })),
      lines('product left out', '/body/lines/0/product', { quantity: 1 }),
      lines('product is no id', '/body/lines/0/product', line({ product: 'COD' })),
      lines('product is a number', '/body/lines/0/product', line({ product: 7 })),
      lines('product is an account', '/body/lines/0/product', line({ product: ana.id })),
      lines('an unknown product', '/body/lines/0/product', line({ product: noProduct })),
      lines('an unknown product at last', '/body/lines/1/product', line(), line({ product: noProduct })),
      lines(
        'a product of no partition',
        '/body/lines/0/product',
        line({ product: noProduct.replace('006', 'zzz') }),
      ),
      lines('two currencies', '/body/lines/1/product', line(), line({ product: dollars })),
      place('no payment', '/body/payment', { lines: [line()] }),
      place('an unknown method', '/body/payment/method', { lines: [line()], payment: { method: 'cash' } }),
      place('no card', '/body/payment/token', { lines: [line()], payment: { method: 'card' } }),
      place('an unknown card', '/body/payment/token', {
        lines: [line()],
        payment: { method: 'card', token: 'tok_free' },
      }),
      place('by invoice', '/body/payment/method', { lines: [line()], payment: { method: 'invoice' } }),
      place('an empty country', '/body/country', { lines: [line()], payment: card, country: '' }),
      also('customer', bob.id),
      also('guest', true),
      also('region', 'us-east'),
      also('placed_at', '2026-01-31T12:00:00Z'),
      also('decimals', 3),
      also('reference', 'mine'),
    ]);
  });

  test('orders of staff', async () => {
    const { cluster, product, ana, line, refuse } = stall;
    const guest = { guest: true, country: 'EIRE', payment: { method: 'invoice' } };
    const place = (what: string, pointer: string, body: unknown): Refusal => [
      what,
      400,
      'invalid-input',
      pointer,
      'POST',
      '/orders',
      { token: cluster.staff, body },
    ];
    const priced = (what: string, unit_price: unknown, at = '', more: object = {}): Refusal =>
      place(what, `/body/lines/0/unit_price${at}`, { ...guest, ...more, lines: [line({ unit_price })] });
    const of = (what: string, pointer: string, more: object): Refusal =>
      place(what, pointer, { ...guest, lines: [line()], ...more });
    const amount = '/amount';
    await refuse([
      priced('three decimals that were not declared', pounds('2.555'), amount),
      priced('four decimals where three are declared', pounds('2.5555'), amount, { decimals: 3 }),
      priced('decimals of a currency without', { amount: '255.5', currency: 'JPY' }, amount),
      priced('a negative price', pounds('-2.55'), amount),
      priced('a price as number', pounds(2.55), amount),
      priced('a price with an exponent', pounds('1e2'), amount),
      priced('a price that is none', pounds('NaN'), amount),
      priced('an empty price', pounds(''), amount),
      priced('a price with a comma', pounds('2,55'), amount),
      priced('a price with a space', pounds(' 2.55'), amount),
      priced('more than there is in the world', pounds('9999999999999'), amount),
      priced('a currency in lower case', { amount: '2.55', currency: 'gbp' }, '/currency'),
      priced('no currency', { amount: '2.55' }, '/currency'),
      priced('a price that is a number', 2.55),
      of('five decimals', '/body/decimals', { decimals: 5 }),
      of('half a decimal', '/body/decimals', { decimals: 0.5 }),
      of('a total beyond the bound', '/body/lines/0/quantity', {
        lines: [line({ quantity: 1_000_000, unit_price: pounds('900000000000.00') })],
      }),
      of('prices in two currencies', '/body/lines/1/unit_price/currency', {
        lines: [line(), line({ unit_price: { amount: '1.00', currency: 'USD' } })],
      }),
      of('a guest who is a customer', '/body/guest', { customer: ana.id }),
      of('guest: false', '/body/guest', { guest: false }),
      place('neither guest nor customer', '/body/customer', { payment: card, lines: [line()] }),
      place('a customer who does not exist', '/body/customer', {
        payment: card,
        lines: [line()],
        customer: noAccount,
      }),
      place('a customer who is a product', '/body/customer', {
        payment: card,
        lines: [line()],
        customer: product,
      }),
      place('a guest from nowhere', '/body/country', { ...guest, country: undefined, lines: [line()] }),
      of('an unknown region', '/body/region', { region: 'atlantis' }),
      of('a region of Object', '/body/region', { region: 'constructor' }),
      of('a time without a zone', '/body/placed_at', { placed_at: '2011-12-09 12:50:00' }),
      of('the 30th of February', '/body/placed_at', { placed_at: '2011-02-30T12:50:00Z' }),
      of('a time to come', '/body/placed_at', { placed_at: '2999-01-01T00:00:00Z' }),
      of('an invoice with a card', '/body/payment/token', {
        payment: { method: 'invoice', token: 'tok_approve' },
      }),
      of('an empty reference', '/body/reference', { reference: '' }),
    ]);
  });
});
