/**
 * The file's things → the platform, in the order in which they need each other: customers, products, stock, orders.
 * What fails is reported and what depends on it is left out, so that a later run can still bring it: an order placed
 * without its stock would be rejected for good under its key.
 */

import type { Progress } from '../progress.ts';
import { isoCountry } from './countries.ts';
import type { Invoice } from './invoices.ts';
import type { Journal } from './journal.ts';
import type { Keys } from './keys.ts';
import { forEachBounded } from './pool.ts';
import type { Rejections } from './rejections.ts';
import { type Account, CURRENCY, type OrderRequest, type Result, type ShopApi } from './shop-api.ts';
import { cataloguePrice, productName, type Survey } from './survey.ts';

export interface Tally {
  /** Now. */
  created: number;
  /** By an earlier run. */
  known: number;
  /** One or the other: the platform acknowledged it without saying which. */
  unclear: number;
  failed: number;
}

export interface UploadContext {
  readonly shop: ShopApi;
  readonly journal: Journal;
  readonly keys: Keys;
  readonly survey: Survey;
  readonly rejections: Rejections;
  readonly progress: Progress;
  readonly concurrency: number;
  /** Ends by the user or by `halt`. */
  readonly signal: AbortSignal;
  /** Ends the import: going on makes no sense. */
  halt(reason: string): void;
}

interface Failed {
  readonly what: string;
  readonly invoice?: string;
}

export class Upload {
  readonly customers: Tally = { created: 0, known: 0, unclear: 0, failed: 0 };
  readonly products: Tally = { created: 0, known: 0, unclear: 0, failed: 0 };
  readonly stock: Tally = { created: 0, known: 0, unclear: 0, failed: 0 };
  readonly orders: Tally = { created: 0, known: 0, unclear: 0, failed: 0 };
  readonly #context: UploadContext;
  readonly #accounts = new Map<string, Account>();
  readonly #regions = new Map<string, string>();
  readonly #productIds = new Map<string, string>();
  readonly #stocked = new Set<string>();
  #catalogue: Promise<ReadonlyMap<string, string>> | undefined;
  #unreachable = 0;

  constructor(context: UploadContext) {
    this.#context = context;
  }

