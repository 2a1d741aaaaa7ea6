/**
 * Orders in line: they found too little, and wait for what other regions can give. Whoever fits first, of the oldest first, has what
 * comes. When the others have given and it is too little, they are asked again; when they had nothing, the line is refused,
 * and for a moment nobody waits in it. While rights are frozen, or a region cannot be asked, the line waits for some 80 s: most
 * regions are back by then.
 */
import type { DecideContext } from 'cardume/cqrs/aggregate';
import type { StockCommand } from '../contracts/stock.ts';
import { dueOf, frozenNow, spendable } from './frozen.ts';
import type { StockEvent, StockState } from './stock.ts';

const LINE_ORDERS_MAX = 1_000;
const ROUNDS_MAX = 8;
/** Other regions that had nothing are not asked again for so long. */
const DRY_MS = 2_000;
/** Before orders have to wait: other regions that had no more are not asked again for so long. */
const QUIET_MS = 10_000;
/** Rights are low when fewer orders like the last one than this find theirs. */
const LOW_ORDERS = 4;

/** Those for whom there is enough, one after another. */
export function served({ line }: StockState, available: number): StockEvent[] {
  const events: StockEvent[] = [];
  let left = available;
  for (const [order, { quantity, isRefused }] of line) {
    if (isRefused || quantity > left) continue;
    left -= quantity;
    events.push({ type: 'StockReserved', order, quantity });
  }
  return events;
}

/** Of two that lack something one goes first, always the same: else they would take it from each other for ever. */
export function goesFirst({ line }: StockState, id: string, other: string): boolean {
  return id < other && [...line.values()].some(({ isRefused }) => !isRefused);
}

export const lineIsFull = ({ line }: StockState): boolean => line.size >= LINE_ORDERS_MAX;

const isQuiet = ({ quietUntilMs }: StockState, atMs: number): boolean =>
  quietUntilMs !== null && atMs < quietUntilMs;

/** Other regions had nothing a moment ago. */
export function isPutOff(state: StockState, { atMs }: DecideContext): boolean {
  return state.isDry && isQuiet(state, atMs);
}

/** @param left behind a reservation of so many */
export function demandIfLow(
  state: StockState,
  { atMs }: DecideContext,
  left: number,
  quantity: number,
): StockEvent[] {
  if (left >= quantity * LOW_ORDERS || state.demand !== null || isQuiet(state, atMs)) return [];
  return [{ type: 'RightsDemanded', demand: state.demands + 1, wanted: 0 }];
}

/** The demand under way has come to its end; what was given has arrived. */
export function outcomeOf(
  { demand, granted, isSure }: Extract<StockCommand, { type: 'SettleDemand' }>,
  state: StockState,
  context: DecideContext,
): StockEvent[] {
  const available = spendable(state, context);
  const due = dueOf(state, context);
  const now = served(state, available);
  const has = new Set(now.map((event) => ('order' in event ? event.order : '')));
  const waiting = [...state.line].filter(([order, { isRefused }]) => !isRefused && !has.has(order));
  const settled = (dry: boolean, untilMs: number): StockEvent => ({
    type: 'DemandSettled',
    demand,
    dry,
    until_ms: untilMs,
  });
  if (waiting.length === 0) {
    const untilMs = granted > 0 ? 0 : context.atMs + QUIET_MS;
    return [...due, ...now, settled(false, untilMs)];
  }
  // Before it was asked for them, others were not asked for what these lack.
  const mayCome = !isSure || frozenNow(state, context) > 0;
  const isWorthIt = granted > 0 || state.demand?.wanted === 0 || mayCome;
  if (isWorthIt && state.rounds < ROUNDS_MAX) {
    const left = now.reduce((rest, event) => rest - ('quantity' in event ? event.quantity : 0), available);
    const wanted = waiting.reduce((sum, [, { quantity }]) => sum + quantity, 0) - left;
    return [...due, ...now, settled(false, 0), { type: 'RightsDemanded', demand: demand + 1, wanted }];
  }
  const refused = waiting.map(([order]): StockEvent => ({ type: 'ReservationRefused', order }));
  return [...due, ...now, settled(true, context.atMs + DRY_MS), ...refused];
}
