/** One record of the file: what its columns say, and whether the shop can sell it. */
import { CardumeError, isCardumeError } from 'cardume/base/errors';
import { DECIMALS_MAX, parseAmount } from 'cardume/base/money';

export const COLUMNS = [
  'InvoiceNo',
  'StockCode',
  'Description',
  'Quantity',
  'InvoiceDate',
  'UnitPrice',
  'CustomerID',
  'Country',
] as const;
type Column = (typeof COLUMNS)[number];

export interface Row {
  readonly line: number;
  readonly invoice: string;
  /** Compared by bytes: codes of the real shop differ only by case. */
  readonly sku: string;
  readonly name: string;
  readonly quantity: number;
  readonly atMs: number;
  /** The file's own text, such as `2.1`. */
  readonly price: string;
  readonly priceE4: number;
  /** Null: a guest. */
  readonly customer: string | null;
  readonly country: string;
}

/** Why a row is not imported. The first two are usual in this data, the others are faults of the file. */
export type RowReason =
  | 'cancellation'
  | 'quantity-not-positive'
  | 'price-not-positive'
  | 'encoding'
  | 'quotes'
  | 'columns'
  | 'too-long'
  | 'bad-invoice'
  | 'bad-sku'
  | 'bad-quantity'
  | 'bad-date'
  | 'bad-price'
  | 'bad-customer'
  | 'bad-country';

export type ReadRow =
  | { readonly kind: 'sellable'; readonly row: Row }
  | {
      readonly kind: 'rejected';
      readonly invoice: string | null;
      readonly reason: RowReason;
      readonly detail: string;
    };

/** The platform's bound for one order line. */
const quantityMax = 1_000_000;

/** Where each column stands. @throws CardumeError `invalid-input` that names the missing columns */
export function readHeader(fields: readonly string[]): RowReader {
  const names = fields.map((field) => field.trim().toLowerCase());
  const missing = COLUMNS.filter((column) => !names.includes(column.toLowerCase()));
  if (missing.length > 0) {
    const found = fields.slice(0, 12).join(', ').slice(0, 200);
    throw new CardumeError(
      'invalid-input',
      `the header lacks ${missing.join(', ')}: the first line must name the columns ${COLUMNS.join(', ')} (in any order); it says: ${found}`,
    );
  }
  const at = Object.fromEntries(COLUMNS.map((column) => [column, names.indexOf(column.toLowerCase())]));
  return (line, fields) => readRow(line, (column) => fields[at[column] as number] as string);
}

export type RowReader = (line: number, fields: readonly string[]) => ReadRow;

function readRow(line: number, field: (column: Column) => string): ReadRow {
  const invoice = field('InvoiceNo').trim();
  const rejected = (reason: RowReason, detail: string): ReadRow => ({
    kind: 'rejected',
    invoice: INVOICE.test(invoice) ? invoice : null,
    reason,
    detail,
  });
  const quoted = (text: string): string => JSON.stringify(text.slice(0, 60));

  if (!INVOICE.test(invoice)) return rejected('bad-invoice', `${quoted(invoice)} is no invoice number`);
  const quantityText = field('Quantity').trim();
  if (!INTEGER.test(quantityText))
    return rejected('bad-quantity', `${quoted(quantityText)} is no whole number`);
  const quantity = Number(quantityText);
  const dateText = field('InvoiceDate').trim();
  const atMs = readDate(dateText);
  if (atMs === undefined) {
    return rejected('bad-date', `${quoted(dateText)} is neither 2010-12-01 08:26:00 nor 12/1/2010 8:26`);
  }
  const price = field('UnitPrice').trim();
  const priceE4 = readPrice(price);
  if (typeof priceE4 === 'string') return rejected('bad-price', priceE4);

  if (isCancellation(invoice)) return rejected('cancellation', 'the invoice cancels another');
  if (quantity <= 0) return rejected('quantity-not-positive', `quantity ${quantity}`);
  if (priceE4 <= 0) return rejected('price-not-positive', `price ${price}`);

  if (quantity > quantityMax) return rejected('bad-quantity', `${quantity} is more than ${quantityMax}`);
  const sku = field('StockCode');
  if (sku.trim() === '' || sku.length > skuCharsMax)
    return rejected('bad-sku', `${quoted(sku)} is no stock code`);
  const customer = readCustomer(field('CustomerID').trim());
  if (customer === undefined)
    return rejected('bad-customer', `${quoted(field('CustomerID'))} is no customer`);
  const country = field('Country').trim();
  if (country === '' || country.length > countryCharsMax)
    return rejected('bad-country', `${quoted(country)} is no country`);
  const description = field('Description').trim();
  const name = isNothing(description) ? '' : description.slice(0, nameCharsMax);
  return {
    kind: 'sellable',
    row: { line, invoice, sku, name, quantity, atMs, price, priceE4, customer, country },
  };
}

const INVOICE = /^[A-Za-z0-9-]{1,32}$/;
const INTEGER = /^[+-]?\d{1,9}$/;
const CUSTOMER = /^[\w.-]{1,40}$/;
const skuCharsMax = 60;
const countryCharsMax = 60;
const nameCharsMax = 200;

export const isCancellation = (invoice: string): boolean =>
  invoice.startsWith('C') || invoice.startsWith('c');

/** How R, pandas and spreadsheets write a missing value. */
const isNothing = (text: string): boolean => ['', 'na', 'nan', 'null'].includes(text.toLowerCase());

/** Null: a guest. pandas writes 17850 as 17850.0 in a column with gaps. */
function readCustomer(text: string): string | null | undefined {
  if (isNothing(text)) return null;
  if (!CUSTOMER.test(text)) return undefined;
  return /^\d+\.0$/.test(text) ? text.slice(0, -2) : text;
}

/** Ten-thousandths, or what is wrong. Adjustments have negative prices. */
function readPrice(text: string): number | string {
  const negative = text.startsWith('-');
  try {
    const e4 = parseAmount(negative ? text.slice(1) : text, DECIMALS_MAX, 'UnitPrice');
    return negative ? -e4 : e4;
  } catch (error) {
    if (isCardumeError(error)) return error.message;
    throw error;
  }
}

const ISO_DATE = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2}))?)?Z?$/;
/** As the spreadsheet of the public data set is exported: month first. */
const US_DATE = /^(\d{1,2})\/(\d{1,2})\/(\d{4}) (\d{1,2}):(\d{2})(?::(\d{2}))?$/;

let lastDate = '';
let lastMs: number | undefined;

/** The data states no time zone: it is read as UTC. Neighbours mostly share a date, hence the memory of one. */
function readDate(text: string): number | undefined {
  if (text !== lastDate) {
    lastDate = text;
    lastMs = parseDate(text);
  }
  return lastMs;
}

function parseDate(text: string): number | undefined {
  const iso = ISO_DATE.exec(text);
  const us = iso === null ? US_DATE.exec(text) : null;
  const part = (match: RegExpExecArray, group: number): number => Number(match[group] ?? '0');
  const [year, month, day] =
    iso !== null
      ? [part(iso, 1), part(iso, 2), part(iso, 3)]
      : us !== null
        ? [part(us, 3), part(us, 1), part(us, 2)]
        : [0, 0, 0];
  const clock = iso ?? us;
  if (clock === null || year < 1970) return undefined;
  const [hour, minute, second] = [part(clock, 4), part(clock, 5), part(clock, 6)];
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(ms);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? ms : undefined;
}
