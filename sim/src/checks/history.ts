/** What clients were told, held against itself: each object behaves as one copy would. */
import { uniqueOf } from 'cardume/base/id';
import type { History } from '../history.ts';
import { type Cuts, cutStocks, wasGone } from './cuts.ts';
import { linearizable, type Verdict } from './linearizable.ts';
import { counter, faultsOfBank, faultsOfSet, register } from './models.ts';
import type { OrderBook } from './orders.ts';
import { checkReports } from './reports.ts';

export interface Against {
  /** The orders that there are. */
  readonly books: ReadonlyMap<string, OrderBook>;
  /** What was lost with its region, or shortened. */
  readonly cuts: Cuts;
  readonly codeOf: (region: string) => number;
  readonly wrong: (what: string) => void;
}

export function checkHistory(history: History, { books, cuts, codeOf, wrong }: Against): void {
  checkVersions(history, cuts, wrong);
  checkListings(history, wrong);
  const judge = (what: string, verdict: Verdict): void => {
    if (verdict !== 'linearizable') wrong(`the history of ${what} is ${verdict}`);
  };
  for (const [account, accesses] of history.names)
    judge(`the name of ${account}`, linearizable(register, accesses));
  const cut = cutStocks(cuts);
  for (const [name, accesses] of history.received) {
    const [product, region] = name.split(' ') as [string, string];
    if (cut.has(`${codeOf(region)} ${uniqueOf(product)}`)) continue;
    judge(`what was received of ${name}`, linearizable(counter, accesses));
  }
  checkReports(books, cuts, history, wrong);
  for (const fault of faultsOfBank(history.looks)) wrong(`stock: ${fault}`);
  for (const [customer, lists] of history.lists) {
    const told = new Map(history.orders.map((asked) => [asked.answer?.id, asked]));
    // Of orders that were placed although nobody was told, nobody knows since when.
    const added = [...books.values()]
      .filter(({ id, state }) => state.placed?.customer === customer && !wasGone(cuts, id))
      .map(({ id }) => {
        const asked = told.get(id);
        return {
          element: id,
          fromMs: asked?.fromMs ?? 0,
          untilMs: asked?.untilMs ?? Number.POSITIVE_INFINITY,
        };
      });
    const known = lists.map((list) => {
      return { ...list, elements: list.elements.filter((id) => !wasGone(cuts, id)) };
    });
    for (const fault of faultsOfSet(added, known)) wrong(`orders of ${customer}: ${fault}`);
  }
}

/** One product code, one product: whoever is refused has a rival. */
function checkListings({ listings }: History, wrong: (what: string) => void): void {
  for (const [sku, all] of Map.groupBy(listings, (one) => one.sku)) {
    const winners = all.filter(({ status }) => status === 201);
    if (winners.length > 1) wrong(`${winners.map(({ client }) => client).join(' and ')} both listed ${sku}`);
    for (const one of all)
      if (one.status === 409 && !all.some((other) => other !== one && other.fromMs < one.untilMs))
        wrong(`${sku} was refused, and nobody else had it`);
  }
}

/** No answer shows an older version than an answer that had ended before it was asked. */
function checkVersions({ seen }: History, cuts: Cuts, wrong: (what: string) => void): void {
  for (const [id, all] of Map.groupBy(seen, (one) => one.id)) {
    // Behind what was cut they began anew.
    const most = (cuts.get(id)?.version ?? Number.POSITIVE_INFINITY) - 1;
    const ended = [...all].sort((a, b) => a.untilMs - b.untilMs);
    const begun = [...all].sort((a, b) => a.fromMs - b.fromMs);
    let newest = 0;
    let next = 0;
    for (const one of begun) {
      for (; next < ended.length && (ended[next]?.untilMs ?? 0) < one.fromMs; next += 1)
        newest = Math.max(newest, Math.min(most, ended[next]?.version ?? 0));
      if (one.version < newest)
        wrong(
          `${one.client} saw version ${one.version} of ${id} at ${one.untilMs} ms; ${newest} was told before`,
        );
    }
  }
}
