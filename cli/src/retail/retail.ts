/**
 * The import of a retailer's orders: a CSV file (plain or gzip, of any size) becomes orders of the shop, through its
 * public API, as staff.
 *
 * 1. survey: one pass over the file counts what its invoices need and what they are worth;
 * 2. customers, products and stock are brought, each under its own idempotency key;
 * 3. a second pass forms the invoices and places them as orders;
 * 4. the import waits until they are confirmed, and compares the platform's revenue with the file's.
 *
 * Running it again places nothing twice. Keys count within one staff account: another account's import of the same file
 * would place everything again.
 */
import { resolve } from 'node:path';
import type { Host } from 'cardume/host';
import { realHost } from 'cardume/host/real';
import { type Api, openApi } from '../api.ts';
import { type Output, openProgress, silentProgress } from '../progress.ts';
import { type Comparison, revenueOf } from './comparison.ts';
import { digesting, openSource, type SourceFile } from './files.ts';
import { readInvoices } from './invoices.ts';
import { type Journal, openJournal } from './journal.ts';
import { type Keys, keysOf } from './keys.ts';
import { openPatience, type PatienceBounds, usualPatience } from './patience.ts';
import { openRejections, type Rejections } from './rejections.ts';
import { visitRows } from './rows.ts';
import {
  type PlacedOrder,
  type Settlement,
  type SettlementBounds,
  settle,
  usualSettlement,
} from './settlement.ts';
import { openShopApi, type ShopApi } from './shop-api.ts';
import type { ImportSummary } from './summary.ts';
import { summaryText } from './summary.ts';
import { Survey } from './survey.ts';
import { Upload } from './upload.ts';

export interface ImportOptions {
  /** CSV with the columns InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country. */
  readonly file: string;
  /** Address of the API, such as `http://127.0.0.1:8080`. */
  readonly api: string;
  /** Access token of a staff account. */
  readonly token: string;
  /** Requests under way at once. Default 32. */
  readonly concurrency?: number | undefined;
  /** Path of the journal; false: none is read or written. Default `<data>/import-<digest>.jsonl`. */
  readonly journal?: string | false | undefined;
  /** Folder of the platform's data on this machine. Default `.cardume`. */
  readonly data?: string | undefined;
  /** Prints the summary as JSON, and no progress. */
  readonly json?: boolean | undefined;
  /** Only so many sellable invoices, the first of the file. */
  readonly limit?: number | undefined;
  /** File for all that was not imported: JSON when its name ends so, otherwise CSV. */
  readonly report?: string | undefined;
  /** Ends the import cleanly: what is under way is waited for. */
  readonly signal?: AbortSignal | undefined;
  /** The summary. */
  readonly stdout: Output;
  /** Progress and notes. */
  readonly stderr: Output;
  readonly host?: Host | undefined;
  readonly bounds?: Partial<PatienceBounds & SettlementBounds & { readonly silenceMs: number }> | undefined;
}

export const concurrencyUsual = 32;
/** Of the platform on one connection, before an attempt counts as lost. */
const silenceMs = 30_000;
const unconfirmedListedMax = 100;

/**
 * @returns the summary, which was printed too; `complete` decides the exit code
 * @throws CardumeError `not-found` (the file), `invalid-input` (its header, encoding or compression; the address)
 */
export async function importRetail(options: ImportOptions): Promise<ImportSummary> {
  const { concurrency = concurrencyUsual, bounds = {}, host = realHost(), token } = options;
  const source = await openSource(options.file);
  const api = openApi(options.api, token, concurrency, bounds.silenceMs ?? silenceMs);
  try {
    const rejections = await openRejections(options.report ?? null);
    try {
      const run = new Run(options, host, source, api, rejections, concurrency);
      const summary = await run.toTheEnd();
      options.stdout.write(
        options.json === true ? `${JSON.stringify(summary, null, 2)}\n` : summaryText(summary),
      );
      return summary;
    } finally {
      await rejections.close();
    }
  } finally {
    api.close();
  }
}

