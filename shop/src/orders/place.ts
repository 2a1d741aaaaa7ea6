/**
 * Placing an order. It is born in its customer's region and partition, so that a retry, from anywhere, reaches the
 * same log. Customers buy at the catalogue's prices; staff may place orders for customers and guests, at agreed ones.
 */
import { CardumeError, isCardumeError } from 'cardume/base';
import { type Place, parseId } from 'cardume/base/id';
import type { Answer } from 'cardume/cqrs/bus';
import { type OperationContext, operation, type PlaceContext, type Reply } from 'cardume/gateway/operation';
import { type Static, Type } from 'typebox';
import { told } from '../contracts/asked.ts';
import type { Offer } from '../contracts/catalogue.ts';
import { invalid } from '../contracts/faults.ts';
import { knownRegion, placeBeside } from '../contracts/regions.ts';
import {
  Id,
  idOf,
  Moment,
  Money,
  moment,
  money,
  parseMoment,
  Quantity,
  Region,
} from '../contracts/schemas.ts';
import { placed, placedBefore } from './birth.ts';
import type { Known } from './known.ts';
import { Country, type OrderCommand, Reference } from './order.ts';
import { price } from './pricing.ts';
import { sandboxTokens } from './sandbox.ts';
import { sideBySide } from './side-by-side.ts';

const staffOnly = {
  customer: Type.Optional(idOf('acc')),
  guest: Type.Optional(Type.Literal(true)),
  /** Of a guest; that of the country when left out. */
  region: Type.Optional(Region),
  placed_at: Type.Optional(Moment),
  /** Agreed prices may have so many decimals. */
  decimals: Type.Optional(Type.Integer({ minimum: 0, maximum: 4 })),
  reference: Type.Optional(Reference),
};
const Line = Type.Object({
  product: idOf('prd'),
  quantity: Quantity,
  unit_price: Type.Optional(Money),
});
const Order = Type.Object({
  lines: Type.Array(Line, { minItems: 1, maxItems: 1_000 }),
  payment: Type.Object({
    method: Type.Enum(['card', 'invoice']),
    token: Type.Optional(Type.Enum([...sandboxTokens])),
  }),
  country: Type.Optional(Country),
  ...staffOnly,
});
type Order = Static<typeof Order>;

export const placeOrder = operation({
  id: 'orders.place',
  method: 'POST',
  path: '/orders',
  summary: 'Place an order',
  description:
    'The reply says `placed`; the outcome (`confirmed` or `rejected`) follows at once, see `/orders/{id}/events`. Only staff may state `customer`, `guest`, `region`, `placed_at`, `decimals`, `reference` and `unit_price`, and pay by invoice.',
  access: 'signed-in',
  failures: ['forbidden'],
  idempotent: true,
  body: Order,
  replies: { 201: Type.Object({ id: Id, status: Type.Literal('placed'), total: Money, placed_at: Moment }) },
  place: ({ body }, context) =>
    context.key === null && body.guest === true ? null : birthplace(body, context, ''),
  async handle({ body }, context) {
    const { principal, requestId } = context;
    if (principal.role !== 'staff') refuseStaffFields(body);
    const place = birthplace(body, context, requestId);
    let command: Placing;
    try {
      command = await commandOf(body, context);
    } catch (error) {
      // A retry is answered as the first attempt was, also when a product was withdrawn meanwhile.
      const first = isCardumeError(error, 'invalid-input') ? await placedBefore(place, context) : null;
      if (first === null) throw error;
      return reply(first, context);
    }
    return reply(await placed(place, command, context), context);
  },
});

type Placing = Extract<OrderCommand, { type: 'Place' }>;

