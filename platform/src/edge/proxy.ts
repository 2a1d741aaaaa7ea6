/**
 * The rim of the edge: an HTTP/1.1 server that hands each request to a region through undici's `dispatch`, the
 * lowest of its interfaces: header lists stay raw, answers flow through as they come (docs/decisions/0005).
 *
 * Bodies of requests are gathered before they are sent (they are small, and a slow client then holds no region), so
 * that a request can be sent a second time: any that never left, and, when the connection broke before an answer, or the
 * region was found down meanwhile, those that may be repeated: safe methods, and requests under an idempotency key.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Dispatcher } from 'undici';
import { CardumeError, errors } from '../base/errors.ts';
import { expectedError, problemHeaders, problemOf } from '../base/problem.ts';
import type { Host, Random } from '../host/host.ts';
import { type HttpPool, openHttpPool } from '../links/http-pool.ts';
import type { Log } from '../telemetry/log.ts';
import type { Bounds, RegionName, Topology } from '../topology/topology.ts';
import { type Forwarded, forwardedReply, forwardedRequest } from './headers.ts';
import { type Readiness, readinessOf } from './readiness.ts';
import { type RequestFacts, targetOf } from './routing.ts';

/** Requests under way through this edge, event streams included; beyond it clients get 503. */
const REQUESTS_MAX = 20_000;
/** Bodies of requests that are held at once, all clients together. */
const BODIES_BYTES_MAX = 64 * 1024 * 1024;
/** What is read and thrown away of a body that was refused, so that its sender sees the answer. */
const DISCARDED_BYTES_MAX = 16 * 1024 * 1024;
/** Connections to one region. Event streams have their own, one each. */
const CONNECTIONS_MAX = 256;
const CONNECT_TIMEOUT_MS = 2_000;
/** A region answers within `requestTimeoutMs` itself: its own answer comes before ours. */
const ANSWER_GRACE_MS = 5_000;
/** Larger answers are passed on as they come. */
const ONE_WRITE_BYTES_MAX = 16 * 1024;
const HEADERS_BYTES_MAX = 16 * 1024;

export interface ProxyOptions {
  readonly topology: Topology;
  readonly host: Pick<Host, 'clock' | 'random'>;
  readonly log: Log;
  /** Regions to try, the best first. @throws CardumeError `invalid-input` */
  readonly order: (facts: RequestFacts) => readonly RegionName[];
  /** A request did not reach the region, or its connection broke before the answer. */
  readonly onUndelivered: (region: RegionName) => void;
}

export interface Proxy {
  readonly address: { readonly host: string; readonly port: number };
  /** Whether the region says that it is ready. */
  probe(region: RegionName, timeoutMs: number): Promise<Readiness>;
  /** The region is down: what may be repeated, and has no answer yet, does not wait for it any longer. */
  leave(region: RegionName): void;
  /** Takes no new connections, ends event streams, lets other requests finish, and cuts them after the time. */
  drain(timeoutMs: number): Promise<void>;
}

/** Both ways into a region. Probes have their own connections: they must not queue behind requests. */
interface Upstream {
  readonly requests: HttpPool;
  readonly events: HttpPool;
  readonly probes: HttpPool;
}

/** @throws Error of Node, such as `EADDRINUSE`, when it cannot listen */
export async function openProxy(options: ProxyOptions): Promise<Proxy> {
  const { topology } = options;
  const shared = new Shared(options);
  const server = createServer(
    {
      requestTimeout: topology.bounds.requestTimeoutMs,
      headersTimeout: topology.bounds.requestTimeoutMs,
      maxHeaderSize: HEADERS_BYTES_MAX,
      keepAliveTimeout: 60_000,
      noDelay: true,
    },
    (request, response) => new Exchange(shared, request, response).begin(),
  );
  server.on('clientError', (error, socket) => refuseConnection(error, socket as Socket, shared.requestId()));
  await listening(server, topology.edge);
  const { port } = server.address() as AddressInfo;

  return {
    address: { host: topology.edge.host, port },
    probe: (region, timeoutMs) => readinessOf(shared.upstream(region).probes, AbortSignal.timeout(timeoutMs)),
    leave(region) {
      for (const exchange of shared.exchanges) exchange.leave(region);
    },
    async drain(timeoutMs) {
      shared.draining = true;
      // A connection that was busy when the server closed would else stay open, idle, until its keep-alive ends.
      shared.onExchangeEnd = () => options.host.clock.soon(() => server.closeIdleConnections());
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const stream of shared.streams) stream.end();
      const timer = options.host.clock.after(timeoutMs, () => server.closeAllConnections());
      await closed;
      timer.cancel();
      await shared.close();
    },
  };
}