  async bringCustomers(): Promise<void> {
    const { survey, keys } = this.#context;
    await this.#each('customers', survey.customers, survey.customers.size, async ([customer, country]) => {
      const account = await this.#bringAccount(
        keys.customer(customer),
        `Customer ${customer}`,
        country,
        this.customers,
      );
      if (account !== undefined) this.#accounts.set(customer, account);
    });
    // Which region serves a country is the topology's business. Customers tell; where a country has only guests, one
    // account that stands for them is asked.
    const unknown = [...survey.guestCountries].filter((country) => !this.#regions.has(country));
    await forEachBounded(unknown, this.#context.concurrency, this.#context.signal, async (country) => {
      await this.#bringAccount(keys.guests(country), `Guests from ${country}`, country, this.customers);
    });
  }

  async #bringAccount(
    key: string,
    name: string,
    country: string,
    tally: Tally,
  ): Promise<Account | undefined> {
    const { journal, shop } = this.#context;
    const known = journal.get(key);
    let account: Account | undefined;
    if (known?.id !== undefined && known.region !== undefined) {
      account = { id: known.id, region: known.region };
      tally.known += 1;
    } else {
      const result = await shop.createCustomer(key, name, country);
      if (!this.#succeeded(result, tally, { what: name })) return undefined;
      account = result.value;
      journal.add(key, account);
    }
    this.#regions.set(country, account.region);
    return account;
  }

  async bringProducts(): Promise<void> {
    const { survey, keys, journal, shop } = this.#context;
    await this.#each('products', survey.products.values(), survey.products.size, async (product) => {
      const key = keys.product(product.sku);
      let id = journal.get(key)?.id;
      if (id !== undefined) {
        this.products.known += 1;
      } else {
        const { sku } = product;
        const result = await shop.createProduct(key, {
          sku,
          name: productName(product),
          price: cataloguePrice(product),
        });
        id = await this.#listedId(sku, result);
        if (id !== undefined) this.products.known += 1;
        else if (this.#succeeded(result, this.products, { what: `product ${sku}` })) id = result.value.id;
        if (id === undefined) return;
        journal.add(key, { id });
      }
      this.#productIds.set(product.sku, id);
    });
  }

  /** A product that another file or a person has listed stays as it is; the catalogue tells its id. */
  async #listedId(sku: string, result: Result<unknown>): Promise<string | undefined> {
    if (result.kind !== 'refused' || !['already-exists', 'idempotency-key-reused'].includes(result.code))
      return undefined;
    this.#catalogue ??= this.#readCatalogue();
    return (await this.#catalogue).get(sku);
  }

  async #readCatalogue(): Promise<ReadonlyMap<string, string>> {
    const ids = new Map<string, string>();
    let after: string | null = null;
    for (let page = 0; page < cataloguePagesMax; page += 1) {
      const result: Awaited<ReturnType<ShopApi['products']>> = await this.#context.shop.products(after);
      if (result.kind !== 'done') return ids; // the products that are not found are reported one by one
      for (const { sku, id } of result.value.items) ids.set(sku, id);
      after = result.value.next;
      if (after === null) break;
    }
    return ids;
  }

  async bringStock(): Promise<void> {
    const { survey, keys, journal, shop } = this.#context;
    const wanted = new Map<string, { readonly sku: string; readonly region: string; quantity: number }>();
    for (const [country, needs] of survey.needs) {
      const region = this.#regions.get(country);
      if (region === undefined) continue; // no account could be made there: its invoices are left out too
      for (const [sku, quantity] of needs) {
        const key = keys.stock(sku, region);
        const entry = wanted.get(key);
        if (entry === undefined) wanted.set(key, { sku, region, quantity });
        else entry.quantity += quantity;
      }
    }
    await this.#each('stock', wanted, wanted.size, async ([key, { sku, region, quantity }]) => {
      const product = this.#productIds.get(sku);
      if (product === undefined) return;
      if (journal.get(key) !== undefined) {
        this.stock.known += 1;
      } else {
        const result = await shop.receiveStock(key, product, region, quantity);
        if (!this.#succeeded(result, this.stock, { what: `stock of ${sku} in ${region}` })) return;
        journal.add(key, {});
      }
      this.#stocked.add(stockOf(sku, region));
    });
  }

  /** @param invoices those that the journal does not know */
  async placeOrders(invoices: AsyncIterable<Invoice>, count: number): Promise<void> {
    const { keys, journal, shop } = this.#context;
    await this.#each('orders', invoices, count, async (invoice) => {
      const request = this.#orderOf(invoice);
      if (typeof request === 'string') {
        this.orders.failed += 1;
        this.#report('left-out', `order ${invoice.number}: ${request}`, invoice.number);
        return;
      }
      const key = keys.invoice(invoice.number);
      const result = await shop.placeOrder(key, request);
      const what = { what: `order ${invoice.number}`, invoice: invoice.number };
      if (this.#succeeded(result, this.orders, what)) journal.add(key, { id: result.value.id });
    });
  }

  /** The order, or why it cannot be placed now. */
  #orderOf(invoice: Invoice): OrderRequest | string {
    const account = invoice.customer === null ? undefined : this.#accounts.get(invoice.customer);
    if (invoice.customer !== null && account === undefined) return `customer ${invoice.customer} is missing`;
    const region = account?.region ?? this.#regions.get(isoCountry(invoice.country));
    if (region === undefined) return `no region is known for guests from ${invoice.country}`;

    const lines: OrderRequest['lines'][number][] = [];
    let decimals = 0;
    for (const { sku, quantity, price } of invoice.lines) {
      const product = this.#productIds.get(sku);
      if (product === undefined) return `product ${sku} is missing`;
      if (!this.#stocked.has(stockOf(sku, region))) return `stock of ${sku} in ${region} is missing`;
      lines.push({ product, quantity, unit_price: { amount: price, currency: CURRENCY } });
      decimals = Math.max(decimals, decimalsOf(price));
    }
    return {
      ...(account === undefined ? { guest: true, region } : { customer: account.id }),
      country: invoice.country,
      placed_at: new Date(invoice.atMs).toISOString(),
      ...(decimals > 2 ? { decimals } : {}),
      lines,
      payment: { method: 'invoice' },
      reference: invoice.number,
    };
  }

  async #each<Item>(
    label: string,
    items: Iterable<Item> | AsyncIterable<Item>,
    total: number,
    work: (item: Item) => Promise<void>,
  ): Promise<void> {
    const { progress, concurrency, signal } = this.#context;
    if (signal.aborted) return;
    progress.begin(label, total);
    await forEachBounded(items, concurrency, signal, async (item) => {
      await work(item);
      progress.advance();
    });
    progress.end();
  }

  #succeeded<Value>(
    result: Result<Value>,
    tally: Tally,
    { what, invoice }: Failed,
  ): result is Extract<Result<Value>, { kind: 'done' }> {
    if (result.kind === 'done') {
      tally[TALLIED_AS[`${result.replayed}`]] += 1;
      return true;
    }
    if (result.kind === 'stopped') return false;
    tally.failed += 1;
    const detail = `${what}: ${result.code}: ${result.detail}`;
    this.#report(result.kind, detail, invoice);
    if (result.kind === 'unreachable') {
      this.#unreachable += 1;
      if (this.#unreachable >= this.#context.concurrency * unreachablePerLaneMax) {
        this.#context.halt(
          `the platform did not answer ${this.#unreachable} requests in time; the last was ${detail}`,
        );
      }
    } else if (result.status === 401 || result.status === 403) {
      this.#context.halt(`the platform does not accept the token: ${result.detail}`);
    }
    return false;
  }

  #report(reason: string, detail: string, invoice?: string): void {
    this.#context.rejections.add({ reason, line: null, invoice: invoice ?? null, detail });
  }
}

const TALLIED_AS = { true: 'known', false: 'created', null: 'unclear' } as const;

const stockOf = (sku: string, region: string): string => `${region} ${sku}`;

const cataloguePagesMax = 5_000;
/** Each has used up its patience; more than these, over all lanes, and the platform counts as lost. */
const unreachablePerLaneMax = 2;

function decimalsOf(price: string): number {
  const point = price.indexOf('.');
  return point === -1 ? 0 : price.length - point - 1;
}
