/** Problem documents (RFC 9457): how every failure looks to the caller. */
import { CardumeError, errors } from './errors.ts';

export const PROBLEM_TYPE = 'application/problem+json';

export interface Problem {
  /** `/problems/<code>`: relative to the API; the OpenAPI page documents each. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** `urn:cardume:request:<request id>` */
  readonly instance: string;
  readonly code: string;
  readonly help: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
}

/** Longest detail that is sent. */
const DETAIL_CHARS_MAX = 500;

export function problemOf(error: CardumeError, requestId: string): Problem {
  const { title, status, help } = errors[error.code];
  return {
    type: `/problems/${error.code}`,
    title,
    status,
    detail:
      error.message.length > DETAIL_CHARS_MAX
        ? `${error.message.slice(0, DETAIL_CHARS_MAX)}…`
        : error.message,
    instance: `urn:cardume:request:${requestId}`,
    code: error.code,
    help,
    ...(error.faults.length === 0
      ? {}
      : { errors: error.faults.map((fault) => ({ pointer: fault.path, detail: fault.message })) }),
  };
}

/** What is not expected becomes `internal`: the caller learns the request id and nothing else. */
export function expectedError(error: unknown): CardumeError {
  if (error instanceof CardumeError) return error;
  return new CardumeError('internal', 'Something broke on our side.', { cause: error });
}

/** Headers that a problem brings along, names and values in turn. */
export function problemHeaders(error: CardumeError): string[] {
  const headers = ['content-type', PROBLEM_TYPE, 'cache-control', 'no-store'];
  if (error.retryAfterS !== undefined)
    headers.push('retry-after', String(Math.max(1, Math.ceil(error.retryAfterS))));
  // RFC 6750, section 3.
  if (error.code === 'token-required') headers.push('www-authenticate', 'Bearer');
  if (error.code === 'invalid-token' || error.code === 'expired-token') {
    headers.push('www-authenticate', 'Bearer error="invalid_token"');
  }
  return headers;
}
