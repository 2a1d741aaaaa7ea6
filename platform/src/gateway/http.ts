/**
 * The rim: Fastify's router and parsers in front of the pipeline. It stands outside the host's door on purpose, since
 * an HTTP server is the one thing that the simulation does without; all that decides lies behind it.
 *
 * Answers are written straight to Node's response: no hooks, no serialisers, headers in one go (measured in
 * `bench/product-reads.ts`). Every failure, Fastify's and the parser's own included, becomes a problem document.
 *
 * Bounds: body, headers, time to arrive (`requestTimeoutMs`, also for a body that trickles), time to answer (the
 * same again), open requests, event streams, connections, and the time a drain may take.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CardumeError, errors } from '../base/errors.ts';
import type { Host, Timer } from '../host/host.ts';
import type { Address } from '../host/network.ts';
import type { Log } from '../telemetry/log.ts';
import type { ConnectionMetrics, Metrics, RouteMetrics } from '../telemetry/metrics.ts';
import type { Bounds } from '../topology/topology.ts';
import { type EventStream, responseSink, streamEvents } from './event-stream.ts';
import { Exchange } from './exchange.ts';
import { openFastify } from './fastify.ts';
import { rawResponse, translateClientError, translateHttpError } from './http-errors.ts';
import { knownPaths } from './known-paths.ts';
import type { Outgoing, Pipeline } from './pipeline.ts';
import type { Route } from './route.ts';

export interface HttpOptions {
  readonly host: Pick<Host, 'clock' | 'random'>;
  readonly bounds: Pick<Bounds, 'bodyBytesMax' | 'requestTimeoutMs' | 'drainTimeoutMs' | 'subscribersMax'>;
  readonly routes: readonly Route[];
  readonly pipeline: Pipeline;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Addresses of our own proxies, whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: ReadonlySet<string>;
  /** Fixed pages by path: health, metrics, documents. */
  readonly pages: ReadonlyMap<string, Page>;
}

export type Page = () => PageContent | Promise<PageContent>;

export interface PageContent {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: readonly string[];
}

