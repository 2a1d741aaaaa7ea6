/**
 * Writes answers. Owners of records are written as pointers into the question, which also gives their letters back as
 * they were asked; nothing else repeats, so nothing else is compressed.
 */
import { bytesOfKey, type NameKey, offsetUnder } from './name.ts';
import {
  type Asked,
  CLASS_IN,
  HEADER_BYTES,
  OPTION_HEAD_BYTES,
  OPTION_SUBNET,
  type Rcode,
  types,
} from './query.ts';

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

/** One that is longer than it may be is sent as its question alone, marked as cut (TC): the client asks again over TCP. */
export function writeAnswer(asked: Asked, answer: Answer, bytesMax: number): Uint8Array {
  const whole = written(asked, answer, false);
  if (whole.length <= bytesMax) return whole;
  return writeTruncated(asked, answer);
}

export function writeTruncated(asked: Asked, answer: Answer): Uint8Array {
  return written(asked, { ...answer, answers: [], authority: [], additional: [] }, true);
}

function written(asked: Asked, answer: Answer, isTruncated: boolean): Uint8Array {
  const { question, edns } = asked;
  const flags =
    0x8000 |
    (asked.opcode << 11) |
    (answer.authoritative ? 0x0400 : 0) |
    (isTruncated ? 0x0200 : 0) |
    (asked.recursionDesired ? 0x0100 : 0) |
    (answer.rcode & 15);
  const message = new Writer();
  message.words(asked.id, flags, question === null ? 0 : 1, answer.answers.length);
  message.words(answer.authority.length, answer.additional.length + (edns === null ? 0 : 1));
  if (question !== null) message.bytes(question.bytes);
  for (const record of answer.answers) writeRecord(message, asked, record);
  for (const record of answer.authority) writeRecord(message, asked, record);
  for (const record of answer.additional) writeRecord(message, asked, record);
  if (edns !== null) {
    const subnet = edns.subnet?.bytes ?? null;
    // The name of the root, then OPT: size, upper bits of the code and version 0, flags (RFC 6891, section 6.1.3).
    message.byte(0);
    message.words(types.opt, UDP_BYTES_MAX, (answer.rcode >> 4) << 8, edns.dnssecOk ? 0x8000 : 0);
    message.words(subnet === null ? 0 : OPTION_HEAD_BYTES + subnet.length);
    if (subnet !== null) {
      message.words(OPTION_SUBNET, subnet.length);
      // The client's own, with the scope in its place.
      message.bytes(subnet.subarray(0, 3));
      message.byte(answer.scopeBits);
      message.bytes(subnet.subarray(4));
    }
  }
  return message.written();
}

function writeRecord(message: Writer, asked: Asked, { owner, type, ttlS, data }: DnsRecord): void {
  const offset = asked.question === null ? null : offsetUnder(asked.question.name, owner);
  if (offset === null) message.bytes(bytesOfKey(owner));
  else message.words(0xc000 | (HEADER_BYTES + offset));
  message.words(type, CLASS_IN, ttlS >>> 16, ttlS & 0xffff, data.length);
  message.bytes(data);
}

/** Grows as it must; most answers are far shorter than where it begins. */
class Writer {
  #buffer = Buffer.allocUnsafe(UDP_BYTES_MIN);
  #at = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#at++] = value;
  }

  words(...values: readonly number[]): void {
    this.#reserve(values.length * 2);
    for (const value of values) {
      this.#buffer[this.#at++] = value >> 8;
      this.#buffer[this.#at++] = value;
    }
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    for (let i = 0; i < bytes.length; i += 1) this.#buffer[this.#at++] = bytes[i] as number;
  }

  written(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#at + count));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
