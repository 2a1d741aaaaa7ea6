/**
 * Orders whose entries were cut off, in all regions' quarantines together. In the mode `region` what was acknowledged may be
 * lost with its region: then it stands there, and nothing that was told of it binds any more. Everything else does.
 */
import { type OrderEvent, type OrderPlaced, quantities } from '@cardume/shop/orders/order';
import { parseId } from 'cardume/base/id';
import type { History } from '../history.ts';
import type { OrderBook } from './orders.ts';
import type { Shelf } from './shelf.ts';

export interface CutOrder {
  readonly id: string;
  /** The first that was cut. */
  readonly version: number;
  /** Regions that have it in their quarantine: what two had was acted on, and two had to be lost for it to go. */
  readonly regions: ReadonlySet<string>;
  /** Null: it was not cut itself, but what came of it. */
  readonly placed: OrderPlaced | null;
}

/** By id. */
export type Cuts = ReadonlyMap<string, CutOrder>;

export const NO_CUTS: Cuts = new Map();

export function cutOrders(shelves: readonly Shelf[]): Cuts {
  const found = new Map<string, CutOrder>();
  for (const { host, service, base, region } of shelves) {
    if (service.name !== 'orders') continue;
    const log = host.disk.database(`${base}.log.db`, { readOnly: true });
    const rows = log
      .prepare('SELECT stream, version, type, data FROM quarantine WHERE version IS NOT NULL')
      .all();
    log.close();
    for (const { stream, version, type, data } of rows) {
      const id = stream as string;
      const one = found.get(id);
      const event = { ...JSON.parse(data as string), type } as OrderEvent;
      found.set(id, {
        id,
        version: Math.min(one?.version ?? Number.POSITIVE_INFINITY, version as number),
        regions: new Set(one?.regions).add(region),
        placed: event.type === 'OrderPlaced' ? event : (one?.placed ?? null),
      });
    }
  }
  return found;
}

/** Nothing of it was left, for a while at least: it may have been submitted again. */
export const wasGone = (cuts: Cuts, id: string): boolean => cuts.get(id)?.version === 1;

/** Nothing of it is left: it was not only shortened. */
export const isLost = (books: ReadonlyMap<string, OrderBook>, cuts: Cuts, id: string): boolean =>
  !books.has(id) && wasGone(cuts, id);

/** What was cut was acted on before it was lost, with two regions: its effects stand alone. */
export const wasActedOn = (cuts: Cuts, id: string): boolean => (cuts.get(id)?.regions.size ?? 0) > 1;

/**
 * Stocks that orders may have taken from, or given back to, by what was lost of them, by
 * `<scope of the region> <unique part of the product's id>`.
 */
export function touchedBy(books: ReadonlyMap<string, OrderBook>, cuts: Cuts): ReadonlySet<string> {
  const touched = new Set<string>();
  for (const cut of cuts.values()) {
    const { id } = cut;
    const placed = cut.placed ?? books.get(id)?.state.placed ?? null;
    if (placed === null || !wasActedOn(cuts, id)) continue;
    for (const [product] of quantities(placed)) touched.add(`${parseId(id).scope} ${product.slice(8)}`);
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
