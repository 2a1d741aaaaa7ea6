/** Stock: never sold twice, never refused while it was there, and nothing of it gets lost between regions. */
import { rights, type StockEvent, type StockState, stock } from '@cardume/shop/products/stock';
import { parseId, uniqueOf } from 'cardume/base/id';
import { markOf } from 'cardume/cqrs/answers';
import { termOf } from 'cardume/events/epoch';
import type { Entry } from 'cardume/events/log';
import type { RegionTopology, Topology } from 'cardume/topology';
import type { Coverage } from '../coverage.ts';
import type { History } from '../history.ts';
import { type Cuts, cutStocks, nameOfStock, wasActedOn } from './cuts.ts';
import { eventIn, refusalIn, type Shelf } from './shelf.ts';

const SHORT = /^(\d+) are wanted, (\d+) are available in the region$/;

export interface Taken {
  /** Pieces of confirmed orders, by scope and product. */
  readonly sold: ReadonlyMap<string, number>;
  /** Names of stocks that do not go with what orders are now, since two regions were lost. */
  readonly touched: ReadonlySet<string>;
  readonly cuts: Cuts;
  /** What a lost region may sell may be frozen. */
  readonly mayFreeze: boolean;
}

export function checkStock(
  shelves: readonly Shelf[],
  { sold, touched, cuts, mayFreeze }: Taken,
  history: History,
  topology: Topology,
  coverage: Coverage,
  wrong: (what: string) => void,
): void {
  const states = new Map<string, StockState>();
  const arrived = new Set<string>();
  const receivers = new Map<string, string>();
  const missing = new Set<string>();
  for (const { entries } of shelves) {
    const sentIn = new Map<string, number>();
    for (const entry of entries) {
      if (!entry.stream.startsWith('stk')) continue;
      const state = states.get(entry.stream) ?? stock.initial();
      const refusal = refusalIn(entry);
      // What was submitted again tells of the place where it was decided.
      if (refusal !== null && markOf(entry.meta) === null)
        checkRefusal(entry, refusal, state, mayFreeze, wrong);
      if (entry.version === null) continue;
      const event = eventIn<StockEvent>(entry);
      states.set(entry.stream, stock.evolve(state, event));
      if (Math.min(state.available, state.reserved, state.sold, state.frozen) < 0)
        wrong(
          `${entry.stream} at ${entry.position}: ${state.available} available, ${state.reserved} reserved, ${state.sold} sold, ${state.frozen} frozen`,
        );
      if (event.type === 'SaleMissing') missing.add(entry.stream);
      if (event.type === 'TransferReceived') arrived.add(event.transfer);
      if (event.type === 'TransferReceived' && event.transfer.includes('/'))
        coverage.reached('rights came on demand');
      if (event.type === 'ReservationRefused') coverage.reached('an order waited in line, and was refused');
      if (event.type === 'TransferSent') {
        sentIn.set(event.transfer, entry.epoch);
        receivers.set(event.transfer, event.to);
      }
      if (event.type === 'TransferSettled' && sentIn.get(event.transfer) !== entry.epoch)
        coverage.reached('a transfer of stock was carried over a restart');
    }
  }
  const supply = new Map<string, { received: number; left: number; isTouched: boolean }>();
  for (const [id, state] of states) {
    const name = nameOfStock(id);
    if (!touched.has(name) && (state.reserved !== 0 || state.reservations.size > 0))
      wrong(`${id}: ${state.reserved} are reserved for nobody`);
    if (!touched.has(name) && missing.has(id)) wrong(`${id}: an order gave back what was never sold`);
    if (state.inTransit.size > 0) wrong(`${id}: ${state.inTransit.size} transfers are still on their way`);
    if (!touched.has(name) && (state.line.size > 0 || state.demand !== null))
      wrong(`${id}: ${state.line.size} orders stand in line, demand ${state.demand?.number ?? 'none'}`);
    if (!touched.has(name) && state.sold !== (sold.get(name) ?? 0))
      wrong(`${id}: ${state.sold} are sold, confirmed orders have ${sold.get(name) ?? 0}`);
    if (state.available + state.reserved + state.sold + state.frozen !== rights(state))
      wrong(`${id}: its parts are not its rights`);
    const sum = supply.get(uniqueOf(id)) ?? { received: 0, left: 0, isTouched: false };
    supply.set(uniqueOf(id), {
      isTouched: sum.isTouched || wasActedOn(cuts, id),
      received: sum.received + state.received - state.writtenOff,
      left: sum.left + state.available + state.sold + state.frozen + (touched.has(name) ? state.reserved : 0),
    });
  }
  for (const [product, { received, left, isTouched }] of supply)
    if (received !== left && !isTouched)
      wrong(`product ${product}: ${received} were received, ${left} are available, sold or frozen`);
  for (const name of sold.keys())
    if (![...states.keys()].some((id) => nameOfStock(id) === name))
      wrong(`${name} was sold and never received`);
  const lost = new Set([...cuts.values()].flatMap(({ transfers }) => [...transfers]));
  for (const transfer of history.transfers)
    if (!arrived.has(transfer) && !lost.has(transfer) && !wasActedOn(cuts, receivers.get(transfer) ?? ''))
      wrong(`${transfer} was acknowledged and never arrived`);
  checkReceived(states, cutStocks(cuts), history, topology, wrong);
}

