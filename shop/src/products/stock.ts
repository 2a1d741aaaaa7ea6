/**
 * The stock of one product in one region: the region's right to sell (escrow, after O'Neil 1986). Every region sells
 * from its own stock without asking another, and rights move only by transfer, so nothing is sold twice.
 *
 *   available + reserved + sold + frozen = rights
 *   rights = received + transferred in − transferred out − written off
 *
 * An order that finds too little waits in line while other regions are asked for theirs (demand.ts). Rights of a region
 * that was lost are frozen (frozen.ts).
 *
 * This is the hottest aggregate of a sale: decisions and events cost the same however many orders are open.
 */
import { accept, aggregate, type DecideContext, type Decision, reject } from 'cardume/cqrs/aggregate';
import { refer } from 'cardume/cqrs/bus';
import { Type } from 'typebox';
import type { EventOf } from '../contracts/event.ts';
import { Id, Milliseconds, StockQuantity } from '../contracts/schemas.ts';
import { type Standing, type StockCommand, TransferName, WriteOffReason } from '../contracts/stock.ts';
import { dueOf, spendable } from './frozen.ts';
import { demandIfLow, goesFirst, isPutOff, lineIsFull, outcomeOf, served } from './line.ts';

const Count = Type.Integer({ minimum: 0 });
const ofOrder = Type.Object({ order: Id });
const ofOrderSome = Type.Object({ order: Id, quantity: StockQuantity });

const events = {
  StockReceived: Type.Object({ quantity: StockQuantity }),
  StockReserved: ofOrderSome,
  /** There is too little: the order waits for what other regions can give. */
  ReservationQueued: ofOrderSome,
  /** They could give too little. The order stays in line, refused, until it gives its place back. */
  ReservationRefused: ofOrder,
  ReservationCommitted: ofOrder,
  /** Also of an order in line. */
  ReservationReleased: ofOrder,
  /** What was sold has come back. */
  StockReturned: ofOrderSome,
  /** An order gives back what was never sold here: its sale was lost with two regions, and cannot be submitted again now. */
  SaleMissing: ofOrderSome,
  TransferSent: Type.Object({ transfer: TransferName, to: Id, quantity: StockQuantity }),
  TransferReceived: Type.Object({ transfer: TransferName, from: Id, quantity: StockQuantity }),
  /** The other region has received it. */
  TransferSettled: Type.Object({ transfer: TransferName }),
  /** Other regions are asked for rights. `wanted`: what orders in line lack; 0: none waits yet, and few are left. */
  RightsDemanded: Type.Object({ demand: Count, wanted: Count }),
  /** `until_ms`: they are not asked again before. `dry`: they had nothing for orders in line. */
  DemandSettled: Type.Object({ demand: Count, dry: Type.Boolean(), until_ms: Milliseconds }),
  /** The region was lost, and what it sold last may be unknown here. `term`: in which its partition is at home elsewhere. */
  RightsFrozen: Type.Object({ term: Count, quantity: Count }),
  /** It is back. */
  RightsThawed: Type.Object({ quantity: StockQuantity }),
  /** It will not come back: `by` has decided that what was frozen is not there. */
  RightsWrittenOff: Type.Object({ quantity: StockQuantity, reason: WriteOffReason, by: Id }),
};
export type StockEvent = EventOf<typeof events>;

export interface StockState {
  received: number;
  transferredIn: number;
  transferredOut: number;
  writtenOff: number;
  available: number;
  reserved: number;
  sold: number;
  frozen: number;
  /** The last loss of the region that is known here; 0: none. */
  frozenIn: number;
  /** Order → quantity, while it is open. */
  readonly reservations: Map<string, number>;
  /** Orders in line, the first one first. */
  readonly line: Map<string, { readonly quantity: number; readonly isRefused: boolean }>;
  /** Transfer → quantity, sent and not yet known to be received. */
  readonly inTransit: Map<string, number>;
  /** So far. */
  demands: number;
  /** Under way. */
  demand: { readonly number: number; readonly wanted: number } | null;
  /** In a row, for orders in line, since anything came. */
  rounds: number;
  /**
   * Until then no other region is asked, and where the last demand was dry, orders do not wait in line. Null, not 0: the bytes of
   * a snapshot tell small numbers from large ones by what the engine has met before in this field.
   */
  quietUntilMs: number | null;
  isDry: boolean;
}

