/** What an import did: the document that `--json` prints, and the same as text for people. */
import { duration, grouped } from '../progress.ts';
import type { Comparison } from './comparison.ts';
import type { RejectionGroup } from './rejections.ts';
import type { UnconfirmedOrder } from './settlement.ts';
import type { Tally } from './upload.ts';

export interface ImportSummary {
  readonly file: string;
  /** SHA-256 of the unpacked content, hexadecimal. */
  readonly digest: string;
  readonly api: string;
  /** Every sellable invoice of the file (or of `--limit`) is a confirmed order. */
  readonly complete: boolean;
  /** Why the import ended early; null when it did not. */
  readonly stopped: string | null;
  readonly rows: { readonly read: number; readonly sellable: number; readonly rejected: number };
  readonly invoices: { readonly regular: number; readonly sellable: number; readonly cancellations: number };
  readonly customers: Readonly<Tally>;
  readonly products: Readonly<Tally>;
  readonly stock: Readonly<Tally>;
  readonly orders: Readonly<Tally> & {
    readonly confirmed: number;
    /** At most 100 of them; the report file has all. */
    readonly unconfirmed: readonly UnconfirmedOrder[];
    readonly unconfirmed_count: number;
  };
  /** By reason: rows of the file, and things that could not be placed. */
  readonly rejections: Readonly<Record<string, RejectionGroup>>;
  readonly retries: number;
  readonly duration_s: number;
  /** Orders that are new, as far as the platform says, by the time that placing took; null when there are none. */
  readonly orders_per_second: number | null;
  /** Null when the platform gave no report. */
  readonly revenue: Comparison | null;
  readonly revenue_problem: string;
}

export function summaryText(summary: ImportSummary): string {
  const { rows, invoices, orders, revenue } = summary;
  const tally = (name: string, { created, known, unclear, failed }: Tally, verb: string): string => {
    const parts = [
      unclear > 0 && created === 0 ? '' : `${grouped(created)} ${verb}`,
      unclear > 0 ? `${grouped(unclear)} ${verb} now or by an earlier run` : '',
      unclear > 0 && known === 0 ? '' : `${grouped(known)} already there`,
      failed > 0 ? `${grouped(failed)} FAILED` : '',
    ];
    return `${name.padEnd(11)}${parts.filter((part) => part !== '').join(', ')}`;
  };
  const lines = [
    `rows       ${grouped(rows.read)} read, ${grouped(rows.sellable)} sellable, ${grouped(rows.rejected)} not imported`,
    `invoices   ${grouped(invoices.sellable)} sellable of ${grouped(invoices.regular)}, ${grouped(invoices.cancellations)} cancellations`,
    tally('customers', summary.customers, 'created'),
    tally('products', summary.products, 'listed'),
    tally('stock', summary.stock, 'received'),
    tally('orders', orders, 'placed'),
    `           ${grouped(orders.confirmed)} confirmed${orders.unconfirmed_count > 0 ? `, ${grouped(orders.unconfirmed_count)} NOT CONFIRMED` : ''}`,
    `time       ${duration(summary.duration_s * 1000)}${summary.orders_per_second === null ? '' : `, ${grouped(summary.orders_per_second)} orders a second`}${summary.retries > 0 ? `, ${grouped(summary.retries)} attempts repeated` : ''}`,
  ];
  for (const { invoice, status, reason } of orders.unconfirmed.slice(0, listedMax)) {
    lines.push(`  order of invoice ${invoice} is ${status}${reason === '' ? '' : `: ${reason}`}`);
  }
  if (orders.unconfirmed_count > listedMax)
    lines.push(`  and ${grouped(orders.unconfirmed_count - listedMax)} more`);

  const reasons = Object.entries(summary.rejections);
  if (reasons.length > 0) lines.push('', 'Not imported, or not as written:');
  for (const [reason, { count, examples }] of reasons) {
    lines.push(`  ${reason.padEnd(22)}${grouped(count).padStart(9)}`);
    for (const { line, invoice, detail } of examples) {
      const place = [line === null ? '' : `line ${line}`, invoice === null ? '' : `invoice ${invoice}`];
      lines.push(`      ${[...place, detail].filter((part) => part !== '').join(', ')}`);
    }
  }
  lines.push(
    '',
    ...(revenue === null ? [`No revenue to compare: ${summary.revenue_problem}`] : revenueTable(revenue)),
  );
  lines.push('', conclusion(summary));
  return `${lines.join('\n')}\n`;
}

const listedMax = 10;

function revenueTable(revenue: Comparison): string[] {
  const row = (country: string, file: string, platform: string, orders: string, verdict: string): string =>
    `  ${country.padEnd(22)}${file.padStart(16)}${platform.padStart(16)}${orders.padStart(16)}  ${verdict}`;
  const lines = [row('Revenue (GBP)', 'file', 'platform', 'orders', '')];
  for (const { country, file, platform, file_orders, platform_orders, verdict } of revenue.countries) {
    const count =
      file_orders === platform_orders ? grouped(file_orders) : `${file_orders} / ${platform_orders}`;
    lines.push(
      row(country, file, platform ?? '-', count, verdict === 'equal' ? 'equal' : verdict.toUpperCase()),
    );
  }
  lines.push(row('all', revenue.file, revenue.platform, '', revenue.equal ? 'equal' : 'DIFFERS'));
  return lines;
}

function conclusion({ complete, stopped, revenue }: ImportSummary): string {
  if (stopped !== null) {
    return `Stopped: ${stopped}.\nRun the same command again to go on; what was acknowledged is not placed twice.`;
  }
  if (!complete) return 'Incomplete: see above. Run the same command again to bring what is missing.';
  if (revenue === null) return 'Complete: every sellable invoice is a confirmed order.';
  return revenue.equal
    ? 'Complete: every sellable invoice is a confirmed order, and the platform counts the same money as the file.'
    : 'Complete: every sellable invoice is a confirmed order. The platform holds other orders than those of this file.';
}
