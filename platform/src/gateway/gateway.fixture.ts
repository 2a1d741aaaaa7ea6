/** A small service and a gateway around it, for this folder's tests and the bench. */
import { Type } from 'typebox';
import { CardumeError } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import type { Bus } from '../cqrs/bus.ts';
import type { Host } from '../host/host.ts';
import type { Address } from '../host/network.ts';
import { realHost } from '../host/real.ts';
import { openTokens, type Tokens } from '../identity/tokens.ts';
import { openTelemetry } from '../telemetry/telemetry.ts';
import { type Gateway, type GatewayOptions, openGateway } from './gateway.ts';
import { type Geography, type Operation, operation, type ServerSentEvent } from './operation.ts';

export const HOME: Place = { scope: 1, partition: 1 };
export const ABROAD: Place = { scope: 2, partition: 1 };

/** Ready-made JSON, as the products service keeps it for hot reads. */
export const PRODUCT_JSON = JSON.stringify({
  id: 'prd_011_3v5m9x0c2d4e6f8g0h1j2k3m4n',
  sku: '85123A',
  name: 'WHITE HANGING HEART T-LIGHT HOLDER',
  price: { amount: '2.55', currency: 'GBP' },
  available: 120,
  version: 7,
});

export const geography: Geography = {
  here: 'sul',
  regions: ['sul', 'norte'],
  regionOfCountry: () => 'sul',
  placeInRegion: () => HOME,
  placeInGlobal: () => HOME,
  regionOfPlace: (_service, place) => (place.scope === 1 ? 'sul' : 'norte'),
};

const Line = Type.Object({
  sku: Type.String({ minLength: 1, maxLength: 12 }),
  quantity: Type.Integer({ minimum: 1, maximum: 99 }),
});

export const Order = Type.Object({
  currency: Type.Union([Type.Literal('GBP'), Type.Literal('EUR')]),
  lines: Type.Array(Line, { minItems: 1, maxItems: 3 }),
  note: Type.Optional(Type.String({ maxLength: 20 })),
  password: Type.Optional(Type.String({ minLength: 8 })),
});

export interface Sample {
  /** What the handlers were given, in order. */
  readonly seen: { readonly operation: string; readonly input: unknown; readonly context: unknown }[];
  /** Events of 64 KiB that a flood was asked for. */
  readonly pulled: { blocks: number };
  readonly operations: readonly Operation[];
}

export function sampleOperations(): Sample {
  const seen: Sample['seen'] = [];
  const pulled: Sample['pulled'] = { blocks: 0 };
  const Id = Type.Object({ id: Type.String({ minLength: 1, maxLength: 40 }) });
  const operations = [
    operation({
      id: 'products.get',
      method: 'GET',
      path: '/products/{id}',
      summary: 'One product',
      access: 'anyone',
      params: Id,
      replies: { 200: Type.Object({ id: Type.String() }) },
      place: () => HOME,
      async handle() {
        return {
          status: 200,
          body: PRODUCT_JSON,
          contentType: 'application/json',
          version: 7,
          token: '1-1-7',
        };
      },
    }),
    operation({
      id: 'products.list',
      method: 'GET',
      path: '/products',
      summary: 'Products in a page',
      access: 'anyone',
      search: Type.Object({
        limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
        tag: Type.Optional(Type.Array(Type.String())),
        sold: Type.Optional(Type.Boolean()),
      }),
      replies: { 200: Type.Unknown() },
      async handle(input) {
        return { status: 200, body: input.search };
      },
    }),
    operation({
      id: 'orders.place',
      method: 'POST',
      path: '/orders',
      summary: 'Places an order',
      access: 'signed-in',
      body: Order,
      replies: { 201: Type.Object({ id: Type.String() }) },
      idempotent: true,
      async handle(input, context) {
        seen.push({ operation: 'orders.place', input, context });
        const id = context.newId('ord', HOME);
        return {
          status: 201,
          body: { id, by: context.principal.id },
          version: 1,
          headers: { location: `/orders/${id}` },
        };
      },
    }),
    operation({
      id: 'orders.cancel',
      method: 'DELETE',
      path: '/orders/{id}',
      summary: 'Cancels an order',
      access: 'staff',
      params: Id,
      replies: { 204: null },
      async handle(input, context) {
        seen.push({ operation: 'orders.cancel', input, context });
        return { status: 204 };
      },
    }),
    operation({
      id: 'orders.far',
      method: 'POST',
      path: '/orders/{id}/far',
      summary: 'Runs on another instance',
      access: 'anyone',
      params: Id,
      replies: { 200: Type.Unknown() },
      place: () => ABROAD,
      async handle(_input, context) {
        return { status: 200, body: { here: context.geography.here, requestId: context.requestId } };
      },
    }),
    operation({
      id: 'orders.fail',
      method: 'POST',
      path: '/orders/{id}/fail',
      summary: 'Fails as the id says',
      access: 'anyone',
      params: Id,
      replies: { 200: Type.Unknown() },
      async handle({ params }) {
        if (params.id === 'bug') throw new TypeError('the password of a@b.example is hunter2');
        if (params.id === 'busy')
          throw new CardumeError('overloaded', 'the queue is full', { retryAfterS: 7 });
        throw new CardumeError('insufficient-stock', 'only 3 are left');
      },
    }),
    operation({
      id: 'orders.slow',
      method: 'POST',
      path: '/orders/{id}/slow',
      summary: 'Answers when its signal ends',
      access: 'anyone',
      params: Id,
      replies: { 200: Type.Unknown() },
      async handle(input, context) {
        seen.push({ operation: 'orders.slow', input, context });
        await new Promise<void>((resolve) => context.signal.addEventListener('abort', () => resolve()));
        return { status: 200, body: { ended: true } };
      },
    }),
    operation({
      id: 'orders.watch',
      method: 'GET',
      path: '/orders/{id}/events',
      summary: 'Live events of an order',
      access: 'anyone',
      params: Id,
      replies: { 200: null },
      async handle({ params }, context) {
        const from = Number(context.lastEventId ?? 0);
        return { status: 200, events: events(params.id, from, context.signal, pulled) };
      },
    }),
  ];
  return { seen, pulled, operations };
}

