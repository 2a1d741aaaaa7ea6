/**
 * The stock of one product in one region: the region's right to sell (escrow, after O'Neil 1986). Every region sells
 * from its own stock without asking another, and rights move only by transfer, so nothing is sold twice.
 *
 *   available + reserved + sold = rights, and rights = received + transferred in − transferred out
 *
 * This is the hottest aggregate of a sale: decisions and events cost the same however many orders are open.
 */
import { accept, aggregate, type Decision, reject } from 'cardume/cqrs/aggregate';
import { refer } from 'cardume/cqrs/bus';
import { Type } from 'typebox';
import type { EventOf } from '../contracts/event.ts';
import { Id, StockQuantity } from '../contracts/schemas.ts';
import type { StockCommand } from '../contracts/stock.ts';

const ofOrder = Type.Object({ order: Id });
const ofOrderSome = Type.Object({ order: Id, quantity: StockQuantity });

const events = {
  StockReceived: Type.Object({ quantity: StockQuantity }),
  StockReserved: ofOrderSome,
  ReservationCommitted: ofOrder,
  ReservationReleased: ofOrder,
  /** What was sold has come back. */
  StockReturned: ofOrderSome,
  TransferSent: Type.Object({ transfer: Id, to: Id, quantity: StockQuantity }),
  TransferReceived: Type.Object({ transfer: Id, from: Id, quantity: StockQuantity }),
  /** The other region has received it. */
  TransferSettled: Type.Object({ transfer: Id }),
};
export type StockEvent = EventOf<typeof events>;

export interface StockState {
  received: number;
  transferredIn: number;
  transferredOut: number;
  available: number;
  reserved: number;
  sold: number;
  /** Order → quantity, while it is open. */
  readonly reservations: Map<string, number>;
  /** Transfer → quantity, sent and not yet known to be received. */
  readonly inTransit: Map<string, number>;
}

export const stock = aggregate<StockState, StockCommand, StockEvent>({
  name: 'stock',
  idType: 'stk',
  events,
  initial: () => ({
    received: 0,
    transferredIn: 0,
    transferredOut: 0,
    available: 0,
    reserved: 0,
    sold: 0,
    reservations: new Map(),
    inTransit: new Map(),
  }),

  decide(command, state, { version }): Decision<StockEvent> {
    switch (command.type) {
      case 'Receive':
        return accept([{ type: 'StockReceived', quantity: command.quantity }]);

      case 'Reserve': {
        const { order, quantity } = command;
        if (version === 0) return reject('not-found', 'the region never had stock of this product');
        if (state.reservations.has(order)) return accept([]);
        if (quantity > state.available) return short(quantity, state);
        return accept([{ type: 'StockReserved', order, quantity }]);
      }
      case 'Commit': {
        const { order } = command;
        return accept(state.reservations.has(order) ? [{ type: 'ReservationCommitted', order }] : []);
      }
      case 'Return': {
        const { order, quantity } = command;
        if (state.reservations.has(order)) return accept([{ type: 'ReservationReleased', order }]);
        if (quantity > state.sold)
          return reject('conflict', `only ${state.sold} are sold, ${quantity} cannot come back`);
        return accept([{ type: 'StockReturned', order, quantity }]);
      }

      case 'SendTransfer': {
        const { transfer, to, quantity } = command;
        if (quantity > state.available) return short(quantity, state);
        return accept([{ type: 'TransferSent', transfer, to, quantity }], { transfer });
      }
      case 'ReceiveTransfer': {
        const { transfer, from, quantity } = command;
        return accept([{ type: 'TransferReceived', transfer, from, quantity }]);
      }
      case 'SettleTransfer': {
        const { transfer } = command;
        return accept(state.inTransit.has(transfer) ? [{ type: 'TransferSettled', transfer }] : []);
      }
    }
  },

  evolve(state, event) {
    switch (event.type) {
      case 'StockReceived':
        state.received += event.quantity;
        state.available += event.quantity;
        break;
      case 'StockReserved':
        state.reservations.set(event.order, event.quantity);
        state.available -= event.quantity;
        state.reserved += event.quantity;
        break;
      case 'ReservationCommitted':
        state.sold += close(state, event.order);
        break;
      case 'ReservationReleased':
        state.available += close(state, event.order);
        break;
      case 'StockReturned':
        state.sold -= event.quantity;
        state.available += event.quantity;
        break;
      case 'TransferSent':
        state.inTransit.set(event.transfer, event.quantity);
        state.transferredOut += event.quantity;
        state.available -= event.quantity;
        break;
      case 'TransferReceived':
        state.transferredIn += event.quantity;
        state.available += event.quantity;
        break;
      case 'TransferSettled':
        state.inTransit.delete(event.transfer);
        break;
    }
    return state;
  },
});

/** Ends a reservation. @returns what it held */
function close(state: StockState, order: string): number {
  const quantity = state.reservations.get(order) as number;
  state.reservations.delete(order);
  state.reserved -= quantity;
  return quantity;
}

function short(quantity: number, { available }: StockState): Decision<never> {
  return reject('insufficient-stock', `${quantity} are wanted, ${available} are available in the region`);
}

/** What the region may sell, has sold or has promised. */
export function rights(state: StockState): number {
  return state.received + state.transferredIn - state.transferredOut;
}

export const stocks = refer('products', stock);
