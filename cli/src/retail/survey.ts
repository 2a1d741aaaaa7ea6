/**
 * What the first pass learns: which customers, products and stock the invoices need, and what they are worth. It keeps
 * one entry per invoice, customer, product, and product and country, never a line.
 *
 * The first sellable row of an invoice decides its customer, country and date; a row that says otherwise is reported
 * and sold under the invoice's own. A customer lives in the country of the first invoice in file order.
 */
import { formatAmount } from 'cardume/base/money';
import { isKnownCountry, isoCountry } from './countries.ts';
import { isCancellation, type Row } from './row.ts';
import type { RowRejection } from './rows.ts';

/** The platform's bound for one order. */
export const invoiceLinesMax = 1_000;

export interface InvoiceSummary {
  readonly number: string;
  readonly line: number;
  readonly customer: string | null;
  readonly country: string;
  lines: number;
  revenueE4: bigint;
}

export interface ProductSummary {
  readonly sku: string;
  readonly names: Map<string, number>;
  /** The last price in file order; where there is one, of those that the catalogue can state in whole pence. */
  priceE4: number;
}

/** Something of the file that was taken differently than written, or not at all. */
export interface InvoiceNote {
  readonly line: number;
  readonly invoice: string;
  readonly reason: 'customer-differs' | 'country-differs' | 'country-unknown' | 'too-many-lines';
  readonly detail: string;
}

export class Survey {
  /** Sellable invoices in file order. */
  readonly invoices = new Map<string, InvoiceSummary>();
  /** Customer → ISO country of the first invoice. */
  readonly customers = new Map<string, string>();
  readonly products = new Map<string, ProductSummary>();
  /** ISO country at home → SKU → quantity. */
  readonly needs = new Map<string, Map<string, number>>();
  /** ISO countries of guests. */
  readonly guestCountries = new Set<string>();
  rows = 0;
  sellableRows = 0;
  readonly #note: (note: InvoiceNote) => void;
  readonly #limit: number;
  readonly #cancellations = new Set<string>();
  readonly #otherInvoices = new Set<string>();
  readonly #unknownCountries = new Set<string>();

  /** @param limit only so many sellable invoices are taken, the first of the file */
  constructor(note: (note: InvoiceNote) => void, limit = Number.POSITIVE_INFINITY) {
    this.#note = note;
    this.#limit = limit;
  }

  get cancellations(): number {
    return this.#cancellations.size;
  }

  /** Invoices that are no cancellation, sellable or not. */
  get regularInvoices(): number {
    return this.#otherInvoices.size;
  }

  rejected(rejection: RowRejection): void {
    this.rows += 1;
    if (rejection.invoice === null) return;
    (isCancellation(rejection.invoice) ? this.#cancellations : this.#otherInvoices).add(rejection.invoice);
  }

  sellable(row: Row): void {
    this.rows += 1;
    this.sellableRows += 1;
    this.#otherInvoices.add(row.invoice);
    const invoice = this.invoices.get(row.invoice) ?? this.#open(row);
    if (invoice === undefined) return;
    this.#compare(invoice, row);
    invoice.lines += 1;
    invoice.revenueE4 += BigInt(row.priceE4) * BigInt(row.quantity);
    if (invoice.lines > invoiceLinesMax) {
      if (invoice.lines === invoiceLinesMax + 1) {
        const detail = `more than ${invoiceLinesMax} lines, the bound of one order`;
        this.#note({ line: row.line, invoice: row.invoice, reason: 'too-many-lines', detail });
      }
      return;
    }
    this.#countProduct(row);
    const home = this.homeOf(invoice);
    let needs = this.needs.get(home);
    if (needs === undefined) {
      needs = new Map();
      this.needs.set(home, needs);
    }
    needs.set(row.sku, (needs.get(row.sku) ?? 0) + row.quantity);
  }

  /** ISO country whose region sells to the invoice's customer. */
  homeOf(invoice: Pick<InvoiceSummary, 'customer' | 'country'>): string {
    const home = invoice.customer === null ? undefined : this.customers.get(invoice.customer);
    return home ?? isoCountry(invoice.country);
  }

  /** Invoices that are placed as orders, in file order. */
  *orders(): Generator<InvoiceSummary> {
    for (const invoice of this.invoices.values()) if (invoice.lines <= invoiceLinesMax) yield invoice;
  }

  #open(row: Row): InvoiceSummary | undefined {
    if (this.invoices.size >= this.#limit) return undefined;
    const { invoice: number, line, customer, country } = row;
    const invoice = { number, line, customer, country, lines: 0, revenueE4: 0n };
    this.invoices.set(number, invoice);
    if (customer === null) this.guestCountries.add(isoCountry(country));
    else if (!this.customers.has(customer)) this.customers.set(customer, isoCountry(country));
    if (!isKnownCountry(country) && !this.#unknownCountries.has(country)) {
      this.#unknownCountries.add(country);
      const detail = `'${country}' is not in the table of countries: its customers live in ${isoCountry(country)}`;
      this.#note({ line, invoice: number, reason: 'country-unknown', detail });
    }
    return invoice;
  }

  #compare(invoice: InvoiceSummary, row: Row): void {
    const differs = (reason: InvoiceNote['reason'], said: string | null, first: string | null): void => {
      const detail = `the row says ${said ?? 'no customer'}, the invoice began with ${first ?? 'no customer'}`;
      this.#note({ line: row.line, invoice: row.invoice, reason, detail });
    };
    if (row.customer !== invoice.customer) differs('customer-differs', row.customer, invoice.customer);
    if (row.country !== invoice.country) differs('country-differs', row.country, invoice.country);
  }

  #countProduct(row: Row): void {
    let product = this.products.get(row.sku);
    if (product === undefined) {
      product = { sku: row.sku, names: new Map(), priceE4: row.priceE4 };
      this.products.set(row.sku, product);
    }
    if (row.name !== '') product.names.set(row.name, (product.names.get(row.name) ?? 0) + 1);
    if (isWholePence(row.priceE4) || !isWholePence(product.priceE4)) product.priceE4 = row.priceE4;
  }
}

/** The most frequent description; of equals, the first. Without any, the SKU. */
export function productName(product: ProductSummary): string {
  let best = product.sku;
  let most = 0;
  for (const [name, count] of product.names) {
    if (count > most) [best, most] = [name, count];
  }
  return best;
}

const PENNY_E4 = 100;
const isWholePence = (priceE4: number): boolean => priceE4 % PENNY_E4 === 0;

/** The price for the catalogue, which takes no fractions of a penny: rounded to the nearest, at least one. */
export function cataloguePrice(product: ProductSummary): string {
  return formatAmount(Math.max(PENNY_E4, Math.round(product.priceE4 / PENNY_E4) * PENNY_E4), 2);
}
