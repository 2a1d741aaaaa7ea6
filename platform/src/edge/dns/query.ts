/**
 * Reads what a client sends (RFC 1035, section 4; EDNS(0), RFC 6891; client subnet, RFC 7871). Never throws, whatever
 * the bytes: each is a query, or is refused with a code, or gets no answer at all. What is read shares the message's bytes.
 */
import { bitsOf, type IpFamily, type Network, networkOf } from '../../base/ip.ts';
import { behindName, type NameKey, readName } from './name.ts';

export const HEADER_BYTES = 12;

export const rcodes = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;
export type Rcode = (typeof rcodes)[keyof typeof rcodes];

export const types = {
  a: 1,
  ns: 2,
  soa: 6,
  hinfo: 13,
  txt: 16,
  aaaa: 28,
  opt: 41,
  ixfr: 251,
  axfr: 252,
  any: 255,
} as const;
export const CLASS_IN = 1;

export interface Question {
  /** As it came, its letters large or small: the answer says it back (draft-vixie-dnsext-dns0x20). */
  readonly bytes: Uint8Array;
  readonly name: NameKey;
  readonly type: number;
  readonly class: number;
}

export interface Edns {
  /** What the client can take over UDP. */
  readonly udpBytesMax: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  /** Null when the resolver does not tell whom it asks for. */
  readonly subnet: ClientSubnet | null;
}

export interface ClientSubnet {
  readonly network: Network;
  /** The option as it came: its answer says it back. */
  readonly bytes: Uint8Array;
}

/** What every answer repeats. */
export interface Asked {
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  readonly question: Question | null;
  /** Null also where it could not be read. */
  readonly edns: Edns | null;
}

export interface Query extends Asked {
  readonly question: Question;
}

export type Received =
  | { readonly kind: 'query'; readonly query: Query }
  | { readonly kind: 'refused'; readonly asked: Asked; readonly rcode: Rcode }
  /** Too short to be answered, or itself an answer: two servers must not talk for ever. */
  | { readonly kind: 'ignored' };

/** Records behind the question: EDNS, a signature, and some to spare. None before them: a query has no answers. */
const ADDITIONAL_MAX = 8;
const RECORD_HEAD_BYTES = 10;
export const OPTION_HEAD_BYTES = 4;
export const OPTION_SUBNET = 8;

export function readQuery(message: Uint8Array): Received {
  if (message.length < HEADER_BYTES) return { kind: 'ignored' };
  const flags = word(message, 2);
  if ((flags & 0x8000) !== 0) return { kind: 'ignored' };
  const opcode = (flags >> 11) & 15;
  const head = { id: word(message, 0), opcode, recursionDesired: (flags & 0x0100) !== 0 };
  const bare: Asked = { ...head, question: null, edns: null };
  if (opcode !== 0) return { kind: 'refused', asked: bare, rcode: rcodes.notImplemented };
  if (word(message, 4) !== 1) return { kind: 'refused', asked: bare, rcode: rcodes.formatError }; // RFC 9619

  const question = readQuestion(message);
  if (question === null) return { kind: 'refused', asked: bare, rcode: rcodes.formatError };
  const asked: Asked = { ...head, question, edns: null };
  const faulty: Received = { kind: 'refused', asked, rcode: rcodes.formatError };
  const isTransfer = question.type === types.ixfr; // its query has the SOA that the client knows (RFC 1995, section 3)
  if (word(message, 6) !== 0 || word(message, 8) > (isTransfer ? 1 : 0)) return faulty;
  const records = word(message, 8) + word(message, 10);
  if (records > ADDITIONAL_MAX) return faulty;

  let at = HEADER_BYTES + question.bytes.length;
  let edns: Edns | null = null;
  for (let i = 0; i < records; i += 1) {
    const head = behindName(message, at);
    if (head === null || head + RECORD_HEAD_BYTES > message.length) return faulty;
    const data = head + RECORD_HEAD_BYTES;
    const end = data + word(message, head + 8);
    if (end > message.length) return faulty;
    if (word(message, head) === types.opt) {
      // Once, of the root (RFC 6891, section 6.1.1).
      if (edns !== null || head - at !== 1) return faulty;
      edns = readEdns(message, head, data, end);
      if (edns === null) return faulty;
    }
    at = end;
  }
  if (at !== message.length) return faulty;
  const query: Query = { ...head, question, edns };
  if (edns !== null && edns.version !== 0) return { kind: 'refused', asked: query, rcode: rcodes.badVersion };
  return { kind: 'query', query };
}

const word = (message: Uint8Array, at: number): number =>
  ((message[at] as number) << 8) | (message[at + 1] as number);

function readQuestion(message: Uint8Array): Question | null {
  const name = readName(message, HEADER_BYTES);
  if (name === null) return null;
  const at = HEADER_BYTES + name.bytes;
  if (at + 4 > message.length) return null;
  const bytes = message.subarray(HEADER_BYTES, at + 4);
  return { bytes, name: name.key, type: word(message, at), class: word(message, at + 2) };
}

/** @returns null for options that do not fill the record, and for a client subnet that is not one */
function readEdns(message: Uint8Array, head: number, data: number, end: number): Edns | null {
  const found = {
    udpBytesMax: word(message, head + 2),
    version: message[head + 5] as number,
    dnssecOk: ((message[head + 6] as number) & 0x80) !== 0,
  };
  // What another version's options mean is not known here.
  if (found.version !== 0) return { ...found, subnet: null };
  let subnet: ClientSubnet | null = null;
  let at = data;
  while (at < end) {
    if (at + OPTION_HEAD_BYTES > end) return null;
    const next = at + OPTION_HEAD_BYTES + word(message, at + 2);
    if (next > end) return null;
    if (word(message, at) === OPTION_SUBNET) {
      const bytes = message.subarray(at + OPTION_HEAD_BYTES, next);
      const network = readSubnet(bytes);
      if (network === null || subnet !== null) return null;
      subnet = { network, bytes };
    }
    at = next;
  }
  return { ...found, subnet };
}

/**
 * RFC 7871, section 6: family, source prefix, scope prefix (0 in a query), as many bytes as the prefix needs, and none
 * of their bits behind it. Family 0 is what some clients write when they tell nothing (`dig +subnet=0`).
 */
function readSubnet(option: Uint8Array): Network | null {
  if (option.length < 4) return null;
  const written = word(option, 0);
  const bits = option[2] as number;
  if (option[3] !== 0 || option.length !== 4 + Math.ceil(bits / 8)) return null;
  if (written === 0 && bits === 0) return { family: 4, bytes: new Uint8Array(4), bits: 0 };
  if (written !== 1 && written !== 2) return null;
  const family: IpFamily = written === 1 ? 4 : 6;
  if (bits > bitsOf(family)) return null;
  const bytes = new Uint8Array(bitsOf(family) / 8);
  bytes.set(option.subarray(4));
  const address: Network = { family, bytes, bits: bitsOf(family) };
  const network = networkOf(address, bits);
  return network.bytes.every((byte, i) => byte === bytes[i]) ? network : null;
}
