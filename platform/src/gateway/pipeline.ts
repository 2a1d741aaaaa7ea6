/**
 * A request's way through the gateway, without HTTP: who asks, how much, is it well formed, may they, where does it
 * run. Each step is cheaper than the next, and none has an effect; the first effect is the operation's own.
 *
 *   request id, trace → token → rate limit → access → validation → key and precondition → place → run or forward
 *
 * Every way ends in an answer: what is not expected becomes `internal` under the request id and a line in the log.
 */
import { CardumeError, errors, type Fault } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import { expectedError, problemHeaders, problemOf } from '../base/problem.ts';
import type { Host } from '../host/host.ts';
import { ANONYMOUS, originOf, type Principal } from '../identity/principal.ts';
import type { Tokens } from '../identity/tokens.ts';
import type { Freshness } from '../sharding/query.ts';
import type { Log } from '../telemetry/log.ts';
import { formatTraceParent, parseTraceParent, startSpan } from '../telemetry/trace.ts';
import type { Call, PlainReply } from './call.ts';
import { consistencyHeader, parseConsistency, parseFreshness } from './consistency.ts';
import type { Execution, OnGone } from './execution.ts';
import { idempotencyKey } from './idempotency.ts';
import { type Allowance, allowanceHeader, type Limits, networkOf } from './limits.ts';
import type { Geography, Operation, Reply, ServerSentEvent } from './operation.ts';
import { etagOf, noneMatches, parseIfMatch } from './preconditions.ts';
import type { Route } from './route.ts';

export interface Incoming {
  /** `HEAD` is answered as GET is; who writes the answer leaves the body out. */
  readonly method: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As text, percent-decoded. */
  readonly params: Record<string, unknown>;
  readonly search: Record<string, unknown>;
  /** Parsed JSON; undefined when there was none. */
  readonly body: unknown;
  readonly clientAddress: string;
  readonly onGone: OnGone;
}

export interface Outgoing {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: string[];
  readonly body: string | Uint8Array | null;
  readonly events: AsyncIterable<ServerSentEvent> | null;
}

export interface Pipeline {
  /** Never rejects. */
  answer(route: Route, incoming: Incoming): Promise<Outgoing>;
  /** The answer to a request that reached no operation; it counts against its address. */
  refuse(headers: Incoming['headers'], clientAddress: string, error: unknown): Outgoing;
}

export interface PipelineOptions {
  readonly host: Pick<Host, 'random' | 'crypto'>;
  readonly geography: Geography;
  readonly tokens: Pick<Tokens, 'cached' | 'verify'>;
  readonly limits: Limits;
  readonly log: Log;
  readonly execution: Execution;
  /** Whether this instance hosts the place now, or has a copy of it that is fresh enough. */
  hostedHere(service: string, place: Place, freshness: Freshness | null): boolean;
  /** HMAC-SHA256 under the cluster's secret. */
  secretDigest(text: string): Uint8Array;
  /** Resolves when the home of the token has what it names. @throws CardumeError */
  reached(service: string, token: string): Promise<void>;
  /** Runs the call on the place's host. @throws CardumeError */
  forward(service: string, place: Place, call: Call): Promise<PlainReply>;
}

/** Request ids that we take over: safe in logs, headers and shells. */
const REQUEST_ID = /^[\w.:~-]{1,100}$/;
const TRACE_STATE_CHARS_MAX = 512;

