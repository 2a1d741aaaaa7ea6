/** Seals one personal value under its subject's key. A sealed value is text, so it fits wherever the value stood. */
import type { Json } from '../base/json.ts';
import type { Cryptography } from '../host/cryptography.ts';

/** @param context what the value is and whose: a sealed value cannot be moved to another field or subject */
export function sealValue(crypto: Cryptography, key: Uint8Array, value: Json, context: string): string {
  return Buffer.from(crypto.seal(key, Buffer.from(JSON.stringify(value)), context)).toString('base64url');
}

/** @returns null when the key was destroyed: the person was erased */
export function openValue(
  crypto: Cryptography,
  key: Uint8Array | null,
  sealed: string,
  context: string,
): Json {
  if (key === null) return null;
  const plain = crypto.open(key, Buffer.from(sealed, 'base64url'), context);
  if (plain === null) throw new Error(`a sealed value of ${context} does not open with its subject's key`);
  return JSON.parse(Buffer.from(plain).toString()) as Json;
}
