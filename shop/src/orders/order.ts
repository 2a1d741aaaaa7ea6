/**
 * An order. It is placed, and its fulfilment ends it: confirmed (paid and sold) or rejected. A placed or confirmed
 * order may be cancelled; it is `cancelling` until everything is given back. The usual way is two events.
 *
 *   placed ──→ confirmed ──→ cancelling ──→ cancelled
 *     │ ╰─→ paying ─╯ │          ↑
 *     ╰───────┴───────┴─ (cancel)╯      placed, paying ──→ rejected
 */
import { accept, aggregate, type Decision, reject } from 'cardume/cqrs/aggregate';
import { refer } from 'cardume/cqrs/bus';
import { type Static, Type } from 'typebox';
import type { EventOf } from '../contracts/event.ts';
import { AmountE4, Currency, Id, Milliseconds, Quantity } from '../contracts/schemas.ts';

export const Country = Type.String({ minLength: 1, maxLength: 60 });
export const Reference = Type.String({ minLength: 1, maxLength: 100 });

export const Reason = Type.Union([
  Type.Literal('insufficient-stock'),
  Type.Literal('payment-declined'),
  Type.Literal('payment-timed-out'),
  Type.Literal('expired'),
]);
/** What a rejected order still holds, or may hold, when it is rejected. */
const Held = Type.Union([Type.Literal('nothing'), Type.Literal('stock'), Type.Literal('stock-and-payment')]);
const Line = Type.Object({ product: Id, sku: Type.String(), quantity: Quantity, unit_price_e4: AmountE4 });
const How = Type.Object({ method: Type.Literal('card'), token: Type.String({ maxLength: 200 }) });
const Invoice = Type.Object({ method: Type.Literal('invoice') });

const events = {
  OrderPlaced: Type.Object({
    /** Account; null for a guest. */
    customer: Type.Union([Id, Type.Null()]),
    /** Account of the member of staff who placed it for the customer. */
    placed_by: Type.Optional(Id),
    country: Country,
    currency: Currency,
    /** When the customer ordered: for an imported order long before its event. */
    placed_at_ms: Milliseconds,
    lines: Type.Array(Line, { minItems: 1, maxItems: 1_000 }),
    total_e4: AmountE4,
    /** Of all lines. Since version 2. */
    pieces: Type.Integer({ minimum: 1 }),
    payment: Type.Union([How, Invoice]),
    /** Prices were agreed, not taken from the catalogue. */
    agreed: Type.Boolean(),
    /** The caller's own name for it, such as an invoice number. */
    reference: Type.Optional(Reference),
  }),
  /** Stock is reserved; the provider has not decided yet. */
  PaymentPending: Type.Object({}),
  OrderConfirmed: Type.Object({ payment: Type.String() }),
  OrderRejected: Type.Object({ reason: Reason, detail: Type.String(), held: Held }),
  CancellationRequested: Type.Object({ by: Id }),
  /** Approved too late, or for an order that was cancelled. */
  PaymentReturned: Type.Object({ reference: Type.String() }),
  /** A rejected order holds nothing any more. */
  OrderSettled: Type.Object({}),
  OrderCancelled: Type.Object({}),
};
export type OrderEvent = EventOf<typeof events>;
export type OrderPlaced = Extract<OrderEvent, { type: 'OrderPlaced' }>;
export type OrderLine = Static<typeof Line>;

export type OrderCommand =
  | ({ readonly type: 'Place' } & Omit<OrderPlaced, 'type' | 'pieces'>)
  /** Of an order that is not there: its customer has moved, and orders under another id. Remembered under the order's key. */
  | { readonly type: 'PassOn'; readonly to: string }
  | { readonly type: 'AwaitPayment' }
  | { readonly type: 'Confirm'; readonly payment: string }
  | ({ readonly type: 'Reject' } & Static<(typeof events)['OrderRejected']>)
  | { readonly type: 'Cancel'; readonly by: string }
  /** Everything is given back. `payment`: the reference of one that had been approved. */
  | { readonly type: 'Settle'; readonly payment: string | null };

