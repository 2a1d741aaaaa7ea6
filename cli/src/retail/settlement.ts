/**
 * Orders are acknowledged when they are durable, and confirmed some moments later. The import waits for that: as long
 * as the revenue report moves it watches the report, which costs one request. When the report equals the file in money
 * and number of orders, for each country, all are confirmed. Otherwise each order that is not known to be confirmed is
 * asked for, so that the others can be listed with their reasons.
 */
import type { Clock } from 'cardume/host';
import type { Progress } from '../progress.ts';
import { type Comparison, compareRevenue, type revenueOf } from './comparison.ts';
import type { Journal } from './journal.ts';
import { forEachBounded } from './pool.ts';
import { CURRENCY, type ShopApi } from './shop-api.ts';

export interface SettlementBounds {
  /** From the last order on. */
  readonly settleMsMax: number;
  /** A report that stands still for so long is taken as final. */
  readonly quietMs: number;
  readonly pollMs: number;
}

export const usualSettlement: SettlementBounds = { settleMsMax: 120_000, quietMs: 3_000, pollMs: 500 };

export interface PlacedOrder {
  readonly invoice: string;
  readonly key: string;
  readonly id: string;
}

export interface UnconfirmedOrder {
  readonly invoice: string;
  readonly id: string;
  readonly status: string;
  readonly reason: string;
}

export interface Settlement {
  readonly confirmed: number;
  readonly unconfirmed: readonly UnconfirmedOrder[];
  /** Null when the platform gave no report; `problem` says why. */
  readonly comparison: Comparison | null;
  readonly problem: string;
}

export async function settle(args: {
  readonly shop: ShopApi;
  readonly journal: Journal;
  readonly orders: readonly PlacedOrder[];
  readonly expected: ReturnType<typeof revenueOf>;
  readonly progress: Progress;
  readonly concurrency: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly bounds: SettlementBounds;
}): Promise<Settlement> {
  const { shop, journal, orders, expected, progress, concurrency, clock, signal, bounds } = args;
  const endMs = clock.monotonicMs() + bounds.settleMsMax;
  let problem = '';
  let comparison: Comparison | null = null;

  async function compare(): Promise<void> {
    const result = await shop.revenueByCountry();
    if (result.kind === 'done') comparison = compareRevenue(expected, result.value, CURRENCY);
    else problem = result.kind === 'stopped' ? 'the import was stopped' : `${result.code}: ${result.detail}`;
  }
  const isEqual = (): boolean => comparison?.equal === true;
  const isOver = (): boolean => signal.aborted || clock.monotonicMs() >= endMs;

  progress.begin('confirming', orders.length);
  await compare();
  let seen = JSON.stringify(comparison);
  let seenMs = clock.monotonicMs();
  while (!isEqual() && problem === '' && !isOver() && orders.some(({ key }) => !journal.isConfirmed(key))) {
    if (clock.monotonicMs() - seenMs >= bounds.quietMs) break;
    await clock.sleep(bounds.pollMs);
    await compare();
    const now = JSON.stringify(comparison);
    if (now !== seen) [seen, seenMs] = [now, clock.monotonicMs()];
  }

  let confirmed = orders.length;
  const unconfirmed = new Map<string, UnconfirmedOrder>();
  if (isEqual()) {
    if (orders.some(({ key }) => !journal.isConfirmed(key))) journal.confirmAll();
    progress.advance(orders.length);
  } else {
    // A report below the file contradicts what the journal remembers: then all are asked.
    const remembers = !isBelow(comparison);
    let open = orders.filter(({ key }) => !(remembers && journal.isConfirmed(key)));
    const confirmedKeys = new Set(orders.map(({ key }) => key));
    for (const { key } of open) confirmedKeys.delete(key);
    progress.advance(orders.length - open.length);
    for (let round = 0; open.length > 0; round += 1) {
      if (round > 0) await clock.sleep(bounds.pollMs);
      const pending: PlacedOrder[] = [];
      await forEachBounded(open, concurrency, signal, async (order) => {
        const { invoice, key, id } = order;
        const result = await shop.order(id);
        const { status, reason } =
          result.kind === 'done'
            ? result.value
            : {
                status: 'unknown',
                reason: result.kind === 'stopped' ? 'stopped' : `${result.code}: ${result.detail}`,
              };
        if (status === 'confirmed') {
          if (!journal.isConfirmed(key)) journal.confirm(key);
          confirmedKeys.add(key);
          unconfirmed.delete(key);
          progress.advance();
          return;
        }
        unconfirmed.set(key, { invoice, id, status, reason });
        if (!isFinal(status)) pending.push(order);
      });
      open = pending;
      if (isOver()) break;
    }
    if (!signal.aborted) await compare();
    confirmed = confirmedKeys.size;
  }
  progress.end();
  return { confirmed, unconfirmed: [...unconfirmed.values()], comparison, problem };
}

const isBelow = (comparison: Comparison | null): boolean =>
  comparison?.countries.some(({ verdict }) => verdict === 'less') === true;

const isFinal = (status: string): boolean =>
  ['confirmed', 'rejected', 'cancelled', 'unknown'].includes(status);
