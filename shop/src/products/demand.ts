/**
 * A region whose rights run out asks the others for theirs. Of each it takes what orders in line lack, the richest first; of the
 * richest at least half of what that one has more. Each gift is a transfer: recorded at its giver, durable in two regions
 * before it can be spent, carried on by its giver's process when this one is cut off.
 */
import { isCardumeError } from 'cardume/base';
import { notYet, process, type Work } from 'cardume/cqrs/process';
import type { Geography } from 'cardume/gateway/operation';
import { type StockCommand, stocksElsewhere } from '../contracts/stock.ts';
import { frozenNow, isDue, spendable } from './frozen.ts';
import { goesFirst } from './line.ts';
import { type StockEvent, stock, stocks } from './stock.ts';
import { receive } from './transfer.ts';

/** Regions that do not answer are waited for so long; then they are asked anew. */
const DEMAND_MS_MAX = 10_000;

interface Open {
  readonly number: number;
  readonly wanted: number;
  readonly sinceMs: number;
}

export const demands = process<{ readonly open: Open | null }, StockEvent, StockCommand>({
  name: 'demands',
  of: stock,
  startsOn: ['RightsDemanded'],
  initial: () => ({ open: null }),
  evolve(state, event, atMs) {
    if (event.type === 'RightsDemanded')
      return { open: { number: event.demand, wanted: event.wanted, sinceMs: atMs } };
    return event.type === 'DemandSettled' ? { open: null } : state;
  },
  ended: ({ open }) => open === null,
  react({ open }, id) {
    if (open === null) return [];
    const { number, sinceMs } = open;
    const command = { type: 'SettleDemand', demand: number, granted: 0, isSure: false } as const;
    return [
      { key: `demand/${number}`, kind: 'work', run: (work) => ask(id, open, work) },
      { key: `demand/${number}/deadline`, kind: 'timer', atMs: sinceMs + DEMAND_MS_MAX, command },
    ];
  },
});

/** A stock in another region, and what it can give. */
export interface Giver {
  readonly id: string;
  readonly version: number;
  readonly available: number;
}

export interface Gift {
  readonly from: Giver;
  readonly quantity: number;
}

/** @param own available where it is wanted */
export function giftsFor(wanted: number, own: number, givers: readonly Giver[]): readonly Gift[] {
  const gifts: Gift[] = [];
  let left = wanted;
  for (const from of [...givers].sort((a, b) => b.available - a.available)) {
    const { available } = from;
    const surplus = gifts.length === 0 ? Math.floor((available - own) / 2) : 0;
    const quantity = Math.min(available, Math.max(left, surplus));
    if (quantity <= 0) continue;
    left -= quantity;
    gifts.push({ from, quantity });
  }
  return gifts;
}

async function ask(id: string, { number, wanted }: Open, work: Work): Promise<StockCommand | typeof notYet> {
  const { bus, ports } = work;
  const elsewhere = stocksElsewhere(ports['geography'] as Geography, id);
  const [own, ...others] = await Promise.all([
    bus.load(stocks, id),
    ...elsewhere.map((at) => orNull(bus.load(stocks, at))),
  ]);
  // The region is back: its own are sold again.
  if (isDue(own.state, own)) return { type: 'SettleDemand', demand: number, granted: 0, isSure: false };
  // Whoever cannot be asked may have some, and what is on its way, or wanted by one that goes first, is free in a moment.
  let mayCome = frozenNow(own.state, own) > 0;
  const givers: Giver[] = [];
  for (const [i, found] of others.entries()) {
    const from = elsewhere[i] as string;
    const isBusy = found === null || found.state.inTransit.size > 0 || goesFirst(found.state, from, id);
    if (isBusy) mayCome = true;
    if (found === null || goesFirst(found.state, from, id)) continue;
    givers.push({ id: from, version: found.version, available: spendable(found.state, found) });
  }
  const gifts = giftsFor(wanted, spendable(own.state, own), givers);
  const given = await Promise.all(gifts.map((gift) => orNull(take(id, number, gift, work))));
  const granted = given.reduce<number>((sum, quantity) => sum + (quantity ?? 0), 0);
  if (wanted > 0 && granted === 0 && (mayCome || gifts.length > 0)) return notYet;
  return { type: 'SettleDemand', demand: number, granted, isSure: !mayCome };
}

/** @returns what was given */
async function take(id: string, demand: number, { from, quantity }: Gift, { bus }: Work): Promise<number> {
  const transfer = `${id}/${demand}/${from.id.slice(4, 7)}/${from.version}`;
  // Asked once more, it may be for another quantity: what the first one came to counts.
  const key = { text: `${transfer}/give`, fingerprint: '' };
  const answer = await bus.send(stocks, from.id, { type: 'Give', transfer, to: id, quantity }, { key });
  const given = (answer.result as { readonly quantity: number }).quantity;
  if (given > 0) await receive(bus, id, { transfer, from: from.id, quantity: given });
  return given;
}

async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (isCardumeError(error)) return null;
    throw error;
  }
}
