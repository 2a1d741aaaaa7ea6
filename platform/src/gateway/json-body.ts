/** Bytes to JSON, strictly: UTF-8 without a fault, one document, no key that is a prototype, whole text. */
import { isUtf8 } from 'node:buffer'; // a pure function of its argument
import { CardumeError } from '../base/errors.ts';

/** What makes a text worth a walk: a key `__proto__`, perhaps spelt with escapes, or an escaped surrogate. */
const SUSPICIOUS = /__proto__|\\u(?:00[567]|[dD][89a-fA-F])/;

/**
 * @returns undefined for an empty body
 * @throws CardumeError `bad-json`
 */
export function parseJsonBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw new CardumeError('bad-json', 'the body is not UTF-8');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CardumeError('bad-json', (error as SyntaxError).message, { cause: error });
  }
  if (SUSPICIOUS.test(text)) checkTexts(value);
  return value;
}

function checkTexts(root: unknown): void {
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === 'string') {
      if (!value.isWellFormed()) throw new CardumeError('bad-json', 'a text holds half of a surrogate pair');
    } else if (Array.isArray(value)) {
      for (const item of value) open.push(item);
    } else if (typeof value === 'object' && value !== null) {
      for (const key of Object.keys(value)) {
        if (key === '__proto__') throw new CardumeError('bad-json', `'${key}' is not allowed as a key`);
        open.push(key, (value as Record<string, unknown>)[key]);
      }
    }
  }
}
