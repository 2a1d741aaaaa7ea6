/**
 * What was cut off, in all regions' quarantines together, of services in the mode `region`: there what was acknowledged may be
 * lost with its region. Then it stands there, and nothing that was told of it binds any more. Everything else does.
 */
import { type OrderEvent, type OrderPlaced, quantities } from '@cardume/shop/orders/order';
import { parseId, uniqueOf } from 'cardume/base/id';
import type { History } from '../history.ts';
import type { OrderBook } from './orders.ts';
import type { Shelf } from './shelf.ts';

/** A stream that was shortened, or of which nothing was left. */
export interface CutStream {
  readonly id: string;
  /** The first that was cut. */
  readonly version: number;
  /** Regions that have it in their quarantine: what two had was acted on, and two had to be lost for it to go. */
  readonly regions: ReadonlySet<string>;
  /** Of an order that was cut itself, not only what came of it. */
  readonly placed: OrderPlaced | null;
  /** Transfers of stock that were cut. */
  readonly transfers: ReadonlySet<string>;
}

/** By id. */
export type Cuts = ReadonlyMap<string, CutStream>;

export const NO_CUTS: Cuts = new Map();

/** @param services that may lose what they told */
export function cutStreams(shelves: readonly Shelf[], services: readonly string[]): Cuts {
  const found = new Map<string, CutStream>();
  for (const { host, service, base, region } of shelves) {
    if (!services.includes(service.name)) continue;
    const log = host.disk.database(`${base}.log.db`, { readOnly: true });
    const rows = log
      .prepare('SELECT stream, version, type, data FROM quarantine WHERE version IS NOT NULL')
      .all();
    log.close();
    for (const { stream, version, type, data } of rows) {
      const id = stream as string;
      if (parseId(id).scope === 0) continue; // what is told of the global space is always durable in two regions
      const one = found.get(id);
      const event = JSON.parse(data as string) as Record<string, unknown>;
      const placed =
        type === 'OrderPlaced' ? ({ ...event, type } as OrderEvent & OrderPlaced) : (one?.placed ?? null);
      const transfers = new Set(one?.transfers);
      if (type === 'TransferSent') transfers.add(event['transfer'] as string);
      const regions = new Set(one?.regions).add(region);
      const first = Math.min(one?.version ?? Number.POSITIVE_INFINITY, version as number);
      found.set(id, { id, version: first, regions, placed, transfers });
    }
  }
  return found;
}

/** Keys whose answers were acted on before they were lost, with two regions. @param services that may lose what they told */
export function cutAnswers(shelves: readonly Shelf[], services: readonly string[]): readonly string[] {
  const found = new Map<string, Set<string>>();
  for (const { host, service, base, region } of shelves) {
    if (!services.includes(service.name)) continue;
    const log = host.disk.database(`${base}.log.db`, { readOnly: true });
    for (const { key } of log.prepare('SELECT key FROM quarantine WHERE key IS NOT NULL').all())
      found.set(key as string, (found.get(key as string) ?? new Set()).add(region));
    log.close();
  }
  return [...found].filter(([, regions]) => regions.size > 1).map(([key]) => key);
}

/** Nothing of it was left, for a while at least: it may have been submitted again. */
export const wasGone = (cuts: Cuts, id: string): boolean => cuts.get(id)?.version === 1;

/** Nothing of it is left: it was not only shortened. */
export const isLost = (books: ReadonlyMap<string, OrderBook>, cuts: Cuts, id: string): boolean =>
  !books.has(id) && wasGone(cuts, id);

/** What was cut was acted on before it was lost, with two regions: its effects stand alone. */
export const wasActedOn = (cuts: Cuts, id: string): boolean => (cuts.get(id)?.regions.size ?? 0) > 1;

/** `<scope of the region> <unique part of the product's id>` */
export const nameOfStock = (id: string): string => `${parseId(id).scope} ${uniqueOf(id)}`;

/** Names of stocks of which something was cut. */
export const cutStocks = (cuts: Cuts): ReadonlySet<string> =>
  new Set([...cuts.keys()].filter((id) => id.startsWith('stk')).map(nameOfStock));

/**
 * Names of stocks that do not go with what orders are now: orders may have taken from them, or given back to them, by what was
 * lost of either with two regions.
 */
export function touchedBy(books: ReadonlyMap<string, OrderBook>, cuts: Cuts): ReadonlySet<string> {
  const touched = new Set<string>();
  for (const cut of cuts.values()) {
    const { id } = cut;
    if (!wasActedOn(cuts, id)) continue;
    if (id.startsWith('stk')) touched.add(nameOfStock(id));
    const placed = cut.placed ?? books.get(id)?.state.placed ?? null;
    if (placed === null) continue;
    for (const [product] of quantities(placed)) touched.add(`${parseId(id).scope} ${uniqueOf(product)}`);
  }
  return touched;
}

/** What a region says that it has alone is what would be lost with it: no more was lost than all of them said. */
export function checkAlone(
  { orders }: History,
  books: ReadonlyMap<string, OrderBook>,
  cuts: Cuts,
  alone: readonly (number | null)[],
  wrong: (what: string) => void,
): void {
  const ids = orders.flatMap(({ answer, others }) => [answer?.id ?? '', ...others]);
  const lost = ids.filter((id) => isLost(books, cuts, id)).length;
  const said = alone.reduce<number>((sum, entries) => sum + (entries ?? Number.POSITIVE_INFINITY), 0);
  if (lost > said)
    wrong(`${lost} orders were lost, and regions had said that they have ${said} entries alone`);
}

/** What clients found wrong of orders is right where they were cut. */
export function checkDoubts({ doubts }: History, cuts: Cuts, wrong: (what: string) => void): void {
  for (const { id, what, isGone } of doubts)
    if (isGone ? !wasGone(cuts, id) : !cuts.has(id)) wrong(`${what}, and no quarantine has it`);
}