export function openPipeline(options: PipelineOptions): Pipeline {
  const { host, geography, tokens, limits, log, execution } = options;

  function identify(headers: Incoming['headers']): Identified {
    const parent = headers['traceparent'];
    const known = typeof parent === 'string' ? parseTraceParent(parent) : null;
    const span = startSpan(known, host.random);
    const given = headers['x-request-id'];
    const state = known === null ? undefined : headers['tracestate'];
    return {
      requestId: typeof given === 'string' && REQUEST_ID.test(given) ? given : span.unique,
      trace: formatTraceParent(span.trace),
      traceState: typeof state === 'string' && state.length <= TRACE_STATE_CHARS_MAX ? state : '',
      allowance: null,
    };
  }

  function take(request: Identified, caller: string): void {
    request.allowance = limits.take(caller);
    if (!request.allowance.allowed) {
      const { retryAfterS } = request.allowance;
      throw new CardumeError('too-many-requests', 'this caller has used up its requests', { retryAfterS });
    }
  }

  function authenticate(request: Identified, incoming: Incoming): Principal {
    const authorization = incoming.headers['authorization'];
    if (authorization === undefined) {
      take(request, networkOf(incoming.clientAddress));
      return ANONYMOUS;
    }
    const token = bearerToken(authorization);
    let principal = tokens.cached(token);
    if (principal === undefined) {
      // Verifying is the dearest step before the operation: the address pays for it, whoever it says it is.
      take(request, networkOf(incoming.clientAddress));
      principal = tokens.verify(token);
    }
    take(request, principal.id);
    return principal;
  }

  function prepare(request: Identified, route: Route, incoming: Incoming): Prepared {
    const { operation } = route;
    const principal = authenticate(request, incoming);
    checkAccess(operation, principal);
    const params = route.readParams(incoming.params);
    const search = route.readSearch(incoming.search);
    const body = validated(route, params, search, incoming.body);
    const { headers, method } = incoming;
    const key = operation.idempotent === true ? headers['idempotency-key'] : undefined;
    const lastEventId = headers['last-event-id'];
    const token = headers['cardume-token'];
    const seen = typeof token === 'string' ? parseConsistency(token) : null;
    const isRead = method === 'GET' || method === 'HEAD';
    const ifMatch = isRead ? undefined : headers['if-match'];
    const call: Call = {
      operation: operation.id,
      params,
      search,
      body,
      principal,
      key:
        typeof key !== 'string'
          ? null
          : idempotencyKey(
              key,
              { principal: originOf(principal), operation: operation.id, params, search, body },
              options.secretDigest,
            ),
      requestId: request.requestId,
      trace: request.trace,
      traceState: request.traceState,
      ifVersion: typeof ifMatch === 'string' ? parseIfMatch(ifMatch) : null,
      lastEventId: typeof lastEventId === 'string' ? lastEventId : null,
      receivedIn: geography.here,
      freshness: isRead ? parseFreshness(headers['cardume-max-staleness-ms'], seen) : null,
    };
    return { call, seen };
  }

  function route(route: Route, call: Call, onGone: OnGone): Promise<Reply> {
    const { service, operation } = route;
    if (operation.place === undefined) return execution.run(route, call, onGone);
    const input = { params: call.params, search: call.search, body: call.body } as never;
    const place = operation.place(input, { principal: call.principal, key: call.key, geography });
    if (place === null || options.hostedHere(service, place, call.freshness ?? null))
      return execution.run(route, call, onGone);
    return options.forward(service, place, call);
  }

  function headersOf(request: Identified): string[] {
    const headers = [
      'x-request-id',
      request.requestId,
      'traceparent',
      request.trace,
      'x-content-type-options',
      'nosniff',
    ];
    if (request.allowance !== null) {
      headers.push('ratelimit-policy', limits.policy, 'ratelimit', allowanceHeader(request.allowance));
    }
    return headers;
  }

  function refused(request: Identified, thrown: unknown, operation: string): Outgoing {
    const error = expectedError(thrown);
    if (error.code === 'internal') {
      log.error('a request failed unexpectedly', {
        requestId: request.requestId,
        trace: request.trace,
        operation,
        error: thrown,
      });
    } else if (error.cause !== undefined && error.code !== 'bad-json') {
      // What is wrong with bad JSON is a piece of it, and nothing of ours.
      const write = errors[error.code].status >= 500 ? log.warn : log.debug;
      write('a request was refused', {
        requestId: request.requestId,
        trace: request.trace,
        operation,
        error,
      });
    }
    const problem = problemOf(error, request.requestId);
    const headers = headersOf(request);
    headers.push(...problemHeaders(error));
    return { status: problem.status, headers, body: JSON.stringify(problem), events: null };
  }

  return {
    async answer(to, incoming) {
      const request = identify(incoming.headers);
      try {
        const { call, seen } = prepare(request, to, incoming);
        if (seen !== null) await options.reached(seen.service, seen.token);
        const reply = await route(to, call, incoming.onGone);
        return outgoing(to.service, reply, headersOf(request), incoming);
      } catch (error) {
        return refused(request, error, to.operation.id);
      }
    },
    refuse(headers, address, error) {
      const request = identify(headers);
      try {
        take(request, networkOf(address));
        return refused(request, error, '');
      } catch (limited) {
        return refused(request, limited, '');
      }
    },
  };
}