function listening(server: Server, address: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

class Shared {
  readonly order: ProxyOptions['order'];
  readonly onUndelivered: ProxyOptions['onUndelivered'];
  readonly log: Log;
  readonly bounds: Bounds;
  readonly #random: Random;
  /** Responses that are event streams. */
  readonly streams = new Set<ServerResponse>();
  /** Under way. */
  readonly exchanges = new Set<Exchange>();
  bodiesBytes = 0;
  draining = false;
  onExchangeEnd = (): void => {};
  readonly #upstreams: ReadonlyMap<RegionName, Upstream>;

  constructor({ topology, host, order, onUndelivered, log }: ProxyOptions) {
    this.#random = host.random;
    this.order = order;
    this.onUndelivered = onUndelivered;
    this.log = log;
    this.bounds = topology.bounds;
    const timing = {
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: topology.bounds.requestTimeoutMs + ANSWER_GRACE_MS,
    };
    this.#upstreams = new Map(
      Object.entries(topology.regions).map(([name, { host, port }]) => {
        const origin = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
        return [
          name,
          {
            requests: openHttpPool(origin, {
              ...timing,
              connections: CONNECTIONS_MAX,
              bodyTimeout: timing.headersTimeout,
            }),
            events: openHttpPool(origin, { ...timing, bodyTimeout: 0 }), // a stream may be silent for hours
            probes: openHttpPool(origin, { ...timing, connections: 2 }),
          },
        ];
      }),
    );
  }

  /** For what the edge answers itself; a region names its own. */
  requestId(): string {
    return Buffer.from(this.#random.bytes(12)).toString('hex');
  }

  upstream(region: RegionName): Upstream {
    return this.#upstreams.get(region) as Upstream;
  }

  async close(): Promise<void> {
    const pools = [...this.#upstreams.values()].flatMap(({ requests, events, probes }) => [
      requests,
      events,
      probes,
    ]);
    await Promise.all(pools.map((pool) => pool.destroy()));
  }
}

