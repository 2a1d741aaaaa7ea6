/** Orders and their money: what was acknowledged stands, every key has one effect, everything has ended. */
import { type OrderEvent, type OrderState, order, quantities } from '@cardume/shop/orders/order';
import type { AccountEvent } from '@cardume/shop/users/account';
import { parseId } from 'cardume/base/id';
import type { Bank } from '../bank.ts';
import type { Coverage } from '../coverage.ts';
import type { History } from '../history.ts';
import { type Cuts, isLost, wasActedOn, wasGone } from './cuts.ts';
import { eventIn, type Shelf } from './shelf.ts';

export interface OrderBook {
  readonly id: string;
  /** Path of its shard and number of its partition. */
  readonly partition: string;
  /** Scope of the region where it was born. */
  readonly scope: number;
  readonly state: OrderState;
  readonly key: string | null;
  /** Epochs of its events, in order. */
  readonly epochs: readonly number[];
  readonly types: readonly string[];
}

/** A customer who has moved is called by the first id. */
export function ordersOn(shelves: readonly Shelf[]): Map<string, OrderBook> {
  const firstOf = firstIds(shelves);
  const books = new Map<
    string,
    { -readonly [K in keyof OrderBook]: OrderBook[K] } & { epochs: number[]; types: string[] }
  >();
  for (const { base, entries } of shelves) {
    for (const entry of entries) {
      if (entry.version === null || !entry.stream.startsWith('ord')) continue;
      let book = books.get(entry.stream);
      if (book === undefined) {
        const { scope } = parseId(entry.stream);
        const partition = `${base} ${entry.partition}`;
        book = {
          id: entry.stream,
          partition,
          scope,
          state: order.initial(),
          key: entry.key,
          epochs: [],
          types: [],
        };
        books.set(entry.stream, book);
      }
      const read = eventIn<OrderEvent>(entry);
      const event =
        read.type === 'OrderPlaced' && read.customer !== null
          ? { ...read, customer: firstOf.get(read.customer) ?? read.customer }
          : read;
      book.state = order.evolve(book.state, event);
      book.epochs.push(entry.epoch);
      book.types.push(event.type);
    }
  }
  return books;
}

function firstIds(shelves: readonly Shelf[]): ReadonlyMap<string, string> {
  const firstOf = new Map<string, string>();
  for (const { entries } of shelves)
    for (const entry of entries)
      if (entry.version !== null && entry.type === 'AccountArrived') {
        const { former } = eventIn<Extract<AccountEvent, { type: 'AccountArrived' }>>(entry);
        firstOf.set(entry.stream, former[0] as string);
      }
  return firstOf;
}

/** @param short orders that some stock refused */
export function checkOrders(
  books: ReadonlyMap<string, OrderBook>,
  cuts: Cuts,
  short: ReadonlySet<string>,
  history: History,
  coverage: Coverage,
  wrong: (what: string) => void,
): void {
  const byKey = new Map<string, string>();
  const placedBy = new Map<string, number>();
  for (const { id, key, state } of books.values()) {
    const { status, held, placed } = state;
    const hasEnded =
      status === 'confirmed' || status === 'cancelled' || (status === 'rejected' && held === 'nothing');
    if (!hasEnded) wrong(`${id} has not ended: it is ${status} and holds ${held}`);
    if (state.reason === 'insufficient-stock' && !short.has(id))
      wrong(`${id} was rejected for want of stock, and no stock refused it`);
    // Under a later id of its customer the key has that id behind it.
    const [asked, laterId] = key?.split('/') ?? [];
    // Lost with the word that led to it from the older id, the key was used anew there; and then it was submitted again.
    if (laterId !== undefined && wasGone(cuts, id)) continue;
    if (asked === undefined) wrong(`${id} was placed without its key`);
    else {
      if (byKey.has(asked)) wrong(`one key made ${byKey.get(asked)} and ${id}`);
      byKey.set(asked, id);
    }
    const customer = placed?.customer ?? '';
    placedBy.set(customer, (placedBy.get(customer) ?? 0) + 1);
  }
  for (const { customer, key, answer, others } of history.orders) {
    if (answer?.id === null || answer?.id === undefined) continue;
    for (const id of [answer.id, ...others]) {
      const book = books.get(id);
      if (isLost(books, cuts, id)) coverage.reached('an order was lost with its region');
      else if (book === undefined) wrong(`${id} was acknowledged (key ${key}) and is lost`);
      else if (book.state.placed?.customer !== customer)
        wrong(`${id} belongs to ${book.state.placed?.customer}`);
    }
  }
  for (const [customer, asked] of Map.groupBy(history.orders, (one) => one.customer)) {
    const placed = placedBy.get(customer) ?? 0;
    if (placed > asked.length) wrong(`${customer} asked for ${asked.length} orders and has ${placed}`);
  }
}

