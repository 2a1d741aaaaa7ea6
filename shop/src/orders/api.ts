/** The orders' part of the public API. Placing one has its own file, reports too. */
import { parseId } from 'cardume/base/id';
import type { Loaded } from 'cardume/cqrs/bus';
import { type Geography, type Operation, type OperationContext, operation } from 'cardume/gateway/operation';
import type { Query } from 'cardume/sharding/query';
import { partitionKey } from 'cardume/topology/partition';
import { Type } from 'typebox';
import { idsOf } from '../contracts/accounts.ts';
import { asked, told } from '../contracts/asked.ts';
import { existing, missing, ownOrStaff } from '../contracts/ownership.ts';
import { placeBeside } from '../contracts/regions.ts';
import {
  ById,
  Id,
  idOf,
  Moment,
  Money,
  moment,
  money,
  Next,
  pageAfter,
  pageLimit,
  Quantity,
} from '../contracts/schemas.ts';
import { Country, type OrderPlaced, type OrderState, orders, Reason, Reference } from './order.ts';
import { placeOrder } from './place.ts';
import { revenue } from './reports.ts';
import { inTurn, isFinal, statuses, upTo, versionOf } from './statuses.ts';

const Status = Type.Enum(['placed', 'paying', 'confirmed', 'rejected', 'cancelling', 'cancelled']);
const Customer = Type.Union([Id, Type.Null()], { description: 'null for a guest' });
const Order = Type.Object({
  id: Id,
  status: Status,
  reason: Type.Optional(Reason),
  detail: Type.Optional(Type.String()),
  customer: Customer,
  placed_by: Type.Optional(Id),
  country: Country,
  placed_at: Moment,
  lines: Type.Array(Type.Object({ product: Id, sku: Type.String(), quantity: Quantity, unit_price: Money })),
  total: Money,
  payment: Type.Object({ method: Type.Enum(['card', 'invoice']) }),
  agreed: Type.Boolean(),
  reference: Type.Optional(Reference),
});

function shown(id: string, { status, reason, detail, placed }: OrderState): Record<string, unknown> {
  const { currency, ...order } = placed as OrderPlaced;
  return {
    id,
    status,
    ...(reason === null ? {} : { reason, detail }),
    customer: order.customer,
    placed_by: order.placed_by,
    country: order.country,
    placed_at: moment(order.placed_at_ms),
    lines: order.lines.map(({ product, sku, quantity, unit_price_e4 }) => ({
      product,
      sku,
      quantity,
      unit_price: money(unit_price_e4, currency),
    })),
    total: money(order.total_e4, currency),
    payment: { method: order.payment.method },
    agreed: order.agreed,
    reference: order.reference,
  };
}

const placeOf = ({ params }: { readonly params: { readonly id: string } }) => parseId(params.id, 'ord');

/** The order, if the caller may see it. */
async function seen(id: string, { bus, principal }: OperationContext): Promise<Loaded<OrderState>> {
  const found = existing(await bus.load(orders, id), id);
  await ownOrStaff(principal, (found.state.placed as OrderPlaced).customer, id, bus);
  return found;
}

const get = operation({
  id: 'orders.get',
  method: 'GET',
  path: '/orders/{id}',
  summary: 'An order: one’s own, or any for staff',
  access: 'signed-in',
  params: ById,
  replies: { 200: Order },
  place: placeOf,
  async handle({ params: { id } }, context) {
    const { state, version, token } = await seen(id, context);
    return { status: 200, body: shown(id, state), version, token };
  },
});

