/** DESIGN.md's invariants, held against what stands on the disks when everything has stopped. */

import { formatAmount } from 'cardume/base/money';
import type { Host } from 'cardume/host';
import type { Topology } from 'cardume/topology';
import type { Bank } from '../bank.ts';
import type { Coverage } from '../coverage.ts';
import type { History } from '../history.ts';
import { checkAccounts } from './accounts.ts';
import { atHome } from './copies.ts';
import { type Cuts, checkDoubts, cutAnswers, cutStreams, NO_CUTS, touchedBy } from './cuts.ts';
import type { HomeOf } from './homes.ts';
import { checkMoney, checkOrders, noteOrders, type OrderBook, ordersOn, soldBy } from './orders.ts';
import { checkOrderRows, checkReadModels } from './read-models.ts';
import { openShelves, type Shelf } from './shelf.ts';
import { checkStock, orderOf, refusedOrders } from './stock.ts';

export interface Disks {
  readonly topology: Topology;
  readonly dataFolder: string;
  readonly hostOf: (region: string) => Host;
  readonly history: History;
  readonly coverage: Coverage;
  /** Null where the provider keeps no books that outlive a process. */
  readonly bank: Bank | null;
  /** What the report over all shards said at the end; null when it could not be had. */
  readonly revenue: { readonly revenue: string; readonly orders: number } | null;
  /** Null: homes never move, and no region holds what is another's. */
  readonly homeOf: HomeOf | null;
  /** Services: what they have acknowledged may be lost with its region, and stands in a quarantine then. */
  readonly mayLose: readonly string[];
  readonly wrong: (what: string) => void;
}

/** @returns what stood there */
export async function checkDisks(disks: Disks): Promise<{
  readonly shelves: readonly Shelf[];
  readonly books: ReadonlyMap<string, OrderBook>;
  readonly cuts: Cuts;
}> {
  const { topology, history, coverage, bank, revenue, wrong } = disks;
  const all = await openShelves(topology, disks.dataFolder, disks.hostOf);
  const { homeOf } = disks;
  const shelves = homeOf === null ? all : atHome(all, homeOf, wrong);
  for (const shelf of all) {
    for (const fault of shelf.faults) wrong(`${shelf.base}.log.db: ${fault}`);
    const { region, service } = shelf;
    const isHome = (partition: number): boolean => (homeOf?.(service.name, partition) ?? region) === region;
    await checkReadModels(shelf, topology.services[service.name]?.replicas ?? 0, isHome, wrong);
    if (shelf.heads.some(({ epoch }) => epoch > 5)) coverage.reached('an epoch above five');
  }
  const books = ordersOn(shelves);
  for (const shelf of all) if (shelf.service.name === 'orders') checkOrderRows(shelf, books, wrong);
  const cuts = disks.mayLose.length > 0 ? cutStreams(all, disks.mayLose) : NO_CUTS;
  checkDoubts(history, cuts, wrong);
  const short = refusedOrders(shelves);
  for (const key of cutAnswers(all, disks.mayLose)) short.add(orderOf(key));
  checkOrders(books, cuts, short, history, coverage, wrong);
  if (bank !== null) await checkMoney(books, cuts, bank, wrong);
  checkStock(
    shelves,
    {
      sold: soldBy(books),
      touched: touchedBy(books, cuts),
      cuts,
      mayFreeze: disks.mayLose.includes('products'),
    },
    history,
    topology,
    coverage,
    wrong,
  );
  checkAccounts(shelves, history, coverage, wrong);
  checkRevenue(books, revenue, wrong);
  noteOrders(books, coverage);
  const epochs = new Map<string, number>();
  for (const { base, heads } of shelves)
    for (const { partition, epoch } of heads) epochs.set(`${base} ${partition}`, epoch);
  for (const id of history.replayed) {
    const book = books.get(id);
    if (book !== undefined && (epochs.get(book.partition) ?? 0) > (book.epochs[0] ?? 0))
      coverage.reached('an answer of before a restart was given again after it');
  }
  return { shelves, books, cuts };
}

function checkRevenue(
  books: ReadonlyMap<string, OrderBook>,
  revenue: Disks['revenue'],
  wrong: (what: string) => void,
): void {
  const confirmed = [...books.values()].filter(({ state }) => state.status === 'confirmed');
  const total = confirmed.reduce((sum, { state }) => sum + BigInt(state.placed?.total_e4 ?? 0), 0n);
  if (revenue === null) {
    wrong('nobody answers what the revenue is');
  } else if (revenue.revenue !== formatAmount(total, 2) || revenue.orders !== confirmed.length) {
    wrong(
      `the report says ${revenue.revenue} of ${revenue.orders} orders; the logs say ${formatAmount(total, 2)} of ${confirmed.length}`,
    );
  }
}
