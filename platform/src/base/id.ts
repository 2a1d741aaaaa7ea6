/**
 * Ids are `<type>_<place>_<unique>`: where a thing was born stands in its name, so that any gateway finds its
 * partition without asking.
 *
 * - type: three lower-case letters (`ord`)
 * - place: three characters of Crockford base 32: the scope (0 is global, 1 to 31 a region's code) and the
 *   partition (two characters, 0 to 1023)
 * - unique: 128 bits as 26 characters of the same alphabet. Either a UUID version 7 (RFC 9562), so that ids sort
 *   by the time of their birth, or a digest of a natural key, so that the same key gives the same id.
 */
import { CardumeError } from './errors.ts';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const VALUE_OF = new Int8Array(128).fill(-1);
for (let i = 0; i < 32; i += 1) VALUE_OF[ALPHABET.charCodeAt(i)] = i;

export const PARTITIONS_MAX = 1024;
export const SCOPE_MAX = 31;

/** Scope 0 is the global space; every other scope is the code of a region. */
export interface Place {
  readonly scope: number;
  readonly partition: number;
}

export interface ParsedId extends Place {
  readonly type: string;
}

function encode128(bytes: Uint8Array): string {
  // 26 characters hold 130 bits: two zero bits stand in front, so that text order equals byte order.
  let out = '';
  let buffer = 0;
  let bits = 2;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += ALPHABET[(buffer >>> bits) & 31];
    }
    buffer &= (1 << bits) - 1;
  }
  return out;
}

function placeText(place: Place): string {
  return `${ALPHABET[place.scope]}${ALPHABET[place.partition >>> 5]}${ALPHABET[place.partition & 31]}`;
}

/**
 * A new id with a UUIDv7 inside.
 * @param nowMs wall clock, milliseconds since 1970
 * @param random at least 10 random bytes
 */
export function newId(type: string, place: Place, nowMs: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  let ms = nowMs;
  for (let i = 5; i >= 0; i -= 1) {
    bytes[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f);
  return `${type}_${placeText(place)}_${encode128(bytes)}`;
}

/** The id that belongs to a natural key. @param digest at least 16 bytes of a cryptographic hash of the key */
export function naturalId(type: string, place: Place, digest: Uint8Array): string {
  return `${type}_${placeText(place)}_${encode128(digest.subarray(0, 16))}`;
}

export const ID_PATTERN = '^([a-z]{3})_([0-9a-hjkmnp-tv-z]{3})_[0-7][0-9a-hjkmnp-tv-z]{25}$';
const ID_CHARS = 34;
const UNIQUE_AT = 8;

/** @throws CardumeError `not-found` when the text is not an id (of that type) */
export function parseId(id: string, type?: string): ParsedId {
  if (!isId(id) || (type !== undefined && !id.startsWith(type))) {
    throw new CardumeError(
      'not-found',
      `'${id.slice(0, 80)}' is not an id${type ? ` of type '${type}'` : ''}`,
    );
  }
  return { type: id.slice(0, 3), scope: digit(id, 4), partition: digit(id, 5) * 32 + digit(id, 6) };
}

/** Every message names an id or two: a loop over table look-ups, a fifth of what a regular expression costs. */
function isId(id: string): boolean {
  if (id.length !== ID_CHARS || id[3] !== '_' || id[7] !== '_') return false;
  for (let i = 0; i < 3; i += 1) {
    const code = id.charCodeAt(i);
    if (code < 97 || code > 122) return false;
  }
  for (let i = 4; i < ID_CHARS; i += 1) if (i !== 7 && digit(id, i) < 0) return false;
  return digit(id, UNIQUE_AT) < 8;
}

/** -1 for what is no digit. */
function digit(id: string, at: number): number {
  const code = id.charCodeAt(at);
  return code < 128 ? (VALUE_OF[code] as number) : -1;
}

/** The part behind the place: what two ids of different types share when they name the same natural key. */
export function uniqueOf(id: string): string {
  return id.slice(UNIQUE_AT);
}

/** The same unique part under another type and place. */
export function siblingId(id: string, type: string, place: Place): string {
  return `${type}_${placeText(place)}_${uniqueOf(id)}`;
}
