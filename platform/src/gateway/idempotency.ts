/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): one effect and one answer for a key. The key counts
 * within its principal (by the first id of its account) and operation; the fingerprint says what was asked, so that the same key with another request
 * is told apart from a retry.
 *
 * Both stand in the log for good, and a body may hold a password or a name: so neither is stored, only digests under
 * the cluster's secret, which nobody can try guesses against.
 */
import { CardumeError } from '../base/errors.ts';
import type { IdempotencyKey } from '../cqrs/bus.ts';

/** 1 to 128 visible ASCII characters. */
const SHAPE = /^[\x21-\x7e]{1,128}$/;
const TEXT_BYTES_MAX = 200;
const DEPTH_MAX = 64;

/** 32 bytes under the cluster's secret. */
export type Digest = (text: string) => Uint8Array;

export interface Asked {
  readonly principal: string;
  readonly operation: string;
  readonly params: unknown;
  readonly search: unknown;
  readonly body: unknown;
}

/** @throws CardumeError `invalid-input` */
export function idempotencyKey(header: string, asked: Asked, digest: Digest): IdempotencyKey {
  if (!SHAPE.test(header)) {
    const message = 'expected 1 to 128 visible ASCII characters';
    throw new CardumeError('invalid-input', `Idempotency-Key: ${message}`, {
      faults: [{ path: '/headers/idempotency-key', message }],
    });
  }
  const text = `${asked.principal}|${asked.operation}|${textOf(digest(header))}`;
  const canonical = canonicalJson({ params: asked.params, search: asked.search, body: asked.body });
  return {
    text: text.length <= TEXT_BYTES_MAX ? text : `digest|${textOf(digest(text))}`,
    fingerprint: textOf(digest(canonical)),
  };
}

function textOf(digest: Uint8Array): string {
  return digest.toBase64({ alphabet: 'base64url', omitPadding: true });
}

/**
 * JSON with sorted keys, so that two spellings of one request have one digest.
 * @throws CardumeError `invalid-input` when it is nested deeper than 64
 */
export function canonicalJson(value: unknown, depth = 0): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (depth >= DEPTH_MAX)
    throw new CardumeError('invalid-input', `expected at most ${DEPTH_MAX} levels of nesting`);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, depth + 1)).join(',')}]`;
  const fields: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const field = (value as Record<string, unknown>)[key];
    if (field !== undefined) fields.push(`${JSON.stringify(key)}:${canonicalJson(field, depth + 1)}`);
  }
  return `{${fields.join(',')}}`;
}