export const stock = aggregate<StockState, StockCommand, StockEvent>({
  name: 'stock',
  idType: 'stk',
  events,
  stateRevision: 2,
  initial: () => ({
    received: 0,
    transferredIn: 0,
    transferredOut: 0,
    writtenOff: 0,
    available: 0,
    reserved: 0,
    sold: 0,
    frozen: 0,
    frozenIn: 0,
    reservations: new Map(),
    line: new Map(),
    inTransit: new Map(),
    demands: 0,
    demand: null,
    rounds: 0,
    quietUntilMs: null,
    isDry: false,
  }),

  decide(command, state, context): Decision<StockEvent> {
    switch (command.type) {
      case 'Receive':
        return gain(state, context, { type: 'StockReceived', quantity: command.quantity });
      case 'Reserve':
        return reserve(command, state, context);
      case 'Commit': {
        const { order } = command;
        return accept(state.reservations.has(order) ? [{ type: 'ReservationCommitted', order }] : []);
      }
      case 'Return':
        return giveBack(command, state, context);
      case 'Look':
        return accept([], standingOf(command.order, state));

      case 'SendTransfer': {
        const { transfer, to, quantity } = command;
        const available = spendable(state, context);
        if (quantity > available) return short(quantity, available);
        return accept([...dueOf(state, context), { type: 'TransferSent', transfer, to, quantity }], {
          transfer,
        });
      }
      case 'Give': {
        const { transfer, to } = command;
        const isFirst = goesFirst(state, context.id, to);
        const quantity = isFirst ? 0 : Math.min(command.quantity, spendable(state, context));
        if (quantity === 0) return accept([], { quantity });
        return accept([...dueOf(state, context), { type: 'TransferSent', transfer, to, quantity }], {
          quantity,
        });
      }
      case 'ReceiveTransfer': {
        const { transfer, from, quantity } = command;
        return gain(state, context, { type: 'TransferReceived', transfer, from, quantity });
      }
      case 'SettleTransfer': {
        const { transfer } = command;
        return accept(state.inTransit.has(transfer) ? [{ type: 'TransferSettled', transfer }] : []);
      }
      case 'SettleDemand': {
        if (state.demand?.number !== command.demand) return accept([]);
        return accept(outcomeOf(command, state, context));
      }

      case 'WriteOff': {
        const { reason, by } = command;
        const due = dueOf(state, context);
        const quantity = due.reduce(frozenAfter, state.frozen);
        if (quantity === 0) return reject('conflict', 'nothing of it is frozen: the region is not lost');
        return accept([...due, { type: 'RightsWrittenOff', quantity, reason, by }], { quantity });
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
        state.line.delete(event.order);
        state.reservations.set(event.order, event.quantity);
        state.available -= event.quantity;
        state.reserved += event.quantity;
        break;
      case 'ReservationQueued':
        state.line.set(event.order, { quantity: event.quantity, isRefused: false });
        break;
      case 'ReservationRefused': {
        const { quantity } = state.line.get(event.order) as { quantity: number };
        state.line.set(event.order, { quantity, isRefused: true });
        break;
      }
      case 'ReservationCommitted':
        state.sold += close(state, event.order);
        break;
      case 'ReservationReleased':
        if (!state.line.delete(event.order)) state.available += close(state, event.order);
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
        state.rounds = 0;
        state.transferredIn += event.quantity;
        state.available += event.quantity;
        break;
      case 'TransferSettled':
        state.inTransit.delete(event.transfer);
        break;
      case 'RightsDemanded':
        state.demands = event.demand;
        state.demand = { number: event.demand, wanted: event.wanted };
        state.rounds = event.wanted > 0 ? state.rounds + 1 : 0;
        break;
      case 'DemandSettled':
        state.demand = null;
        state.isDry = event.dry;
        state.quietUntilMs = event.until_ms === 0 ? null : event.until_ms;
        if (event.until_ms > 0) state.rounds = 0;
        break;
      case 'RightsFrozen':
        state.frozenIn = event.term;
        state.available -= event.quantity;
        state.frozen += event.quantity;
        break;
      case 'RightsThawed':
        state.frozen -= event.quantity;
        state.available += event.quantity;
        break;
      case 'RightsWrittenOff':
        state.frozen -= event.quantity;
        state.writtenOff += event.quantity;
        break;
    }
    return state;
  },
});

type Gain = Extract<StockEvent, { type: 'StockReceived' | 'TransferReceived' }>;

/** Orders in line have it first. */
function gain(state: StockState, context: DecideContext, event: Gain): Decision<StockEvent> {
  const available = spendable(state, context) + event.quantity;
  return accept([...dueOf(state, context), event, ...served(state, available)]);
}

function reserve(
  { order, quantity, mayWait }: Extract<StockCommand, { type: 'Reserve' }>,
  state: StockState,
  context: DecideContext,
): Decision<StockEvent> {
  const standing = standingOf(order, state);
  if (standing !== 'nothing') return accept([], standing);
  const available = spendable(state, context);
  const due = dueOf(state, context);
  const left = available - quantity;
  if (left >= 0) {
    const demanded = mayWait === true ? demandIfLow(state, context, left, quantity) : [];
    return accept([...due, { type: 'StockReserved', order, quantity }, ...demanded], 'reserved');
  }
  if (mayWait !== true || isPutOff(state, context) || lineIsFull(state))
    return context.version === 0
      ? reject('not-found', 'the region never had stock of this product')
      : short(quantity, available);
  const queued: StockEvent = { type: 'ReservationQueued', order, quantity };
  if (state.demand !== null) return accept([...due, queued], 'waiting');
  const demanded: StockEvent = { type: 'RightsDemanded', demand: state.demands + 1, wanted: -left };
  return accept([...due, queued, demanded], 'waiting');
}

function giveBack(
  { order, quantity }: Extract<StockCommand, { type: 'Return' }>,
  state: StockState,
  context: DecideContext,
): Decision<StockEvent> {
  if (state.line.has(order)) return accept([{ type: 'ReservationReleased', order }]);
  const reserved = state.reservations.get(order);
  if (reserved === undefined && quantity > state.sold)
    return accept([...dueOf(state, context), { type: 'SaleMissing', order, quantity }]);
  const event: StockEvent =
    reserved === undefined
      ? { type: 'StockReturned', order, quantity }
      : { type: 'ReservationReleased', order };
  const available = spendable(state, context) + (reserved ?? quantity);
  return accept([...dueOf(state, context), event, ...served(state, available)]);
}

function standingOf(order: string, { reservations, line }: StockState): Standing {
  if (reservations.has(order)) return 'reserved';
  const waiting = line.get(order);
  if (waiting === undefined) return 'nothing';
  return waiting.isRefused ? 'refused' : 'waiting';
}

/** Ends a reservation. @returns what it held */
function close(state: StockState, order: string): number {
  const quantity = state.reservations.get(order) as number;
  state.reservations.delete(order);
  state.reserved -= quantity;
  return quantity;
}

function short(quantity: number, available: number): Decision<never> {
  return reject('insufficient-stock', `${quantity} are wanted, ${available} are available in the region`);
}

function frozenAfter(frozen: number, event: StockEvent): number {
  if (event.type === 'RightsFrozen') return frozen + event.quantity;
  return event.type === 'RightsThawed' ? frozen - event.quantity : frozen;
}

/** What the region may sell, has sold or has promised, frozen or not. */
export function rights(state: StockState): number {
  return state.received + state.transferredIn - state.transferredOut - state.writtenOff;
}

export const stocks = refer('products', stock);
