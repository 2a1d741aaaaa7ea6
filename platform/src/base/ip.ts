/**
 * Addresses and networks of the Internet Protocol, as bytes. A network is the first `bits` of an address, the rest zero:
 * `203.0.113.0/24`, `2001:db8::/32`.
 */

export type IpFamily = 4 | 6;

export interface Network {
  readonly family: IpFamily;
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  /** Length of the prefix: up to 32 or 128. An address is the network that has them all. */
  readonly bits: number;
}

export const bitsOf = (family: IpFamily): number => (family === 4 ? 32 : 128);

/** @returns the address as a network of itself alone; null for other text, also for one with a zone (`fe80::1%eth0`) */
export function parseAddress(text: string): Network | null {
  const bytes = text.includes(':') ? bytesOfIp6(text) : bytesOfIp4(text);
  return bytes === null
    ? null
    : { family: bytes.length === 4 ? 4 : 6, bytes: Uint8Array.from(bytes), bits: bytes.length * 8 };
}

/** @returns null for other text, and where bits behind the prefix are set */
export function parseNetwork(text: string): Network | null {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const address = match === null ? null : parseAddress(match[1] as string);
  const bits = Number(match?.[2]);
  if (address === null || bits > address.bits) return null;
  const network = networkOf(address, bits);
  return network.bytes.every((byte, i) => byte === address.bytes[i]) ? network : null;
}

/** The first bits of an address; the network itself when it has no more than that. */
export function networkOf(address: Network, bits: number): Network {
  if (address.bits <= bits) return address;
  const bytes = address.bytes.map((byte, i) => byte & maskOf(bits - i * 8));
  return { family: address.family, bytes, bits };
}

/** How many bits of a byte belong to a prefix that has so many bits left. */
const maskOf = (bitsLeft: number): number =>
  bitsLeft >= 8 ? 0xff : bitsLeft <= 0 ? 0 : (0xff00 >> bitsLeft) & 0xff;

/** Bits from the front that two networks share: at most as many as the shorter one has; 0 for other families. */
export function commonBits(one: Network, other: Network): number {
  if (one.family !== other.family) return 0;
  const bitsMax = Math.min(one.bits, other.bits);
  for (let i = 0; i * 8 < bitsMax; i += 1) {
    const differs = (one.bytes[i] as number) ^ (other.bytes[i] as number);
    if (differs !== 0) return Math.min(bitsMax, i * 8 + Math.clz32(differs) - 24);
  }
  return bitsMax;
}

/** An address of version 4 that came in the form of version 6 (`::ffff:192.0.2.1`, RFC 4291, section 2.5.5.2) as itself. */
export function unmapped(address: Network): Network {
  const { family, bytes, bits } = address;
  const isMapped =
    family === 6 && bits === 128 && bytes.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff));
  return isMapped ? { family: 4, bytes: bytes.slice(12), bits: 32 } : address;
}

/** Without a split: a server reads the address of every message. */
function bytesOfIp4(text: string): readonly number[] | null {
  const bytes: number[] = [];
  let byte = -1;
  for (let i = 0; i <= text.length; i += 1) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      if (byte === 0) return null; // no leading zeros: some read them as octal
      byte = byte === -1 ? digit : byte * 10 + digit;
      if (byte > 255) return null;
    } else {
      if (byte === -1 || (i < text.length && text[i] !== '.')) return null;
      bytes.push(byte);
      byte = -1;
    }
  }
  return bytes.length === 4 ? bytes : null;
}

/** RFC 4291, section 2.2: `::` stands once, for at least one group; the last two groups may be dotted. */
function bytesOfIp6(text: string): readonly number[] | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const sides = halves.map((half) => (half === '' ? [] : bytesOfGroups(half.split(':'))));
  const [front, back = []] = sides;
  if (front === undefined || front === null || back === null) return null;
  // A dotted end belongs to the end of all.
  if (halves.length === 2 && (halves[0] as string).includes('.')) return null;
  const missing = 16 - front.length - back.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null;
  return [...front, ...new Array<number>(missing).fill(0), ...back];
}

function bytesOfGroups(groups: readonly string[]): readonly number[] | null {
  const bytes: number[] = [];
  for (const [i, group] of groups.entries()) {
    if (/^[0-9A-Fa-f]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const dotted = i === groups.length - 1 ? bytesOfIp4(group) : null;
    if (dotted === null) return null;
    bytes.push(...dotted);
  }
  return bytes;
}