class Run {
  readonly #options: ImportOptions;
  readonly #host: Host;
  readonly #source: SourceFile;
  readonly #api: Api;
  readonly #rejections: Rejections;
  readonly #concurrency: number;
  readonly #progress;
  readonly #survey: Survey;
  readonly #halted = new AbortController();
  readonly #signal: AbortSignal;
  #haltReason: string | null = null;

  constructor(
    options: ImportOptions,
    host: Host,
    source: SourceFile,
    api: Api,
    rejections: Rejections,
    concurrency: number,
  ) {
    this.#options = options;
    this.#host = host;
    this.#source = source;
    this.#api = api;
    this.#rejections = rejections;
    this.#concurrency = concurrency;
    this.#progress = options.json === true ? silentProgress : openProgress(options.stderr, host.clock);
    this.#survey = new Survey((note) => rejections.add(note), options.limit);
    this.#signal = AbortSignal.any([
      this.#halted.signal,
      ...(options.signal === undefined ? [] : [options.signal]),
    ]);
  }

  async toTheEnd(): Promise<ImportSummary> {
    const { clock, crypto, random } = this.#host;
    const startMs = clock.monotonicMs();
    const digest = await this.#surveyFile();
    const patience = openPatience({
      api: this.#api,
      clock,
      random,
      signal: this.#signal,
      bounds: { ...usualPatience, ...this.#options.bounds },
    });
    const shop = openShopApi(patience);
    const { limit } = this.#options;
    const keys = keysOf(`${digest.slice(0, digestChars)}${limit === undefined ? '' : `-${limit}`}`, crypto);
    const journal = await this.#openJournal(digest, shop);
    const upload = new Upload({
      shop,
      journal,
      keys,
      survey: this.#survey,
      rejections: this.#rejections,
      progress: this.#progress,
      concurrency: this.#concurrency,
      signal: this.#signal,
      halt: (reason) => this.#halt(reason),
    });
    try {
      await upload.bringCustomers();
      await upload.bringProducts();
      await upload.bringStock();
      const ordersMs = await this.#placeOrders(upload, journal, keys);
      const settlement = await this.#settle(shop, journal, keys);
      for (const { invoice, id, status, reason } of settlement.unconfirmed) {
        const detail = `order ${id} is ${status}${reason === '' ? '' : `: ${reason}`}`;
        this.#rejections.add({ reason: 'not-confirmed', line: null, invoice, detail });
      }
      const durationMs = clock.monotonicMs() - startMs;
      return this.#summarise({
        digest,
        upload,
        settlement,
        retries: patience.retries(),
        durationMs,
        ordersMs,
      });
    } finally {
      this.#progress.end();
      await journal.close();
    }
  }

  #halt(reason: string): void {
    this.#haltReason ??= reason;
    this.#halted.abort();
  }

  /** @returns SHA-256 of the unpacked content */
  async #surveyFile(): Promise<string> {
    const survey = this.#survey;
    const counted = digesting(this.#source.chunks((bytes) => this.#progress.advance(bytes)));
    this.#progress.begin('reading', this.#source.bytes);
    try {
      const rows = visitRows(counted.chunks, {
        sellable: (row) => survey.sellable(row),
        rejected: (rejection) => {
          survey.rejected(rejection);
          this.#rejections.add(rejection);
        },
      });
      for await (const _ of rows) if (this.#signal.aborted) break;
    } finally {
      this.#progress.end();
    }
    return counted.digest();
  }

  async #openJournal(digest: string, shop: ShopApi): Promise<Journal> {
    const { journal: chosen, data = '.cardume', api, limit } = this.#options;
    if (chosen === false || this.#signal.aborted) return openJournal(null);
    // The same file may be imported into several platforms.
    const { crypto } = this.#host;
    const name = Buffer.from(
      crypto.sha256(JSON.stringify([digest, new URL(api).href, limit ?? null])),
    ).toString('hex');
    const path = resolve(chosen ?? `${data}/import-${name.slice(0, digestChars)}.jsonl`);
    const journal = await openJournal(path);
    const last = journal.last();
    if (last?.id === undefined) return journal;
    const exists = await shop.exists(last.id);
    if (exists.kind !== 'done' || exists.value) return journal;
    this.#progress.note(
      `${path} tells of another platform (this one does not know ${last.id}): starting it afresh`,
    );
    await journal.close();
    return openJournal(path, true);
  }

  /** @returns how long it took, milliseconds */
  async #placeOrders(upload: Upload, journal: Journal, keys: Keys): Promise<number> {
    const missing = new Set<string>();
    for (const { number } of this.#survey.orders()) {
      if (journal.get(keys.invoice(number)) === undefined) missing.add(number);
      else upload.orders.known += 1;
    }
    if (missing.size === 0 || this.#signal.aborted) return 0;
    const { clock } = this.#host;
    const startMs = clock.monotonicMs();
    const invoices = readInvoices(this.#source.chunks(), this.#survey, (invoice) => missing.has(invoice));
    await upload.placeOrders(invoices, missing.size);
    return clock.monotonicMs() - startMs;
  }

  async #settle(shop: ShopApi, journal: Journal, keys: Keys): Promise<Settlement> {
    const orders: PlacedOrder[] = [];
    for (const { number } of this.#survey.orders()) {
      const key = keys.invoice(number);
      const id = journal.get(key)?.id;
      if (id !== undefined) orders.push({ invoice: number, key, id });
    }
    if (this.#signal.aborted) {
      return { confirmed: 0, unconfirmed: [], comparison: null, problem: 'the import was stopped before' };
    }
    return settle({
      shop,
      journal,
      orders,
      expected: revenueOf(this.#survey.orders()),
      progress: this.#progress,
      concurrency: this.#concurrency,
      clock: this.#host.clock,
      signal: this.#signal,
      bounds: { ...usualSettlement, ...this.#options.bounds },
    });
  }

  #summarise(args: {
    readonly digest: string;
    readonly upload: Upload;
    readonly settlement: Settlement;
    readonly retries: number;
    readonly durationMs: number;
    readonly ordersMs: number;
  }): ImportSummary {
    const { upload, settlement, durationMs, ordersMs } = args;
    const survey = this.#survey;
    const wanted = [...survey.orders()].length;
    const acknowledged = upload.orders.created + upload.orders.unclear;
    const stopped = this.#haltReason ?? (this.#signal.aborted ? 'interrupted' : null);
    return {
      file: this.#options.file,
      digest: args.digest,
      api: this.#options.api,
      complete: stopped === null && settlement.confirmed === wanted && !hasLess(settlement.comparison),
      stopped,
      rows: { read: survey.rows, sellable: survey.sellableRows, rejected: survey.rows - survey.sellableRows },
      invoices: {
        regular: survey.regularInvoices,
        sellable: survey.invoices.size,
        cancellations: survey.cancellations,
      },
      customers: upload.customers,
      products: upload.products,
      stock: upload.stock,
      orders: {
        ...upload.orders,
        confirmed: settlement.confirmed,
        unconfirmed: settlement.unconfirmed.slice(0, unconfirmedListedMax),
        unconfirmed_count: settlement.unconfirmed.length,
      },
      rejections: this.#rejections.byReason(),
      retries: args.retries,
      duration_s: Math.round(durationMs) / 1000,
      orders_per_second: acknowledged === 0 ? null : Math.round((acknowledged * 1000) / ordersMs),
      revenue: settlement.comparison,
      revenue_problem: settlement.problem,
    };
  }
}

const digestChars = 16;

const hasLess = (comparison: Comparison | null): boolean =>
  comparison?.countries.some(({ verdict }) => verdict === 'less') === true;
