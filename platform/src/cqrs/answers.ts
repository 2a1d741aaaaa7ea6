/**
 * What a command came to, as it stands in the `meta` of its last entry: the answer of an idempotency key, rejections
 * too, and the caller's trace.
 */
import { CardumeError, type ErrorCode } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Entry } from '../events/log.ts';
import { encodeToken } from '../events/token.ts';
import type { Answer, IdempotencyKey, SendOptions } from './bus.ts';

interface Meta extends Partial<Came> {
  readonly fingerprint?: string;
  readonly trace?: string;
  /** Token of the entry that it was before it was cut off and submitted again. */
  readonly quarantined?: string;
}

/** One of the two. */
export interface Came {
  readonly result?: Json;
  readonly rejected?: { readonly code: ErrorCode; readonly detail: string };
}

export function metaOf({ key, trace }: SendOptions, came: Came): string | null {
  // A trace has only hexadecimal digits and dashes, so it needs no escaping.
  if (key === undefined) return trace === undefined ? null : `{"trace":"${trace}"}`;
  const { result, rejected } = came;
  return JSON.stringify({ result, rejected, fingerprint: key.fingerprint, trace } satisfies {
    [field in keyof Meta]: Meta[field] | undefined;
  });
}

/** @param meta of an entry that was cut off a log, @param token and its token there */
export function markedAs(token: string, meta: string | null): string {
  return JSON.stringify({ ...(JSON.parse(meta ?? '{}') as Meta), quarantined: token });
}

/** @returns the token that the entry had in a log that it was cut off from; null for others */
export function markOf(meta: string | null): string | null {
  if (meta?.includes('"quarantined"') !== true) return null;
  return (JSON.parse(meta) as Meta).quarantined ?? null;
}

/**
 * The answer that an entry remembers for a key.
 * @throws CardumeError the rejection that it was, or `idempotency-key-reused` when something else was asked
 */
export function answerOf(entry: Entry, key: IdempotencyKey): Answer {
  const { fingerprint, rejected, result = null } = JSON.parse(entry.meta ?? '{}') as Meta;
  if (fingerprint !== undefined && fingerprint !== key.fingerprint) {
    throw new CardumeError('idempotency-key-reused', 'the key was used before with another body or path');
  }
  if (rejected !== undefined) throw new CardumeError(rejected.code, rejected.detail);
  return {
    id: entry.stream,
    version: entry.version ?? 0,
    result,
    token: encodeToken(entry),
    replayed: true,
  };
}
