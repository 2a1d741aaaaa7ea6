/**
 * An operation is one route of the public API as data: the schemas that validate it also make its OpenAPI page. Its
 * handler is a plain function; the HTTP server, the link between instances and the simulation all call it the same way.
 */
import type { Static, TSchema } from 'typebox';
import type { ErrorCode } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import type { Bus, IdempotencyKey } from '../cqrs/bus.ts';
import type { Principal } from '../identity/principal.ts';

export interface Operation<
  Params extends TSchema = TSchema,
  Search extends TSchema = TSchema,
  Body extends TSchema = TSchema,
> {
  /** OpenAPI operationId, unique over all services. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** `/orders/{id}` */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  /** `anyone`: also without a token; `signed-in`: any principal; `staff`: the role. */
  readonly access: 'anyone' | 'signed-in' | 'staff';
  readonly params?: Params;
  readonly search?: Search;
  readonly body?: Body;
  /** Status → schema of the body (null: no body). The first is the usual one. */
  readonly replies: Readonly<Record<number, TSchema | null>>;
  /** Failures of its own, beside those that every operation of its shape knows: for the API's documents. */
  readonly failures?: readonly ErrorCode[];
  /** Reads and understands `Idempotency-Key`. */
  readonly idempotent?: boolean;
  /** Its 200 is a stream of server-sent events, each with data of the reply's schema; it is taken up again. */
  readonly streams?: boolean;
  /**
   * Where it must run: the partition's host. Null: on any instance.
   * Pure in its input; reads only what the gateway knows (principal, topology).
   */
  place?(input: Input<Params, Search, Body>, context: PlaceContext): Place | null;
  handle(input: Input<Params, Search, Body>, context: OperationContext): Promise<Reply>;
}

export interface Input<Params extends TSchema, Search extends TSchema, Body extends TSchema> {
  readonly params: Static<Params>;
  readonly search: Static<Search>;
  readonly body: Static<Body>;
}

export interface PlaceContext {
  readonly principal: Principal;
  readonly key: IdempotencyKey | null;
  readonly geography: Geography;
}

/** Where new things are born and natural keys are at home; functions of the topology. */
export interface Geography {
  /** The region whose instance received the request. */
  readonly here: string;
  /** All regions, in the topology's order. */
  readonly regions: readonly string[];
  regionOfCountry(country: string): string;
  /** Partition of a natural key in a region's space. @throws CardumeError `invalid-input` for an unknown region */
  placeInRegion(service: string, region: string, key: string): Place;
  /** Partition of a natural key in the service's global space. */
  placeInGlobal(service: string, key: string): Place;
  regionOfPlace(service: string, place: Place): string;
}

export interface OperationContext extends PlaceContext {
  readonly bus: Bus;
  readonly nowMs: number;
  readonly requestId: string;
  /** W3C traceparent of this request's span. */
  readonly trace: string;
  /** Version of If-Match, when the caller sent one. */
  readonly ifVersion: number | undefined;
  /** Ends when the client is gone or the instance drains. */
  readonly signal: AbortSignal;
  /** `Last-Event-ID` of an event stream that is taken up again. */
  readonly lastEventId: string | null;
  /** A fresh id. */
  newId(type: string, place: Place): string;
  /** 32 bytes of SHA-256, for natural ids. */
  digest(text: string): Uint8Array;
  /** 32 bytes of HMAC-SHA256 under the cluster's secret: for natural ids that must not be guessed (e-mails). */
  secretDigest(text: string): Uint8Array;
  /** Ports that the service was given (payments, passwords, tokens …). */
  port<Port>(name: string): Port;
}

export interface Reply {
  readonly status: number;
  /** A value becomes JSON; a string of `contentType` is sent as it is; events make a server-sent stream. */
  readonly body?: unknown;
  readonly contentType?: string;
  /** What a caller who prefers `text/plain` to JSON (`Accept`) is given instead of the body. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Becomes the ETag `"<version>"`. */
  readonly version?: number;
  /** Becomes `Cardume-Token`. */
  readonly token?: string;
  /** Server-sent events (WHATWG HTML): the reply goes on until it ends. Never crosses a link as one message. */
  readonly events?: AsyncIterable<ServerSentEvent>;
}

export interface ServerSentEvent {
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
}

/** Fixes the types of a definition. */
export function operation<
  Params extends TSchema = TSchema,
  Search extends TSchema = TSchema,
  Body extends TSchema = TSchema,
>(definition: Operation<Params, Search, Body>): Operation {
  return definition as unknown as Operation;
}
