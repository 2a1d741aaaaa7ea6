/**
 * Carries an order to its end: reserve its stock, take its payment, sell the stock, confirm. What goes wrong is first
 * decided (the order is rejected or cancelling, in the log) and then given back.
 *
 * Every step may run again after a crash, on another host, while a forgotten run of it is still on its way. It is
 * right for these reasons:
 * - A reservation has one key for ever: a late repeat reserves nothing. So whoever gives back asks for the
 *   reservation again, learns what the first attempt came to, and knows that nothing follows. One that was put in line
 *   becomes a reservation, or is refused, when other regions have been asked for theirs: until then the order looks again.
 * - Selling (`Commit`) needs an open reservation: after `Return` it does nothing.
 * - `Return`, keyed, takes the open reservation, or else the sale: whichever of the two it meets, the stock is back.
 * - A payment has one key, the order's id, and `void` is final: an `authorise` that was given up and arrives behind it
 *   takes nothing. Whoever gives back asks until the provider has answered, and then the order holds no money.
 */
import { type ErrorCode, isCardumeError } from 'cardume/base';
import { parseId } from 'cardume/base/id';
import { type Effect, notYet, process, type Work } from 'cardume/cqrs/process';
import type { Geography } from 'cardume/gateway/operation';
import { type Standing, stock, stockBeside } from '../contracts/stock.ts';
import { type OrderCommand, type OrderEvent, type OrderPlaced, order, orders, quantities } from './order.ts';
import type { Payments } from './payment.ts';
import { sideBySide } from './side-by-side.ts';

/** How long a provider may leave a payment undecided. */
export const paymentPendingMsMax = 30_000;
/** An order that has not ended by then is rejected. */
export const orderOpenMsMax = 15 * 60_000;

/** Saved states may be older than the event's second version. */
type Wanted = Omit<OrderPlaced, 'pieces'>;

export interface Fulfilment {
  phase: 'new' | 'placed' | 'paying' | 'giving-back' | 'ended';
  /** Wall clock of the event that began the phase. */
  sinceMs: number;
  /** What was ordered; null in an instance that a cancellation began. */
  placed: Wanted | null;
}

export const fulfilment = process<Fulfilment, OrderEvent, OrderCommand>({
  name: 'fulfilment',
  of: order,
  startsOn: ['OrderPlaced', 'CancellationRequested'],
  initial: () => ({ phase: 'new', sinceMs: 0, placed: null }),

  evolve(state, event, atMs) {
    const phase = phaseAfter(event);
    if (phase === null) return state;
    return { phase, sinceMs: atMs, placed: event.type === 'OrderPlaced' ? event : state.placed };
  },

  ended: ({ phase }) => phase === 'ended',

  react({ phase, sinceMs, placed }, id): Effect<OrderCommand>[] {
    switch (phase) {
      case 'placed': {
        const detail = 'it could not be fulfilled in time';
        const command = { type: 'Reject', reason: 'expired', detail, held: 'stock-and-payment' } as const;
        return [
          { key: 'fulfil', kind: 'work', run: (work) => fulfil(id, placed as Wanted, work) },
          { key: 'expire', kind: 'timer', atMs: sinceMs + orderOpenMsMax, command },
        ];
      }
      case 'paying': {
        const detail = 'the provider did not decide in time';
        const command = {
          type: 'Reject',
          reason: 'payment-timed-out',
          detail,
          held: 'stock-and-payment',
        } as const;
        return [
          {
            key: 'await-payment',
            kind: 'work',
            run: (work) => awaitPayment(id, placed as Wanted, work),
          },
          { key: 'payment-deadline', kind: 'timer', atMs: sinceMs + paymentPendingMsMax, command },
        ];
      }
      case 'giving-back':
        return [{ key: 'give-back', kind: 'work', run: (work) => giveBack(id, work) }];
      default:
        return [];
    }
  },
});

function phaseAfter(event: OrderEvent): Fulfilment['phase'] | null {
  switch (event.type) {
    case 'OrderPlaced':
      return 'placed';
    case 'PaymentPending':
      return 'paying';
    case 'CancellationRequested':
      return 'giving-back';
    case 'OrderRejected':
      return event.held === 'nothing' ? 'ended' : 'giving-back';
    case 'OrderConfirmed':
    case 'OrderSettled':
    case 'OrderCancelled':
      return 'ended';
    case 'PaymentReturned':
      return null;
  }
}

async function fulfil(id: string, placed: Wanted, work: Work): Promise<OrderCommand | typeof notYet> {
  const short = await reserve(id, placed, work);
  if (short === notYet) return notYet;
  if (short !== null) {
    return { type: 'Reject', reason: 'insufficient-stock', ...short };
  }
  return pay(id, placed, work);
}

async function pay(id: string, placed: Wanted, work: Work): Promise<OrderCommand> {
  if (placed.payment.method === 'invoice') return sell(id, placed, 'invoice', work);
  const { token } = placed.payment;
  const { total_e4: amountE4, currency } = placed;
  const { status, reference, reason } = await payments(work).authorise({
    key: id,
    order: id,
    amountE4,
    currency,
    token,
  });
  if (status === 'approved') return sell(id, placed, reference ?? id, work);
  if (status === 'pending') return { type: 'AwaitPayment' };
  return {
    type: 'Reject',
    reason: 'payment-declined',
    detail: reason ?? `the payment is ${status}`,
    held: 'stock',
  };
}

