/**
 * Checksums chain a partition's entries: each covers the one before it, so that two logs whose checksums agree at a
 * position agree in everything up to it, and a changed byte is found.
 *
 * The encoding is unambiguous: a line of numbers that ends in the lengths of the texts (UTF-16 units), then the texts.
 * SHA-256 reads it as UTF-8. Every engine must produce the same bytes: the format never changes within a log.
 */
import type { Cryptography } from '../host/cryptography.ts';
import type { Entry } from './log.ts';

export const CHECKSUM_BYTES = 16;
export const EMPTY_CHECKSUM: Uint8Array = new Uint8Array(CHECKSUM_BYTES);

/** @returns 16 bytes of the caller's */
export function checksumOf(
  crypto: Pick<Cryptography, 'sha256'>,
  previous: Uint8Array,
  entry: Omit<Entry, 'checksum'>,
): Uint8Array {
  const { stream, version, type, data, meta, key } = entry;
  const text =
    `${hexOf(previous)} ${entry.partition} ${entry.epoch} ${entry.position} ${version ?? '-'} ${entry.atMs} ` +
    `${stream.length} ${type.length} ${data.length} ${meta?.length ?? '-'} ${key?.length ?? '-'}\n` +
    stream +
    type +
    data +
    (meta ?? '') +
    (key ?? '');
  return crypto.sha256(text).subarray(0, CHECKSUM_BYTES);
}

export function sameChecksum(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < CHECKSUM_BYTES; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

/** The entries' checksums in one array, in order. */
export function joinChecksums(entries: readonly Pick<Entry, 'checksum'>[]): Uint8Array {
  const joined = new Uint8Array(entries.length * CHECKSUM_BYTES);
  let at = 0;
  for (const { checksum } of entries) {
    joined.set(checksum, at);
    at += CHECKSUM_BYTES;
  }
  return joined;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, CHECKSUM_BYTES).toString('hex');
}