/** One request, its answer, and what undici tells on the way from one to the other. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #shared: Shared;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #forwarded: Forwarded | null = null;
  #path = '/';
  #body: Buffer | null = null;
  #bodyBytes = 0;
  /** Regions that may still be tried; the first is the one under way. */
  #regions: readonly RegionName[] = [];
  #attempts = 0;
  /** The region under way was found down. */
  #isLeft = false;
  /** Length that the region announces for its answer; -1: none. */
  #replyBytes = -1;
  /** Set while the request is on a connection of a region. */
  #controller: Dispatcher.DispatchController | null = null;
  #ended = false;

  constructor(shared: Shared, request: IncomingMessage, response: ServerResponse) {
    this.#shared = shared;
    this.#request = request;
    this.#response = response;
  }

  begin(): void {
    const shared = this.#shared;
    shared.exchanges.add(this);
    this.#response.once('close', () => this.#close());
    try {
      if (shared.exchanges.size > REQUESTS_MAX)
        throw new CardumeError('overloaded', 'the edge carries as many requests as it may');
      const forwarded = forwardedRequest(this.#request.rawHeaders, this.#request.socket.remoteAddress ?? '');
      const target = targetOf(this.#request.url as string);
      this.#forwarded = forwarded;
      this.#path = target.path;
      const facts = target.region === null ? forwarded.facts : { ...forwarded.facts, region: target.region };
      this.#regions = shared.order(facts);
      if (this.#regions.length === 0) throw new CardumeError('region-unavailable', 'no region is healthy');
      if (forwarded.contentLength === null && !forwarded.isChunked) this.#send();
      else this.#gather(forwarded.contentLength ?? 0);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #gather(announcedBytes: number): void {
    const { bodyBytesMax } = this.#shared.bounds;
    const chunks: Buffer[] = [];
    let refusedBytes = 0;
    const refuse = (error: CardumeError): void => {
      chunks.length = 0;
      refusedBytes = 1;
      this.#refuse(error);
    };
    const tooLarge = (): CardumeError =>
      new CardumeError('body-too-large', `expected at most ${bodyBytesMax} bytes`);

    this.#request.on('data', (chunk: Buffer) => {
      if (refusedBytes > 0) {
        refusedBytes += chunk.length;
        if (refusedBytes > DISCARDED_BYTES_MAX) this.#request.destroy();
        return;
      }
      this.#bodyBytes += chunk.length;
      this.#shared.bodiesBytes += chunk.length;
      if (this.#bodyBytes > bodyBytesMax) refuse(tooLarge());
      else if (this.#shared.bodiesBytes > BODIES_BYTES_MAX) {
        refuse(new CardumeError('overloaded', 'the edge holds as many request bodies as it may'));
      } else chunks.push(chunk);
    });
    this.#request.on('end', () => {
      if (refusedBytes > 0 || this.#ended) return;
      this.#body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
      this.#send();
    });
    if (announcedBytes > bodyBytesMax) refuse(tooLarge());
  }

  leave(region: RegionName): void {
    const mayGo = this.#attempts < 2 && this.#regions.length > 1 && !this.#response.headersSent;
    if (!mayGo || this.#regions[0] !== region || !this.#mayRepeat()) return;
    this.#isLeft = true;
    this.#controller?.abort(new Error(`region ${region} is down`));
  }

  #mayRepeat(): boolean {
    const { method } = this.#request;
    return method === 'GET' || method === 'HEAD' || (this.#forwarded as Forwarded).hasIdempotencyKey;
  }

  #send(): void {
    const { headers, wantsEvents } = this.#forwarded as Forwarded;
    const upstream = this.#shared.upstream(this.#regions[0] as RegionName);
    this.#attempts += 1;
    (wantsEvents ? upstream.events : upstream.requests).dispatch(
      {
        path: this.#path,
        method: this.#request.method as Dispatcher.HttpMethod,
        headers,
        body: this.#body,
      },
      this,
    );
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(new Error('the client is gone'));
    else if (this.#isLeft) controller.abort(new Error('the region is down'));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    parsed: Readonly<Record<string, unknown>>,
    statusText?: string,
  ): void {
    if (status < 200) return; // early hints and the like stay behind
    const response = this.#response;
    const headers = forwardedReply(controller.rawHeaders as Buffer[], this.#regions[0] as RegionName);
    if (this.#shared.draining) headers.push('connection', 'close');
    this.#replyBytes = Number(parsed['content-length'] ?? -1);
    response.writeHead(status, statusText ?? '', headers);
    if ((this.#forwarded as Forwarded).wantsEvents) {
      this.#shared.streams.add(response);
      response.flushHeaders(); // the first event may be a long way off
      if (this.#shared.draining) response.end();
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (chunk.length === this.#replyBytes && chunk.length <= ONE_WRITE_BYTES_MAX) {
      // Node joins a text with the head, one system call for both: 9 % more requests a second.
      this.#response.end(chunk.toString('latin1'), 'latin1');
    } else if (!this.#response.write(chunk)) {
      controller.pause();
      this.#response.once('drain', () => controller.resume());
    }
  }

  onResponseEnd(): void {
    this.#controller = null;
    if (!this.#response.writableEnded) this.#response.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    const wasSent = this.#controller !== null;
    this.#controller = null;
    if (this.#ended) return;
    if (this.#response.headersSent) {
      this.#response.destroy(); // cut short: the client must not take it for whole
      return;
    }
    const code = (error as { code?: string }).code;
    const region = this.#regions[0] as RegionName;
    if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') {
      this.#refuse(new CardumeError('invalid-input', `the request cannot be forwarded: ${error.message}`));
    } else if (code === 'UND_ERR_HEADERS_TIMEOUT') {
      this.#refuse(new CardumeError('deadline-exceeded', `region ${region} did not answer in time`));
    } else {
      this.#shared.onUndelivered(region);
      this.#retry(region, wasSent, error);
    }
  }

  /** Once, on the next region that is healthy, or on the same one where there is no other. */
  #retry(region: RegionName, wasSent: boolean, cause: Error): void {
    const mayRepeat = this.#mayRepeat();
    this.#isLeft = false;
    if (this.#attempts === 1 && (mayRepeat || !wasSent)) {
      if (this.#regions.length > 1) this.#regions = this.#regions.slice(1);
      this.#send();
    } else if (wasSent && !mayRepeat) {
      const detail = `region ${region} closed the connection before its answer: it may have done the request or not`;
      this.#refuse(new CardumeError('unknown-outcome', detail, { cause }));
    } else {
      this.#refuse(new CardumeError('region-unavailable', `region ${region} cannot be reached`, { cause }));
    }
  }

  #refuse(error: unknown): void {
    const known = expectedError(error);
    const requestId = this.#shared.requestId();
    if (known.code === 'internal')
      this.#shared.log.error('a request failed at the edge', { requestId, error });
    const body = Buffer.from(JSON.stringify(problemOf(known, requestId)));
    const headers = [...problemHeaders(known), 'content-length', String(body.length)];
    if (this.#shared.draining) headers.push('connection', 'close');
    this.#response.writeHead(errors[known.code].status, headers);
    this.#response.end(this.#request.method === 'HEAD' ? undefined : body);
  }

  /** The answer is out, or the client is gone. */
  #close(): void {
    this.#ended = true;
    this.#shared.exchanges.delete(this);
    this.#shared.bodiesBytes -= this.#bodyBytes;
    this.#shared.streams.delete(this.#response);
    this.#controller?.abort(new Error('the client is gone'));
    this.#shared.onExchangeEnd();
  }
}

/** A connection whose request could not even be read. */
function refuseConnection(error: Error, socket: Socket, requestId: string): void {
  if (!socket.writable) return;
  const code = (error as { code?: string }).code;
  const known =
    code === 'HPE_HEADER_OVERFLOW'
      ? new CardumeError('headers-too-large', `expected at most ${HEADERS_BYTES_MAX} bytes of headers`)
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new CardumeError('request-timeout', 'the request did not arrive in time')
        : new CardumeError('invalid-input', 'this is not an HTTP/1.1 request');
  const body = JSON.stringify(problemOf(known, requestId));
  const headers = [
    ...problemHeaders(known),
    'content-length',
    String(Buffer.byteLength(body)),
    'connection',
    'close',
  ];
  let head = `HTTP/1.1 ${errors[known.code].status} Refused\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  socket.end(`${head}\r\n${body}`);
}