function refuseStaffFields(body: Order): void {
  const field = Object.keys(staffOnly).find((name) => name in body);
  if (field !== undefined) throw invalid(`/body/${field}`, 'unknown: only staff may state it');
  const line = body.lines.findIndex(({ unit_price }) => unit_price !== undefined);
  if (line >= 0) throw invalid(`/body/lines/${line}/unit_price`, 'unknown: the price is the catalogue’s');
  if (body.payment.method === 'invoice') throw invalid('/body/payment/method', 'expected "card"');
}

/** @param otherwise what spreads guests' orders over partitions when there is no idempotency key */
function birthplace(body: Order, { principal, geography, key }: PlaceContext, otherwise: string): Place {
  const customer = customerOf(body, principal);
  if (customer !== null) return placeBeside(geography, 'orders', parseId(customer, 'acc'), customer);
  const region =
    body.region === undefined
      ? geography.regionOfCountry(guestCountry(body))
      : knownRegion(geography, body.region, '/body/region');
  return geography.placeInRegion('orders', region, key?.text ?? otherwise);
}

/** @returns null for a guest */
function customerOf({ customer, guest }: Order, principal: PlaceContext['principal']): string | null {
  if (principal.role !== 'staff') return principal.id;
  if (guest === true) {
    if (customer !== undefined) throw invalid('/body/guest', 'expected a customer or a guest, not both');
    return null;
  }
  if (customer === undefined)
    throw invalid('/body/customer', 'missing: expected an account, or `"guest": true`');
  return customer;
}

function guestCountry({ country }: Order): string {
  if (country === undefined) throw invalid('/body/country', 'missing: expected the guest’s country');
  return country;
}

async function commandOf(body: Order, { bus, nowMs, port, principal }: OperationContext): Promise<Placing> {
  const known = port<Known>('known');
  const customer = customerOf(body, principal);
  const { decimals = 0, reference } = body;
  const placed_at_ms = body.placed_at === undefined ? nowMs : parseMoment(body.placed_at, '/body/placed_at');
  if (placed_at_ms > nowMs) throw invalid('/body/placed_at', 'expected a time that has passed');
  const payment = paymentOf(body);
  const country = await countryOf(body, customer, principal.id, known, bus);
  const offers = new Map<string, Offer | null>();
  for (const { product } of body.lines) offers.set(product, null);
  await sideBySide(offers.keys(), async (product) => {
    offers.set(product, await known.offer(product, bus, nowMs));
  });
  return {
    type: 'Place',
    customer,
    ...(customer === principal.id ? {} : { placed_by: principal.id }),
    country,
    placed_at_ms,
    payment,
    ...price(body.lines, (product) => offers.get(product) ?? null, decimals),
    ...(reference === undefined ? {} : { reference }),
  };
}

function paymentOf({ payment: { method, token } }: Order): Placing['payment'] {
  if (method === 'invoice') {
    if (token !== undefined) throw invalid('/body/payment/token', 'unknown: an invoice has no token');
    return { method: 'invoice' };
  }
  if (token === undefined) throw invalid('/body/payment/token', 'missing: expected the token of a card');
  return { method: 'card', token };
}

/** Whoever is signed in exists; a customer whom staff names has to. */
async function countryOf(
  body: Order,
  customer: string | null,
  caller: string,
  known: Known,
  bus: OperationContext['bus'],
): Promise<string> {
  if (customer === null) return guestCountry(body);
  if (customer === caller && body.country !== undefined) return body.country;
  const country = await known.country(customer, bus);
  if (country !== null) return body.country ?? country;
  if (customer === caller) throw new CardumeError('forbidden', 'the token is not that of an account');
  throw invalid('/body/customer', `there is no account '${customer}'`);
}

function reply(answer: Answer, context: OperationContext): Reply {
  const { id, result, version } = answer;
  const made = result as {
    readonly placed_at_ms: number;
    readonly currency: string;
    readonly total_e4: number;
  };
  const body = {
    id,
    status: 'placed',
    total: money(made.total_e4, made.currency),
    placed_at: moment(made.placed_at_ms),
  };
  return { status: 201, body, version, ...told(answer, context) };
}
