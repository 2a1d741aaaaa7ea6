/**
 * The gateway of one instance: the public API over HTTP, and the receiving end of calls that other gateways forward.
 *
 *   HTTP → http (rim) → pipeline → execution → operation → bus
 *                          └→ forward (link) → execution of the place's host
 */
import { errors } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import type { Bus } from '../cqrs/bus.ts';
import type { Host } from '../host/host.ts';
import type { Address } from '../host/network.ts';
import type { Tokens } from '../identity/tokens.ts';

import { READY_PATH, WRITES_HEADER } from '../links/readiness.ts';

import type { Freshness } from '../sharding/query.ts';

import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Bounds } from '../topology/topology.ts';
import type { Call, PlainReply } from './call.ts';
import { docsPage, problemAnchor } from './docs-page.ts';
import { openExecution } from './execution.ts';
import { type OpenServer, openHttp, type Page } from './http.ts';
import { openLimits } from './limits.ts';
import { openApiDocument } from './openapi.ts';
import type { Geography } from './operation.ts';
import { openPipeline } from './pipeline.ts';
import { routesOf, type ServiceOperations } from './route.ts';

export interface GatewayOptions {
  readonly host: Pick<Host, 'clock' | 'random' | 'crypto'>;
  readonly bounds: Pick<
    Bounds,
    'bodyBytesMax' | 'requestTimeoutMs' | 'drainTimeoutMs' | 'requestsPerMinute' | 'subscribersMax'
  >;
  /** Stand in the API's documents. */
  readonly title: string;
  readonly version: string;
  readonly services: readonly ServiceOperations[];
  readonly geography: Geography;
  readonly bus: Bus;
  readonly ports: Readonly<Record<string, unknown>>;
  readonly tokens: Tokens;
  /** Key of `secretDigest`, the same in the whole cluster; at least 16 bytes. */
  readonly secret: Uint8Array;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whether this instance hosts the place now, or has a copy of it that is fresh enough: such calls run here, without a message. */
  hostedHere(service: string, place: Place, freshness: Freshness | null): boolean;
  /** Sends the call to the place's host, where `execute` runs it. Rejects with the CardumeError that it gave there. */
  forward(service: string, place: Place, call: Call): Promise<PlainReply>;
  /** Why the instance cannot serve now; empty: it is ready. */
  unready(): Promise<readonly string[]>;
  /** Whether the region holds a lease to write; one that needs none does. */
  mayWrite(): boolean;
  /** Addresses of our own proxies, whose `X-Forwarded-For` is believed. Default: loopback. */
  readonly trustedProxies?: readonly string[];
  /** Default: an HTTP server. */
  readonly openServer?: OpenServer | undefined;
}

export interface Gateway {
  /** @returns the address with the port that the system chose for 0 */
  listen(address: Address): Promise<Address>;
  /** Null until it listens. */
  readonly address: Address | null;
  /** Runs a forwarded call. @throws CardumeError what the operation throws; other errors are bugs */
  execute(call: Call): Promise<PlainReply>;
  /** Stops in order, see `HttpServer.drain`. @param noticeMs how long it still takes connections */
  drain(noticeMs?: number): Promise<void>;
  /** Stops at once. */
  close(): Promise<void>;
}

const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', '::ffff:127.0.0.1'];

export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { host, bounds, geography, log, metrics } = options;
  const routes = routesOf(options.services);
  const execution = openExecution(routes, options);
  const pipeline = openPipeline({
    host,
    geography,
    tokens: options.tokens,
    limits: openLimits(host.clock, bounds.requestsPerMinute),
    log,
    execution,
    hostedHere: options.hostedHere,
    reached: options.bus.reached,
    secretDigest: (text) => host.crypto.hmacSha256(options.secret, text),
    forward: options.forward,
  });
  // Made when somebody first asks: most starts end before.
  const documents = once(() => {
    const document = openApiDocument(options, routes);
    return { text: JSON.stringify(document), page: docsPage(document) };
  });

  const ready: Page = async () => {
    const reasons = server.draining ? ['the instance is shutting down'] : await options.unready();
    const body = JSON.stringify({ status: reasons.length === 0 ? 'ready' : 'not ready', reasons });
    const headers = [...NO_STORE, WRITES_HEADER, options.mayWrite() ? 'yes' : 'no'];
    return { status: reasons.length === 0 ? 200 : 503, contentType: JSON_TYPE, body, headers };
  };
  const pages = new Map<string, Page>([
    [
      '/health/live',
      () => ({ status: 200, contentType: JSON_TYPE, body: '{"status":"alive"}', headers: NO_STORE }),
    ],
    [READY_PATH, ready],
    [
      '/metrics',
      async () => ({
        status: 200,
        contentType: metrics.contentType,
        body: await metrics.text(),
        headers: NO_STORE,
      }),
    ],
    ['/openapi.json', () => ({ status: 200, contentType: JSON_TYPE, body: documents().text })],
    [
      '/docs',
      () => ({
        status: 200,
        contentType: 'text/html; charset=utf-8',
        body: documents().page,
        headers: DOCS_POLICY,
      }),
    ],
  ]);
  for (const code of Object.keys(errors)) {
    const headers = ['location', `/docs#${problemAnchor(code)}`];
    pages.set(`/problems/${code}`, () => ({ status: 302, contentType: 'text/plain', body: '', headers }));
  }
  const server = await (options.openServer ?? openHttp)({
    host,
    bounds,
    routes,
    pipeline,
    metrics,
    log,
    trustedProxies: new Set(options.trustedProxies ?? LOOPBACK),
    pages,
  });

  let address: Address | null = null;
  return {
    get address() {
      return address;
    },
    async listen(at) {
      address = await server.listen(at);
      return address;
    },
    execute: (call) => execution.execute(call),
    drain: (noticeMs) => server.drain(noticeMs),
    close: () => server.close(),
  };
}

function once<Value>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const JSON_TYPE = 'application/json';
const NO_STORE = ['cache-control', 'no-store'];
/** The page has no scripts and loads nothing. */
const DOCS_POLICY = [
  'content-security-policy',
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
];
