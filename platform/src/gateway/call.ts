/**
 * One operation to run on the host of its place: a plain message, so that a link can carry it as it stands. When the
 * host is this instance the same object is handed over, and nothing is serialised.
 */

import type { Json } from '../base/json.ts';
import type { IdempotencyKey } from '../cqrs/bus.ts';
import type { Principal } from '../identity/principal.ts';
import type { Freshness } from '../sharding/query.ts';

export interface Call {
  readonly operation: string;
  /** Validated: the receiver trusts them. */
  readonly params: unknown;
  readonly search: unknown;
  readonly body: unknown;
  readonly principal: Principal;
  readonly key: IdempotencyKey | null;
  readonly requestId: string;
  /** W3C traceparent of the request's span. */
  readonly trace: string;
  /** W3C tracestate, untouched; empty when there is none. */
  readonly traceState: string;
  readonly ifVersion: number | null;
  readonly lastEventId: string | null;
  /** The region whose instance received the request. */
  readonly receivedIn: string;
  /** How old what it reads may be; null, or left out by the version before: it is the newest. */
  readonly freshness?: Freshness | null;
}

/** A reply without its event stream. Absent fields are left out. */
export interface PlainReply {
  readonly status: number;
  readonly body?: Json;
  readonly contentType?: string;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly version?: number;
  readonly token?: string;
}
