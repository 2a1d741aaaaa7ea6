/**
 * The second pass: rows → whole invoices. Rows of one invoice need not be neighbours in the file, so an invoice is
 * handed out when as many of its rows were seen as the survey counted; only unfinished ones are held.
 */
import type { Row } from './row.ts';
import { visitRows } from './rows.ts';
import { invoiceLinesMax, type Survey } from './survey.ts';

export interface Invoice {
  readonly number: string;
  readonly customer: string | null;
  readonly country: string;
  readonly atMs: number;
  readonly lines: readonly InvoiceLine[];
}

export interface InvoiceLine {
  readonly sku: string;
  readonly quantity: number;
  /** The file's own text. */
  readonly price: string;
}

/** @param wanted invoices that are not wanted are passed over without being held */
export async function* readInvoices(
  chunks: AsyncIterable<Uint8Array>,
  survey: Survey,
  wanted: (invoice: string) => boolean,
): AsyncGenerator<Invoice> {
  const open = new Map<string, Row[]>();
  const complete: Invoice[] = [];
  const visitor = {
    rejected() {},
    sellable(row: Row) {
      const summary = survey.invoices.get(row.invoice);
      if (summary === undefined || summary.lines > invoiceLinesMax || !wanted(row.invoice)) return;
      let rows = open.get(row.invoice);
      if (rows === undefined) {
        rows = [];
        open.set(row.invoice, rows);
      }
      rows.push(row);
      if (rows.length < summary.lines) return;
      open.delete(row.invoice);
      complete.push(toInvoice(rows));
    },
  };
  for await (const _ of visitRows(chunks, visitor)) yield* complete.splice(0);
}

function toInvoice(rows: readonly Row[]): Invoice {
  const { invoice: number, customer, country, atMs } = rows[0] as Row;
  const lines = rows.map(({ sku, quantity, price }) => ({ sku, quantity, price }));
  return { number, customer, country, atMs, lines };
}