const find = operation({
  id: 'orders.find',
  method: 'GET',
  path: '/orders',
  summary: 'One’s orders, newest first; for staff those of any customer, or all',
  access: 'signed-in',
  failures: ['invalid-cursor'],
  search: Type.Object({ customer: Type.Optional(idOf('acc')), limit: pageLimit, after: pageAfter }),
  replies: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Id,
          customer: Customer,
          status: Status,
          country: Country,
          total: Money,
          lines: Type.Integer({ minimum: 1 }),
          pieces: Type.Integer({ minimum: 1 }),
          placed_at: Moment,
          reference: Type.Union([Reference, Type.Null()]),
        }),
      ),
      next: Next,
    }),
  },
  place({ search }, { principal, geography }) {
    const customer = principal.role === 'staff' ? search.customer : principal.id;
    return customer === undefined
      ? null
      : placeBeside(geography, 'orders', parseId(customer, 'acc'), customer);
  },
  async handle({ search: { customer, limit, after } }, { bus, geography, principal }) {
    const owner = principal.role === 'staff' ? customer : principal.id;
    const begun = begunWith(after);
    const owners = owner === undefined ? [] : await idsOf(bus, owner, begun.count);
    if (principal.role !== 'staff' && customer !== undefined && !owners.includes(customer))
      throw missing(customer);
    const ids = begun.count === undefined ? owners : owners.slice(0, begun.count);
    const { rows, next } = await bus.query({
      service: 'orders',
      table: 'orders',
      ...(owner === undefined ? {} : ofCustomer(ids, geography)),
      orderBy: [{ column: 'placed_at_ms', direction: 'descending' }],
      limit,
      ...(begun.cursor === undefined ? {} : { after: begun.cursor }),
    });
    const items = rows.map(({ total_e4, currency, placed_at_ms, ...row }) => ({
      ...row,
      total: money(total_e4 as number, currency as string),
      placed_at: moment(placed_at_ms as number),
    }));
    return { status: 200, body: { items, next: next === null ? null : cursorOver(ids, next) } };
  },
});

/** A cursor of a list over several ids begins with how many: a customer who moves goes on in the list that was begun. */
const OVER_IDS = /^([2-9])\.(.*)$/;

function begunWith(after: string | undefined) {
  if (after === undefined) return {};
  const [, count = '1', cursor = after] = OVER_IDS.exec(after) ?? [];
  return { count: Number(count), cursor };
}

const cursorOver = ({ length }: readonly string[], cursor: string): string =>
  length > 1 ? `${length}.${cursor}` : cursor;

/** What was ordered under one id shares a partition: only the shards of those are asked. */
function ofCustomer(ids: readonly string[], geography: Geography): Pick<Query, 'where' | 'partitions'> {
  const places = ids.map((id) => partitionKey(placeBeside(geography, 'orders', parseId(id, 'acc'), id)));
  const [id] = ids as [string];
  const own = ids.length === 1 ? ({ op: '=', value: id } as const) : ({ op: 'in', value: ids } as const);
  return { where: [{ column: 'customer', ...own }], partitions: [...new Set(places)] };
}

const cancel = operation({
  id: 'orders.cancel',
  method: 'POST',
  path: '/orders/{id}/cancel',
  summary: 'Cancel an order: its stock and its payment are given back',
  access: 'signed-in',
  idempotent: true,
  params: ById,
  replies: { 202: Type.Object({ id: Id, status: Status }) },
  place: placeOf,
  async handle({ params: { id } }, context) {
    await seen(id, context);
    const command = { type: 'Cancel', by: context.principal.id } as const;
    const answer = await context.bus.send(orders, id, command, asked(context));
    const { state, version } = await context.bus.load(orders, id);
    return { status: 202, body: { id, status: state.status }, version, ...told(answer, context) };
  },
});

const follow = operation({
  id: 'orders.events',
  method: 'GET',
  path: '/orders/{id}/events',
  summary: 'The order’s statuses as they change, as server-sent events',
  description: 'Ends with the last status. Taken up again with `Last-Event-ID`; 204 when nothing can follow.',
  access: 'signed-in',
  failures: ['invalid-cursor'],
  streams: true,
  params: ById,
  replies: {
    200: Type.Object({ order: Id, status: Status, at: Moment, reason: Type.Optional(Reason) }),
    204: null,
  },
  async handle({ params: { id } }, context) {
    parseId(id, 'ord');
    const { bus, lastEventId, signal } = context;
    const after = versionOf(lastEventId);
    const { state, version } = await seen(id, context);
    if (!isFinal(state.status)) {
      return { status: 200, events: statuses(id, bus.follow(orders, id, after, signal)) };
    }
    // No status will follow: what was missed is told, and who has missed nothing need not come back.
    const missed =
      after >= version
        ? []
        : await Array.fromAsync(statuses(id, upTo(version, bus.follow(orders, id, after, signal))));
    return missed.length === 0 ? { status: 204 } : { status: 200, events: inTurn(missed) };
  },
});

export const operations: readonly Operation[] = [placeOrder, find, revenue, get, cancel, follow];
