/** Revenue by country: what the file is worth, exactly, beside what the platform reports. */
import { formatAmount } from 'cardume/base/money';
import type { CountryRevenue } from './shop-api.ts';
import type { InvoiceSummary } from './survey.ts';

export interface RevenueLine {
  readonly country: string;
  /** Decimal text. */
  readonly file: string;
  /** Null: the platform reports nothing for the country. */
  readonly platform: string | null;
  readonly file_orders: number;
  readonly platform_orders: number;
  /** `more` is right where the platform has other orders than the file's; `less` never is. */
  readonly verdict: 'equal' | 'more' | 'less';
}

export interface Comparison {
  readonly equal: boolean;
  readonly file: string;
  readonly platform: string;
  /** Largest first. */
  readonly countries: readonly RevenueLine[];
}

interface Sum {
  revenueE4: bigint;
  orders: number;
}

export function revenueOf(invoices: Iterable<InvoiceSummary>): ReadonlyMap<string, Readonly<Sum>> {
  const sums = new Map<string, Sum>();
  for (const { country, revenueE4 } of invoices) {
    let sum = sums.get(country);
    if (sum === undefined) {
      sum = { revenueE4: 0n, orders: 0 };
      sums.set(country, sum);
    }
    sum.revenueE4 += revenueE4;
    sum.orders += 1;
  }
  return sums;
}

/** @param rows of the file's currency count; the platform may have others */
export function compareRevenue(
  file: ReadonlyMap<string, Readonly<Sum>>,
  rows: readonly CountryRevenue[],
  currency: string,
): Comparison {
  const platform = new Map(rows.filter((row) => row.currency === currency).map((row) => [row.country, row]));
  const countries = [...new Set([...file.keys(), ...platform.keys()])].map((country) => {
    const expected = file.get(country) ?? { revenueE4: 0n, orders: 0 };
    const found = platform.get(country) ?? { revenueE4: 0n, orders: 0 };
    return { country, expected, found };
  });
  countries.sort(
    (a, b) => compare(b.expected.revenueE4, a.expected.revenueE4) || (a.country < b.country ? -1 : 1),
  );

  const lines = countries.map(({ country, expected, found }): RevenueLine => {
    const difference = compare(found.revenueE4, expected.revenueE4) || found.orders - expected.orders;
    return {
      country,
      file: formatAmount(expected.revenueE4, 2),
      platform: platform.has(country) ? formatAmount(found.revenueE4, 2) : null,
      file_orders: expected.orders,
      platform_orders: found.orders,
      verdict: difference === 0 ? 'equal' : difference > 0 ? 'more' : 'less',
    };
  });
  const total = (pick: (line: (typeof countries)[number]) => bigint): string =>
    formatAmount(
      countries.reduce((sum, line) => sum + pick(line), 0n),
      2,
    );
  return {
    equal: lines.every(({ verdict }) => verdict === 'equal'),
    file: total(({ expected }) => expected.revenueE4),
    platform: total(({ found }) => found.revenueE4),
    countries: lines,
  };
}

const compare = (a: bigint, b: bigint): number => (a === b ? 0 : a > b ? 1 : -1);