export interface HttpServer {
  listen(address: Address): Promise<Address>;
  readonly draining: boolean;
  /**
   * Stops in order: `/health/ready` says 503 from now on; after `noticeMs` no connection is taken any more, event
   * streams end, idle connections close, and requests that are under way finish, for at most `drainTimeoutMs`.
   */
  drain(noticeMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** Makes what stands at the rim: `openHttp`, or the simulation's stand-in. */
export type OpenServer = (options: HttpOptions) => Promise<HttpServer>;

const REQUESTS_OPEN_MAX = 8_192;
const SWEEP_MS = 250;
/** Of requests that reached no operation. */
const NO_SERVICE = 'gateway';
const NO_ROUTE = '(none)';

export async function openHttp(options: HttpOptions): Promise<HttpServer> {
  const { host, bounds, pipeline, metrics, log, trustedProxies, pages } = options;
  const { clock } = host;
  /** Oldest first: the sweep stops at the first that is still in time. */
  const open = new Set<Exchange>();
  const streams = new Set<EventStream>();
  const streaming = new WeakSet<Socket>();
  let draining = false;
  let whenEmpty: (() => void) | null = null;
  const gatewayConnections = metrics.connections(NO_SERVICE);
  const strayMetrics = new Map<string, RouteMetrics>();

  const app = openFastify(bounds, fail, refuseSocket);
  const server = app.server as Server;
  app.setNotFoundHandler((request, reply) => stray(request, reply));

  const paths = knownPaths();
  for (const route of options.routes) serve(route);
  for (const [path, page] of pages) servePage(path, page);
  // Answered before the body is read: an unknown path is unknown whatever is sent to it.
  app.route({
    method: app.supportedMethods,
    url: '*',
    onRequest: (request, reply) => stray(request, reply),
    handler: (request, reply) => stray(request, reply),
  });
  await app.ready();

  function serve(route: Route): void {
    const { method, path } = route.operation;
    const methods = method === 'GET' ? ['GET', 'HEAD'] : [method];
    paths.add(path, methods);
    const connections = metrics.connections(route.service);
    for (const one of methods) {
      const of = metrics.route(one, path, route.service);
      app.route({
        method: one,
        url: path.replaceAll(/\{(\w+)\}/g, ':$1'),
        config: { counted: { of, connections } },
        handler(request: FastifyRequest, reply: FastifyReply) {
          const exchange = begin(request, reply, of, connections);
          const error = beforePipeline(route, request);
          if (error !== null) {
            answer(exchange, refuse(exchange, error));
            return;
          }
          void pipeline.answer(route, exchange).then((outgoing) => {
            try {
              if (outgoing.events === null) answer(exchange, outgoing);
              else stream(exchange, outgoing);
            } catch (error) {
              // Such as a header of the operation's that HTTP does not allow: nothing of it was sent.
              answer(exchange, refuse(exchange, error));
            }
          });
        },
      });
    }
  }

  /** What no schema would say. */
  function beforePipeline(route: Route, request: FastifyRequest): CardumeError | null {
    if (open.size > REQUESTS_OPEN_MAX) return new CardumeError('overloaded', 'too many open requests');
    const { url, method } = request.raw as { url: string; method: string };
    if (request.raw.headers.host === undefined && request.raw.httpVersion === '1.1') {
      return new CardumeError('invalid-input', 'HTTP/1.1 asks for a Host header');
    }
    if (hasFaultyQuery(url)) {
      return new CardumeError('invalid-input', 'the query has a faulty percent-encoding');
    }
    // The router takes `/orders/` for an order without a name.
    const params = request.params as Record<string, string>;
    return route.paramNames.some((name) => params[name] === '') ? nothingAt(method, url) : null;
  }

  function servePage(path: string, page: Page): void {
    paths.add(path, ['GET', 'HEAD']);
    for (const method of ['GET', 'HEAD']) {
      const of = metrics.route(method, path, NO_SERVICE);
      app.route({
        method,
        url: path,
        handler(request, reply) {
          const exchange = begin(request, reply, of, gatewayConnections);
          const show = ({ status, contentType, body, headers }: PageContent): void => {
            const all = [
              'content-type',
              contentType,
              'x-content-type-options',
              'nosniff',
              ...(headers ?? []),
            ];
            answer(exchange, { status, headers: all, body, events: null });
          };
          Promise.resolve()
            .then(page)
            .then(show)
            .catch((error) => answer(exchange, refuse(exchange, error)));
        },
      });
    }
  }

  function begin(
    request: FastifyRequest,
    reply: FastifyReply,
    of: RouteMetrics,
    connections: ConnectionMetrics,
  ): Exchange {
    const exchange = new Exchange(request, reply.raw, clock.monotonicMs(), of, connections, trustedProxies);
    connections.opened();
    open.add(exchange);
    return exchange;
  }

  function settle(exchange: Exchange): void {
    exchange.connections.closed();
    open.delete(exchange);
    if (open.size === 0) whenEmpty?.();
  }

  function answer(exchange: Exchange, outgoing: Outgoing): void {
    if (exchange.answered) return; // its deadline has answered before
    const { response } = exchange;
    const { status, headers, body } = outgoing;
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : (body?.byteLength ?? 0);
    if (body !== null) headers.push('content-length', String(bytes));
    else if (status !== 204 && status !== 304) headers.push('content-length', '0');
    if (draining || exchange.mustClose) headers.push('connection', 'close');
    response.writeHead(status, headers);
    exchange.answered = true;
    // As many bytes as UTF-16 units: the text is ASCII, which leaves sooner as Latin-1 than as UTF-8.
    response.end(body, typeof body === 'string' && bytes === body.length ? 'latin1' : 'utf8');
    exchange.of.answered(status, clock.monotonicMs() - exchange.startMs);
    settle(exchange);
  }

  function refuse(exchange: Exchange, error: unknown): Outgoing {
    return pipeline.refuse(exchange.headers, exchange.clientAddress, error);
  }

  /** Errors of Fastify's: bad bodies, faulty paths. */
  function fail(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    if (request.raw.socket.destroyed) return; // it timed out and was answered on the socket
    const counted = (request.routeOptions.config as { counted?: Counted }).counted;
    const { of, connections } = counted ?? {
      of: strayRoute(request.raw.method as string),
      connections: gatewayConnections,
    };
    const exchange = begin(request, reply, of, connections);
    // Whatever else of the body is on its way is not waited for.
    exchange.mustClose = true;
    answer(exchange, refuse(exchange, translateHttpError(error)));
  }

  function stray(request: FastifyRequest, reply: FastifyReply): void {
    const method = request.raw.method as string;
    const exchange = begin(request, reply, strayRoute(method), gatewayConnections);
    const path = (request.raw.url as string).split('?', 1)[0] as string;
    const known = paths.find(path);
    // A known path and method come here too, when a part of the path is too long for the router.
    if (known === undefined || known.methods.has(method)) {
      answer(exchange, refuse(exchange, nothingAt(method, path)));
    } else if (method === 'OPTIONS') {
      answer(exchange, { status: 204, headers: ['allow', known.allow], body: null, events: null });
    } else {
      const error = new CardumeError('method-not-allowed', `expected one of ${known.allow}, got ${method}`);
      const outgoing = refuse(exchange, error);
      outgoing.headers.push('allow', known.allow);
      answer(exchange, outgoing);
    }
  }

  function strayRoute(method: string): RouteMetrics {
    let of = strayMetrics.get(method);
    if (of === undefined) {
      of = metrics.route(method, NO_ROUTE, NO_SERVICE);
      strayMetrics.set(method, of); // as many as the parser knows methods
    }
    return of;
  }

  /** What is answered when no stream can begin now. */
  function insteadOfStream(exchange: Exchange, outgoing: Outgoing): Outgoing | null {
    if (exchange.method === 'HEAD') return { ...outgoing, events: null };
    if (draining) return refuse(exchange, new CardumeError('draining', 'the instance is shutting down'));
    if (streams.size < bounds.subscribersMax) return null;
    return refuse(
      exchange,
      new CardumeError('overloaded', 'too many event streams are open', { retryAfterS: 5 }),
    );
  }

  function stream(exchange: Exchange, outgoing: Outgoing): void {
    const { response } = exchange;
    const source = outgoing.events as NonNullable<Outgoing['events']>;
    const instead = exchange.answered ? null : insteadOfStream(exchange, outgoing);
    if (exchange.answered || instead !== null) {
      drop(source);
      if (instead !== null) answer(exchange, instead);
      return;
    }
    outgoing.headers.push('content-type', 'text/event-stream', 'cache-control', 'no-store');
    response.writeHead(outgoing.status, outgoing.headers);
    exchange.answered = true;
    exchange.of.streams(outgoing.status);
    const { socket } = exchange.request.raw;
    streaming.add(socket);
    open.delete(exchange); // it has no deadline; a drain ends it by `stop`
    if (open.size === 0) whenEmpty?.();
    const events = streamEvents(source, responseSink(response), {
      clock,
      onFailure: (error) => log.error('an event stream broke off', { error }),
    });
    streams.add(events);
    exchange.onGone(events.stop);
    void events.ended.then(() => {
      streams.delete(events);
      streaming.delete(socket);
      exchange.connections.closed();
      exchange.leave();
    });
  }

  function drop(source: NonNullable<Outgoing['events']>): void {
    source[Symbol.asyncIterator]()
      .return?.()
      ?.catch((error: unknown) => log.error('an event stream could not be closed', { error }));
  }

  function refuseSocket(error: Error, socket: Socket): void {
    const isLost = (error as { code?: string }).code === 'ECONNRESET' || !socket.writable;
    // An answer in the middle of an event stream would be read as one of its events.
    if (isLost || streaming.has(socket)) return void socket.destroy();
    const known = translateClientError(error);
    strayRoute(NO_ROUTE).answered(errors[known.code].status, 0);
    socket.end(rawResponse(known, host.random.bytes(16).toHex()), () => socket.destroy());
  }

  let sweeper: Timer | null = null;
  /** Answers requests whose operation did not within `requestTimeoutMs`; a late reply is dropped. */
  function sweep(): void {
    const overdueMs = clock.monotonicMs() - bounds.requestTimeoutMs;
    for (const exchange of open) {
      if (exchange.startMs > overdueMs) break;
      const detail = `no answer within ${bounds.requestTimeoutMs} ms`;
      answer(exchange, refuse(exchange, new CardumeError('deadline-exceeded', detail)));
      exchange.leave();
    }
    sweeper = clock.after(SWEEP_MS, sweep);
  }

  /** Whether the promise settled in time. */
  async function within(promise: Promise<void>, limitMs: number): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = clock.after(limitMs, () => resolve(false));
    const inTime = await Promise.race([promise.then(() => true), late]);
    timer.cancel();
    return inTime;
  }

  let drained: Promise<void> | null = null;
  async function drainOnce(noticeMs: number): Promise<void> {
    draining = true;
    if (noticeMs > 0) await clock.sleep(noticeMs);
    const closed = server.listening
      ? new Promise<void>((resolve) => server.close(() => resolve()))
      : Promise.resolve();
    for (const events of streams) events.stop();
    server.closeIdleConnections();
    const empty = open.size === 0 ? Promise.resolve() : new Promise<void>((resolve) => (whenEmpty = resolve));
    const done = empty.then(() => server.closeIdleConnections()).then(() => closed);
    if (!(await within(done, bounds.drainTimeoutMs))) {
      log.warn('the drain took too long: open connections are cut', { openRequests: open.size });
      for (const exchange of open) exchange.leave();
      server.closeAllConnections();
    }
    sweeper?.cancel();
    await app.close();
  }

  return {
    get draining() {
      return draining;
    },
    async listen(address) {
      await app.listen({ host: address.host, port: address.port, listenTextResolver: () => '' });
      sweep();
      const bound = server.address() as { address: string; port: number };
      return { host: address.host, port: bound.port };
    },
    drain(noticeMs = 0) {
      drained ??= drainOnce(noticeMs);
      return drained;
    },
    async close() {
      draining = true;
      sweeper?.cancel();
      for (const events of streams) events.stop();
      for (const exchange of open) exchange.leave();
      server.closeAllConnections();
      await app.close();
    },
  };
}

/** Where a route's failures before its handler are counted. */
interface Counted {
  readonly of: RouteMetrics;
  readonly connections: ConnectionMetrics;
}

function nothingAt(method: string, path: string): CardumeError {
  return new CardumeError('not-found', `there is nothing at ${method} ${path.slice(0, 200)}`);
}

/** The router decodes the path and refuses faults there; the query parser leaves faulty parts as they are. */
function hasFaultyQuery(url: string): boolean {
  const start = url.indexOf('?');
  if (start < 0 || !url.includes('%', start)) return false;
  try {
    decodeURIComponent(url.slice(start));
    return false;
  } catch {
    return true;
  }
}
