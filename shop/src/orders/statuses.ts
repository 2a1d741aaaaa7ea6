/** An order's statuses as they change, for server-sent events; the id of each is the order's version then. */
import { CardumeError } from 'cardume/base';
import type { StreamEvent } from 'cardume/cqrs/bus';
import type { ServerSentEvent } from 'cardume/gateway/operation';
import { moment } from '../contracts/schemas.ts';
import { type OrderEvent, type OrderState, order } from './order.ts';

/** No further status follows. A confirmed order may still be cancelled. */
export function isFinal(status: OrderState['status']): boolean {
  return status === 'rejected' || status === 'cancelled';
}

/** @throws CardumeError `invalid-cursor` */
export function versionOf(lastEventId: string | null): number {
  if (lastEventId === null || lastEventId === '') return 0;
  if (/^\d{1,9}$/.test(lastEventId)) return Number(lastEventId);
  throw new CardumeError('invalid-cursor', `Last-Event-ID: expected the id of an event of this stream`);
}

export async function* statuses(
  id: string,
  events: AsyncIterable<StreamEvent>,
): AsyncIterable<ServerSentEvent> {
  let before: OrderState['status'] = 'none';
  for await (const { version, event, atMs } of events) {
    const { status, reason } = order.evolve(order.initial(), event as unknown as OrderEvent);
    if (status === 'none' || status === before) continue;
    before = status;
    const data = { order: id, status, at: moment(atMs), ...(reason === null ? {} : { reason }) };
    yield { id: String(version), event: 'status', data };
    if (isFinal(status)) return;
  }
}

/** The events that a stream has by now: it ends with the version. */
export async function* upTo(version: number, events: AsyncIterable<StreamEvent>): AsyncIterable<StreamEvent> {
  for await (const event of events) {
    yield event;
    if (event.version >= version) return;
  }
}

export async function* inTurn<Item>(items: readonly Item[]): AsyncIterable<Item> {
  yield* items;
}
