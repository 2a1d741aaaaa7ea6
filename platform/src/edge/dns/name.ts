/**
 * Domain names as they stand in messages (RFC 1035, section 3.1): labels with their lengths in front, ended by a zero
 * byte. A name's key is that text in small letters, a character a byte: equal keys are equal names (RFC 4343).
 */

export type NameKey = string;

export const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;

export interface ReadName {
  readonly key: NameKey;
  /** Bytes that it takes up. */
  readonly bytes: number;
}

/** @returns null where it is cut short, too long, or anything but plain labels: a question has nothing to point at */
export function readName(message: Uint8Array, offset: number): ReadName | null {
  let at = offset;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > LABEL_BYTES_MAX) return null;
    at += 1 + length;
    if (at > message.length || at - offset > NAME_BYTES_MAX) return null;
    if (length === 0) break;
  }
  // A length is never taken for a letter: it is 63 at most, and A is 65.
  let key = '';
  for (let i = offset; i < at; i += 1) {
    const byte = message[i] as number;
    key += String.fromCharCode(byte >= 65 && byte <= 90 ? byte + 32 : byte);
  }
  return { key, bytes: at - offset };
}

/**
 * @returns the offset behind a name of which nothing else is wanted: it may end with a pointer, which may be cut short;
 * null where its labels are
 */
export function behindName(message: Uint8Array, offset: number): number | null {
  let at = offset;
  while (at - offset <= NAME_BYTES_MAX) {
    const length = message[at];
    if (length === undefined) return null;
    if (length >= 0xc0) return at + 2;
    if (length > LABEL_BYTES_MAX) return null;
    at += 1 + length;
    if (length === 0) return at <= message.length ? at : null;
  }
  return null;
}

/** Of a name from the topology, in small letters, checked there: `cardume.test`. */
export function keyOf(name: string): NameKey {
  const labels = name.split('.').map((label) => String.fromCharCode(label.length) + label);
  return `${labels.join('')}\0`;
}

export function bytesOfKey(key: NameKey): Uint8Array {
  return Uint8Array.from(key, (character) => character.charCodeAt(0));
}

/** How many bytes of the name stand before the other, which is the same or above it; null when it is not. */
export function offsetUnder(name: NameKey, above: NameKey): number | null {
  const offset = name.length - above.length;
  if (offset < 0 || !name.endsWith(above)) return null;
  let at = 0;
  while (at < offset) at += 1 + name.charCodeAt(at);
  return at === offset ? offset : null;
}
