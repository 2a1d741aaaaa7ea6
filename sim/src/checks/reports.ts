/**
 * Reports over all orders while everything moves: each counts what was confirmed before it was asked for, and nothing that was
 * not confirmed when it was answered. What happened in between may be counted or not. An order that is read twice, in its home
 * and in a copy, makes a report too large; a shard that is left out makes it too small.
 */
import { formatAmount } from 'cardume/base/money';
import type { History, Report } from '../history.ts';
import type { Cuts } from './cuts.ts';
import type { OrderBook } from './orders.ts';

/** From when on an order counts, as far as anybody can know: not before `fromMs`, and from `untilMs` on for certain. */
interface Confirmation {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly costE4: number;
}

export function checkReports(
  books: ReadonlyMap<string, OrderBook>,
  cuts: Cuts,
  { reports, seen, orders }: Pick<History, 'reports' | 'seen' | 'orders'>,
  wrong: (what: string) => void,
): void {
  const seenOf = Map.groupBy(seen, ({ id }) => id);
  const askedMs = new Map(orders.map(({ key, fromMs }) => [key, fromMs]));
  const all: Confirmation[] = [];
  for (const { id, key, state, types } of books.values()) {
    const version = types.indexOf('OrderConfirmed') + 1;
    if (version === 0 || cuts.has(id)) continue;
    const looks = seenOf.get(id) ?? [];
    const before = looks.filter((look) => look.version < version).map(({ fromMs }) => fromMs);
    // Who was confirmed may have been cancelled since: then it is counted for some time, nobody knows how long.
    const isCounted = state.status === 'confirmed';
    const behind = looks.filter((look) => isCounted && look.version >= version).map(({ untilMs }) => untilMs);
    all.push({
      fromMs: Math.max(askedMs.get(key ?? '') ?? 0, ...before),
      untilMs: Math.min(Number.POSITIVE_INFINITY, ...behind),
      costE4: state.placed?.total_e4 ?? 0,
    });
  }
  // What was confirmed may have been cut, and have come once more: it may count at any time.
  for (const { id, placed } of cuts.values()) {
    const costE4 = (books.get(id)?.state.placed ?? placed)?.total_e4 ?? 0;
    all.push({ fromMs: 0, untilMs: Number.POSITIVE_INFINITY, costE4 });
  }
  for (const report of reports) {
    const fault = faultOf(report, all);
    if (fault !== null) wrong(fault);
  }
}

export function faultOf(report: Report, all: readonly Confirmation[]): string | null {
  const least = sumOf(all.filter(({ untilMs }) => untilMs < report.fromMs));
  const most = sumOf(all.filter(({ fromMs }) => fromMs < report.untilMs));
  for (const what of ['orders', 'revenueE4'] as const) {
    if (report[what] >= least[what] && report[what] <= most[what]) continue;
    const shown = (count: number): string => (what === 'orders' ? `${count}` : formatAmount(count, 2));
    return `a report at ${report.untilMs} ms says ${shown(report[what])} ${what === 'orders' ? 'orders' : 'in all'}; there were ${shown(least[what])} to ${shown(most[what])}`;
  }
  return null;
}

function sumOf(some: readonly Confirmation[]): Pick<Report, 'orders' | 'revenueE4'> {
  return { orders: some.length, revenueE4: some.reduce((sum, { costE4 }) => sum + costE4, 0) };
}