/** A confirmed order has paid its total once; any other holds no money. */
export async function checkMoney(
  books: ReadonlyMap<string, OrderBook>,
  cuts: Cuts,
  bank: Bank,
  wrong: (what: string) => void,
): Promise<void> {
  for (const { id, state } of books.values()) {
    const { status } = await bank.booked(id);
    const asked = [...(bank.amounts.get(id) ?? [])];
    const total = state.placed?.total_e4;
    if (asked.some((amount) => amount !== total))
      wrong(`${id} costs ${total}, and the bank was asked for ${asked}`);
    if (state.status === 'confirmed' && status !== 'approved')
      wrong(`${id} is confirmed, and its payment ${status}`);
    if (state.status !== 'confirmed' && (status === 'approved' || status === 'pending'))
      wrong(`${id} is ${state.status}, and its payment ${status} all the same`);
    // A cancellation that was lost had voided the payment for good.
    if (state.reason === 'payment-declined' && bank.tokens.get(id) !== 'tok_decline' && !wasActedOn(cuts, id))
      wrong(`${id} was rejected as declined, and was to be paid with ${bank.tokens.get(id)}`);
  }
  for (const key of bank.amounts.keys())
    if (!books.has(key) && !wasActedOn(cuts, key))
      wrong(`the bank was asked for ${key}, which does not exist`);
}

/** Pieces sold by confirmed orders, by `<scope of the region> <unique part of the product's id>`. */
export function soldBy(books: ReadonlyMap<string, OrderBook>): Map<string, number> {
  const sold = new Map<string, number>();
  for (const { scope, state } of books.values()) {
    if (state.status !== 'confirmed' || state.placed === null) continue;
    for (const [product, quantity] of quantities(state.placed)) {
      const name = `${scope} ${product.slice(8)}`;
      sold.set(name, (sold.get(name) ?? 0) + quantity);
    }
  }
  return sold;
}

export function noteOrders(books: ReadonlyMap<string, OrderBook>, coverage: Coverage): void {
  for (const { state, epochs, types } of books.values()) {
    const crossed = epochs.at(-1) !== epochs[0];
    if (crossed) coverage.reached('an order was carried over a restart');
    const at = types.findIndex((type) => type === 'OrderRejected' || type === 'CancellationRequested');
    if (at >= 0 && at < types.length - 1 && epochs[at] !== epochs.at(-1))
      coverage.reached('a compensation was interrupted by a restart');
    if (state.status === 'confirmed') coverage.reached('an order was confirmed');
    if (state.status === 'confirmed' && types.includes('PaymentPending'))
      coverage.reached('a payment was pending and then approved');
    if (state.reason === 'insufficient-stock') coverage.reached('an order was rejected: insufficient-stock');
    if (state.reason === 'payment-declined') coverage.reached('an order was rejected: payment-declined');
    if (state.reason === 'payment-timed-out') coverage.reached('an order was rejected: payment-timed-out');
    if (state.status === 'cancelled')
      coverage.reached(
        state.sold
          ? 'an order was cancelled after it was confirmed'
          : 'an order was cancelled before it was confirmed',
      );
  }
}