async function awaitPayment(id: string, placed: Wanted, work: Work): Promise<OrderCommand | typeof notYet> {
  const { status, reference, reason } = await payments(work).status(id);
  if (status === 'approved') return sell(id, placed, reference ?? id, work);
  // A provider that has forgotten is asked again; the same key gives the same payment.
  const asked = status === 'unknown' ? await pay(id, placed, work) : null;
  if (asked !== null && asked.type !== 'AwaitPayment') return asked;
  if (asked !== null || status === 'pending') return notYet;
  return {
    type: 'Reject',
    reason: 'payment-declined',
    detail: reason ?? `the payment is ${status}`,
    held: 'stock',
  };
}

async function sell(id: string, placed: Wanted, payment: string, work: Work): Promise<OrderCommand> {
  const { bus } = work;
  const stockOf = stocksNear(id, work);
  await sideBySide(quantities(placed), ([product]) =>
    bus.send(stock, stockOf(product), { type: 'Commit', order: id }),
  );
  return { type: 'Confirm', payment };
}

/**
 * @returns what was lacking, and what is held all the same; null when all is reserved; `notYet` when some stock waits for
 *   what other regions give
 */
async function reserve(id: string, placed: Wanted, work: Work): Promise<Short | null | typeof notYet> {
  const stockOf = stocksNear(id, work);
  /** Those of the first kind were refused at once, and are for every attempt. */
  const refused = { atOnce: [] as string[], inLine: [] as string[] };
  const wanted = quantities(placed);
  let isWaiting = false;
  await sideBySide(wanted, async ([product, quantity]) => {
    const at = stockOf(product);
    const asked = await reserveOne(id, at, quantity, work, { isFresh: !work.again, mayWait: true });
    if (asked.refusal !== null) {
      refused.atOnce.push(`${product}: ${asked.refusal}`);
      return;
    }
    const standing = asked.isQueued ? await standingAt(id, at, work) : 'reserved';
    if (standing === 'waiting') isWaiting = true;
    if (standing === 'refused')
      refused.inLine.push(`${product}: ${quantity} are wanted, and no region has them to give`);
  });
  const { atOnce, inLine } = refused;
  const detail = [...atOnce, ...inLine].sort().slice(0, 3).join('; ');
  if (atOnce.length > 0) return { detail, held: atOnce.length < wanted.size ? 'stock' : 'nothing' };
  // A run that was forgotten may look when the place in line is given back, take it for sold, and ask for the payment.
  if (inLine.length > 0) return { detail, held: 'stock-and-payment' };
  return isWaiting ? notYet : null;
}

type Short = Pick<Extract<OrderCommand, { type: 'Reject' }>, 'detail' | 'held'>;

async function standingAt(id: string, at: string, { bus }: Work): Promise<Standing> {
  const { result } = await bus.send(stock, at, { type: 'Look', order: id });
  return result as Standing;
}

const refusals: readonly ErrorCode[] = ['insufficient-stock', 'not-found'];

interface Reserved {
  /** Why the region has not enough; null: it is reserved, or was put in line. */
  readonly refusal: string | null;
  readonly isQueued: boolean;
}

/** @param how fresh: it was hardly asked for before */
async function reserveOne(
  id: string,
  at: string,
  quantity: number,
  { bus, ports }: Work,
  how: { readonly isFresh: boolean; readonly mayWait: boolean },
): Promise<Reserved> {
  const key = { text: `${id}/reserve/${at}`, fingerprint: String(quantity), fresh: how.isFresh };
  const mayWait = how.mayWait && (ports['geography'] as Geography).regions.length > 1;
  try {
    const { result } = await bus.send(stock, at, { type: 'Reserve', order: id, quantity, mayWait }, { key });
    return { refusal: null, isQueued: result === 'waiting' };
  } catch (error) {
    if (isCardumeError(error) && refusals.includes(error.code))
      return { refusal: error.message, isQueued: false };
    throw error;
  }
}

/** Whatever the order holds or may come to hold: its stock, and its payment. */
async function giveBack(id: string, work: Work): Promise<OrderCommand> {
  const { state } = await work.bus.load(orders, id);
  const { sold, held, status } = state;
  const placed = state.placed as OrderPlaced;
  const stockOf = stocksNear(id, work);
  await sideBySide(quantities(placed), async ([product, quantity]) => {
    const at = stockOf(product);
    if (!sold) {
      const { refusal } = await reserveOne(id, at, quantity, work, { isFresh: false, mayWait: false });
      if (refusal !== null) return;
    }
    const key = { text: `${id}/return/${at}`, fingerprint: String(quantity) };
    await work.bus.send(stock, at, { type: 'Return', order: id, quantity }, { key });
  });
  if (placed.payment.method === 'invoice') return { type: 'Settle', payment: null };
  if (status === 'rejected' && held === 'stock') return { type: 'Settle', payment: null };
  const { reference } = await (sold ? payments(work).refund(id) : payments(work).void(id));
  return { type: 'Settle', payment: reference };
}

function payments({ ports }: Work): Payments {
  return ports['payments'] as Payments;
}

/** The stock that serves an order is that of the order's own region. */
function stocksNear(id: string, { ports }: Work): (product: string) => string {
  const geography = ports['geography'] as Geography;
  const born = parseId(id);
  return (product) => stockBeside(geography, born, product);
}