export interface OrderState {
  status: 'none' | 'placed' | 'paying' | 'confirmed' | 'rejected' | 'cancelling' | 'cancelled';
  placed: OrderPlaced | null;
  /** It was confirmed: sold and paid. Stays true when it is cancelled. */
  sold: boolean;
  held: Static<typeof Held>;
  reason: Static<typeof Reason> | null;
  detail: string | null;
}

const piecesIn = (lines: readonly OrderLine[]): number =>
  lines.reduce((pieces, { quantity }) => pieces + quantity, 0);

export const order = aggregate<OrderState, OrderCommand, OrderEvent>({
  name: 'order',
  idType: 'ord',
  events,
  upcasters: { OrderPlaced: [(first) => ({ ...first, pieces: piecesIn(first['lines'] as OrderLine[]) })] },
  stateRevision: 2,
  // A confirmed order may still be cancelled, and a rejected one be settled: then it goes on, and ends again.
  endsOn: ['OrderConfirmed', 'OrderRejected', 'OrderSettled', 'OrderCancelled'],
  initial: () => ({ status: 'none', placed: null, sold: false, held: 'nothing', reason: null, detail: null }),

  decide(command, { status, held }): Decision<OrderEvent> {
    const open = status === 'placed' || status === 'paying';
    switch (command.type) {
      case 'Place': {
        if (status !== 'none') return reject('already-exists', 'the order was placed before');
        const { placed_at_ms, currency, total_e4 } = command;
        return accept([{ ...command, type: 'OrderPlaced', pieces: piecesIn(command.lines) }], {
          placed_at_ms,
          currency,
          total_e4,
        });
      }
      case 'PassOn':
        return accept([], { moved_to: command.to });
      // What fulfilment finds out comes to nothing when the order has ended meanwhile.
      case 'AwaitPayment':
        return accept(status === 'placed' ? [{ type: 'PaymentPending' }] : []);
      case 'Confirm':
        return accept(open ? [{ type: 'OrderConfirmed', payment: command.payment }] : []);
      case 'Reject': {
        const { reason, detail, held: holds } = command;
        return accept(open ? [{ type: 'OrderRejected', reason, detail, held: holds }] : []);
      }
      case 'Cancel':
        if (status === 'none') return reject('not-found', 'there is no such order');
        if (status === 'rejected') return reject('conflict', 'a rejected order cannot be cancelled');
        return accept(
          open || status === 'confirmed' ? [{ type: 'CancellationRequested', by: command.by }] : [],
        );
      case 'Settle': {
        const returned: OrderEvent[] =
          command.payment === null ? [] : [{ type: 'PaymentReturned', reference: command.payment }];
        if (status === 'cancelling') return accept([...returned, { type: 'OrderCancelled' }]);
        return accept(
          status === 'rejected' && held !== 'nothing' ? [...returned, { type: 'OrderSettled' }] : [],
        );
      }
    }
  },

  evolve(state, event) {
    switch (event.type) {
      case 'OrderPlaced':
        state.status = 'placed';
        state.placed = event;
        break;
      case 'PaymentPending':
        state.status = 'paying';
        break;
      case 'OrderConfirmed':
        state.status = 'confirmed';
        state.sold = true;
        break;
      case 'OrderRejected':
        state.status = 'rejected';
        state.reason = event.reason;
        state.detail = event.detail;
        state.held = event.held;
        break;
      case 'CancellationRequested':
        state.status = 'cancelling';
        break;
      case 'PaymentReturned':
        break;
      case 'OrderSettled':
        state.held = 'nothing';
        break;
      case 'OrderCancelled':
        state.status = 'cancelled';
        break;
    }
    return state;
  },
});

export const orders = refer('orders', order);

/** Product → quantity over all lines that name it. */
export function quantities({ lines }: Pick<OrderPlaced, 'lines'>): Map<string, number> {
  const wanted = new Map<string, number>();
  for (const { product, quantity } of lines) wanted.set(product, (wanted.get(product) ?? 0) + quantity);
  return wanted;
}