interface Identified {
  readonly requestId: string;
  readonly trace: string;
  readonly traceState: string;
  allowance: Allowance | null;
}

interface Prepared {
  readonly call: Call;
  readonly seen: { readonly service: string; readonly token: string } | null;
}

const BEARER = /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i;

function bearerToken(authorization: string | string[]): string {
  const match = typeof authorization === 'string' ? BEARER.exec(authorization) : null;
  if (match === null)
    throw new CardumeError('invalid-token', 'expected `Authorization: Bearer <access token>`');
  return match[1] as string;
}

function checkAccess(operation: Operation, principal: Principal): void {
  if (operation.access === 'anyone') return;
  if (principal.role === 'anonymous') {
    throw new CardumeError('token-required', `'${operation.id}' needs an access token`);
  }
  if (operation.access === 'staff' && principal.role !== 'staff') {
    throw new CardumeError('forbidden', `'${operation.id}' needs the role staff`);
  }
}

/** @returns the body, or null where the operation takes none */
function validated(route: Route, params: unknown, search: unknown, body: unknown): unknown {
  const bodyFits = route.body === null ? isNothing(body) : route.body.check(body);
  if (bodyFits && route.params.check(params) && route.search.check(search))
    return route.body === null ? null : body;
  const faults: Fault[] = [
    ...route.params.faults(params, '/params'),
    ...route.search.faults(search, '/search'),
  ];
  if (route.body !== null) faults.push(...route.body.faults(body, '/body'));
  else if (!bodyFits) faults.push({ path: '/body', message: 'unknown: this operation takes no body' });
  const [first] = faults;
  const others = faults.length > 1 ? `, and ${faults.length - 1} more` : '';
  throw new CardumeError('invalid-input', `${first?.path}: ${first?.message}${others}`, { faults });
}

/** Many clients send `{}` where there is nothing to say. */
function isNothing(body: unknown): boolean {
  return body === undefined || (typeof body === 'object' && body !== null && Object.keys(body).length === 0);
}

/** `Accept` that names plain text before all else. */
const TEXT_FIRST = /^\s*text\/plain\b/i;

function outgoing(service: string, reply: Reply, headers: string[], incoming: Incoming): Outgoing {
  let { status } = reply;
  if (reply.token !== undefined) headers.push('cardume-token', consistencyHeader(service, reply.token));
  if (reply.headers !== undefined) {
    for (const name of Object.keys(reply.headers)) headers.push(name, reply.headers[name] as string);
  }
  if (reply.version !== undefined) {
    const etag = etagOf(reply.version);
    headers.push('etag', etag);
    const held = incoming.headers['if-none-match'];
    const reads = incoming.method === 'GET' || incoming.method === 'HEAD';
    if (reads && status === 200 && typeof held === 'string' && noneMatches(held, etag)) status = 304;
  }
  if (reply.events !== undefined) return { status, headers, body: null, events: reply.events };
  const { body, contentType } = reply;
  if (status === 304 || status === 204 || body === undefined)
    return { status, headers, body: null, events: null };
  if (reply.text !== undefined && TEXT_FIRST.test(String(incoming.headers['accept']))) {
    headers.push('content-type', 'text/plain; charset=utf-8');
    return { status, headers, body: reply.text, events: null };
  }
  headers.push('content-type', contentType ?? 'application/json');
  if (contentType !== undefined && (typeof body === 'string' || body instanceof Uint8Array)) {
    return { status, headers, body, events: null };
  }
  return { status, headers, body: JSON.stringify(body), events: null };
}