async function* events(
  id: string,
  from: number,
  signal: AbortSignal,
  pulled: Sample['pulled'],
): AsyncIterable<ServerSentEvent> {
  if (id === 'flood') {
    const block = 'x'.repeat(64 * 1024);
    for (let n = from + 1; !signal.aborted; n += 1) {
      pulled.blocks += 1;
      yield { id: String(n), event: 'Flood', data: block };
    }
    return;
  }
  for (let n = from + 1; n <= from + 3; n += 1)
    yield { id: String(n), event: 'OrderMoved', data: { n, text: 'a\nb' } };
  if (id === 'short') return;
  if (id === 'broken') throw new Error('the source broke');
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
}

export interface SampleGateway extends Sample {
  readonly gateway: Gateway;
  readonly address: Address;
  readonly url: string;
  readonly tokens: Tokens;
  readonly host: Host;
  readonly lines: string[];
  readonly options: GatewayOptions;
}

/** A gateway that listens on a port of the system's choice; what it logs is kept in `lines`. */
export async function openSample(changes: Partial<GatewayOptions> = {}): Promise<SampleGateway> {
  const real = realHost();
  const lines: string[] = [];
  const host: Host = { ...real, env: { ...real.env, write: (line) => void lines.push(line) } };
  const { log, metrics } = openTelemetry(host, 'sul', 'debug');
  const tokens = openTokens(host, {
    key: host.crypto.newSigningKey(),
    issuer: 'cardume',
    tokensCachedMax: 100,
  });
  const sample = sampleOperations();
  const options: GatewayOptions = {
    host,
    bounds: {
      bodyBytesMax: 16_384,
      requestTimeoutMs: 5_000,
      drainTimeoutMs: 2_000,
      requestsPerMinute: 60_000_000,
      subscribersMax: 10,
    },
    title: 'Sample',
    version: '1.0.0',
    services: [{ name: 'sample', operations: sample.operations }],
    geography,
    bus: {} as Bus, // no operation of the sample uses it
    ports: {},
    tokens,
    secret: new Uint8Array(32),
    log,
    metrics,
    hostedHere: (_service, place) => place.scope === HOME.scope,
    forward: async () => {
      throw new CardumeError('partition-unavailable', 'there is no other instance');
    },
    unready: async () => [],
    mayWrite: () => true,
    ...changes,
  };
  const gateway = await openGateway(options);
  const address = await gateway.listen({ host: '127.0.0.1', port: 0 });
  return {
    ...sample,
    gateway,
    address,
    url: `http://127.0.0.1:${address.port}`,
    tokens,
    host,
    lines,
    options,
  };
}
