/**
 * Writes answers. Owners of records are written as pointers into the question, which also gives their letters back as
 * they were asked; nothing else repeats, so nothing else is compressed.
 */
import { bytesOfKey, type NameKey, offsetUnder } from './name.ts';
import { type Asked, CLASS_IN, HEADER_BYTES, OPTION_SUBNET, type Rcode, types } from './query.ts';

export interface DnsRecord {
  readonly owner: NameKey;
  readonly type: number;
  readonly ttlS: number;
  readonly data: Uint8Array;
}

export interface Answer {
  readonly rcode: Rcode;
  readonly authoritative: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
  /** Bits of the client's network that the answer depends on (RFC 7871, section 7.2.1). */
  readonly scopeBits: number;
}

/** Without EDNS (RFC 1035, section 4.2.1). */
export const UDP_BYTES_MIN = 512;
/** Passes every path of IPv6 in one piece: 1,280 less the headers (DNS flag day 2020). */
export const UDP_BYTES_MAX = 1_232;
export const TCP_BYTES_MAX = 65_535;

/** What an answer over UDP may be long. */
export function udpBytesMax({ edns }: Asked): number {
  if (edns === null) return UDP_BYTES_MIN;
  return Math.min(UDP_BYTES_MAX, Math.max(UDP_BYTES_MIN, edns.udpBytesMax));
}

/**
 * One that is longer than it may be is sent as its question alone, marked as cut (TC): the client asks again over TCP.
 * Additional records are left out before that: nobody misses them.
 */
export function writeAnswer(asked: Asked, answer: Answer, bytesMax: number): Uint8Array {
  const whole = written(asked, answer, false);
  if (whole.length <= bytesMax) return whole;
  const lean = written(asked, { ...answer, additional: [] }, false);
  if (lean.length <= bytesMax) return lean;
  return writeTruncated(asked, answer);
}

export function writeTruncated(asked: Asked, answer: Answer): Uint8Array {
  return written(asked, { ...answer, answers: [], authority: [], additional: [] }, true);
}

function written(asked: Asked, answer: Answer, isTruncated: boolean): Uint8Array {
  const { question, edns } = asked;
  const pieces: Uint8Array[] = [];
  const additional = answer.additional.length + (edns === null ? 0 : 1);
  const flags =
    0x8000 |
    (asked.opcode << 11) |
    (answer.authoritative ? 0x0400 : 0) |
    (isTruncated ? 0x0200 : 0) |
    (asked.recursionDesired ? 0x0100 : 0) |
    (answer.rcode & 15);
  const counts = [question === null ? 0 : 1, answer.answers.length, answer.authority.length, additional];
  pieces.push(words(asked.id, flags, ...counts));
  if (question !== null) pieces.push(question.bytes);
  for (const records of [answer.answers, answer.authority, answer.additional])
    for (const record of records) pieces.push(...writtenRecord(asked, record));
  if (edns !== null) {
    const option =
      edns.subnet === null ? new Uint8Array(0) : subnetOption(edns.subnet.bytes, answer.scopeBits);
    // The name of the root, then OPT: size, upper bits of the code and version 0, flags (RFC 6891, section 6.1.3).
    pieces.push(
      Uint8Array.of(0),
      words(types.opt, UDP_BYTES_MAX, (answer.rcode >> 4) << 8, edns.dnssecOk ? 0x8000 : 0, option.length),
      option,
    );
  }
  return Buffer.concat(pieces);
}

function writtenRecord(asked: Asked, { owner, type, ttlS, data }: DnsRecord): readonly Uint8Array[] {
  const offset = asked.question === null ? null : offsetUnder(asked.question.name, owner);
  const name = offset === null ? bytesOfKey(owner) : words(0xc000 | (HEADER_BYTES + offset));
  return [name, words(type, CLASS_IN, ttlS >>> 16, ttlS & 0xffff, data.length), data];
}

/** The client's own, with the scope in its place. */
function subnetOption(bytes: Uint8Array, scopeBits: number): Uint8Array {
  const option = Buffer.concat([words(OPTION_SUBNET, bytes.length), bytes]);
  option[7] = scopeBits;
  return option;
}

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 2);
  for (const [i, value] of values.entries()) {
    bytes[i * 2] = value >> 8;
    bytes[i * 2 + 1] = value;
  }
  return bytes;
}
