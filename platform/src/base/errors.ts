/**
 * The one table of expected failures. A code is part of the public API: it never changes its meaning.
 * `docs/errors.md` is generated from it, and the gateway turns each into a problem document (RFC 9457).
 */
interface ErrorEntry {
  readonly status: number;
  readonly title: string;
  /** The same request may succeed later, unchanged. */
  readonly retryable: boolean;
  /** What the reader can do next. */
  readonly help: string;
}

const entry = (status: number, title: string, retryable: boolean, help: string): ErrorEntry => ({
  status,
  title,
  retryable,
  help,
});

export const errors = {
  'bad-json': entry(
    400,
    'The body is not valid JSON in UTF-8',
    false,
    'Send one JSON document encoded as UTF-8.',
  ),
  'invalid-input': entry(
    400,
    'The request has faulty fields',
    false,
    'Correct the fields named in `errors` and send again.',
  ),
  'invalid-cursor': entry(
    400,
    'The cursor does not belong to this list',
    false,
    'Start the list again without a cursor.',
  ),
  'invalid-token': entry(
    401,
    'The access token is not valid',
    false,
    'Sign in again and send the new token.',
  ),
  'expired-token': entry(401, 'The access token has expired', false, 'Sign in again and send the new token.'),
  'token-required': entry(
    401,
    'This needs a signed-in caller',
    false,
    'Send `Authorization: Bearer <token>`.',
  ),
  'wrong-credentials': entry(401, 'E-mail or password is wrong', false, 'Check both and try again.'),
  forbidden: entry(403, 'The caller may not do this', false, 'Use an account that has the role.'),
  'not-found': entry(404, 'There is no such thing', false, 'Check the id or the path.'),
  'method-not-allowed': entry(405, 'The path does not know this method', false, 'See the `Allow` header.'),
  'request-timeout': entry(
    408,
    'The request took too long to arrive',
    true,
    'Send the whole request within the limit.',
  ),
  conflict: entry(409, 'The state does not allow this', false, 'Read the current state and decide again.'),
  'already-exists': entry(409, 'It exists already', false, 'Use the existing one, or another name.'),
  'email-taken': entry(
    409,
    'The e-mail belongs to another account',
    false,
    'Sign in, or use another address.',
  ),
  'insufficient-stock': entry(
    409,
    'There is not enough stock in the region',
    false,
    'Order less, or wait for new stock.',
  ),
  'precondition-failed': entry(
    412,
    'It has changed since it was read',
    false,
    'Read it again and send its new ETag in If-Match.',
  ),
  'body-too-large': entry(413, 'The body is too large', false, 'Send less in one request.'),
  'unsupported-media-type': entry(
    415,
    'The body must be application/json',
    false,
    'Set `Content-Type: application/json`.',
  ),
  'idempotency-key-reused': entry(
    422,
    'The idempotency key was used with another request',
    false,
    'Use a fresh key for a different request.',
  ),
  'query-refused': entry(
    422,
    'The query cannot be answered rightly over shards',
    false,
    'See `detail` for the part that is not supported.',
  ),
  'too-many-requests': entry(429, 'Too many requests', true, 'Wait as long as `Retry-After` says.'),
  'headers-too-large': entry(431, 'The request headers are too large', false, 'Send smaller headers.'),
  internal: entry(500, 'Something broke on our side', true, 'Try again; if it stays, report the request id.'),
  overloaded: entry(503, 'The service is at its bound', true, 'Wait as long as `Retry-After` says.'),
  'partition-unavailable': entry(
    503,
    'The home of this data cannot be reached',
    true,
    'Wait as long as `Retry-After` says.',
  ),
  'replicas-behind': entry(
    503,
    'No other region has the last writes',
    true,
    'Reads go on, and writes as soon as another region has caught up. Wait as long as `Retry-After` says.',
  ),
  'region-unavailable': entry(503, 'No region can be reached', true, 'Wait as long as `Retry-After` says.'),
  fenced: entry(
    503,
    'Another host has taken this partition over',
    true,
    'Try again: the request will reach the new host.',
  ),
  'storage-failed': entry(
    503,
    'The storage did not accept the write',
    true,
    'Nothing was changed. Try again; see the server log.',
  ),
  'unknown-outcome': entry(
    503,
    'The outcome of the write is being resolved',
    true,
    'Send again with the same idempotency key.',
  ),
  'read-model-halted': entry(
    503,
    'This view has stopped and waits for repair',
    true,
    'Other views and all writes go on; see the server log.',
  ),
  'read-model-building': entry(
    503,
    'This view is being built',
    true,
    'Other views and all writes go on; `detail` says how far it is.',
  ),
  'deadline-exceeded': entry(
    503,
    'The answer was not ready within the deadline',
    true,
    'Ask for less, or try again.',
  ),
  draining: entry(503, 'The instance is shutting down', true, 'Try again: another instance will answer.'),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errors;

/** One faulty place of an input: `path` is a JSON pointer (RFC 6901), `message` says what is expected there. */
export interface Fault {
  readonly path: string;
  readonly message: string;
}

interface Extra {
  readonly faults?: readonly Fault[] | undefined;
  readonly retryAfterS?: number | undefined;
  readonly cause?: unknown;
}

/** An expected failure. Bugs are other errors: they are never caught, except at the edge of a request. */
export class CardumeError extends Error {
  readonly code: ErrorCode;
  readonly faults: readonly Fault[];
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, detail: string, extra: Extra = {}) {
    super(detail, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.name = 'CardumeError';
    this.code = code;
    this.faults = extra.faults ?? [];
    this.retryAfterS = extra.retryAfterS ?? (errors[code].status === 503 ? 1 : undefined);
  }
}

export function isCardumeError(error: unknown, code?: ErrorCode): error is CardumeError {
  return error instanceof CardumeError && (code === undefined || error.code === code);
}