/** The order that reserves under the key. */
export const orderOf = (key: string): string => key.split('/reserve/', 1)[0] as string;

/** Orders that some stock refused. */
export function refusedOrders(shelves: readonly Shelf[]): Set<string> {
  const refused = new Set<string>();
  for (const { entries } of shelves)
    for (const entry of entries) {
      if (!entry.stream.startsWith('stk')) continue;
      if (refusalIn(entry) !== null) refused.add(orderOf(entry.key ?? ''));
      else if (entry.type === 'ReservationRefused') refused.add(eventIn<{ order: string }>(entry).order);
    }
  return refused;
}

/** A refusal tells what was there: it must have been just that, at its place in the log. */
function checkRefusal(
  { stream: id, epoch }: Entry,
  { code, detail }: { readonly code: string; readonly detail: string },
  { available, frozen, frozenIn, received, transferredIn }: StockState,
  mayFreeze: boolean,
  wrong: (what: string) => void,
): void {
  if (code === 'not-found') {
    if (received + transferredIn > 0) wrong(`${id} was said not to exist, and had ${received} pieces`);
    return;
  }
  const [, wanted, said] = SHORT.exec(detail) ?? [];
  // Rights are frozen, and thawed, by the next decision that takes: a refusal takes nothing.
  const maybe = [available, ...(frozen > 0 ? [available + frozen] : [])];
  if (mayFreeze && termOf(epoch) > frozenIn) maybe.push(0);
  if (wanted === undefined) wrong(`${id} refused something: ${code}, ${detail}`);
  else if (!maybe.includes(Number(said)) || Number(wanted) <= Number(said))
    wrong(`${id} refused ${wanted} with ${said} available, and had ${available}`);
}

/** Everything that was acknowledged was received, and nothing that nobody sent. */
function checkReceived(
  states: ReadonlyMap<string, StockState>,
  cut: ReadonlySet<string>,
  history: History,
  topology: Topology,
  wrong: (what: string) => void,
): void {
  for (const [name, accesses] of history.received) {
    const [product, region] = name.split(' ') as [string, string];
    const { code } = topology.regions[region] as RegionTopology;
    if (cut.has(`${code} ${uniqueOf(product)}`)) continue; // goods may be lost, or received once more
    const found = [...states].find(
      ([id]) => uniqueOf(id) === uniqueOf(product) && parseId(id).scope === code,
    );
    const received = found?.[1].received ?? 0;
    const added = accesses.flatMap(({ input, untilMs }) =>
      input.kind === 'add' ? [{ by: input.by, isKnown: untilMs < Number.POSITIVE_INFINITY }] : [],
    );
    const known = added.reduce((sum, { by, isKnown }) => sum + (isKnown ? by : 0), 0);
    const perhaps = added.reduce((sum, { by }) => sum + by, 0);
    if (received < known || received > perhaps)
      wrong(`${product} in ${region}: ${received} were received, ${known} to ${perhaps} were sent`);
  }
}
