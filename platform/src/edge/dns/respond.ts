/** From a message to its answer, in one step and without a socket. */
import type { HealthTable } from '../health.ts';
import { TCP_BYTES_MAX, UDP_BYTES_MIN, udpBytesMax, writeAnswer, writeTruncated } from './answer.ts';
import { HEADER_BYTES, rcodes, readQuery } from './query.ts';
import { answerTo, type Client, nothing, type Zone } from './zone.ts';

export interface Asking extends Client {
  readonly transport: 'udp' | 'tcp';
  /** The client asks too much: it is told to come again over TCP, where nobody can pretend to be it. */
  readonly isLimited: boolean;
}

/** @returns null: no answer. Never throws, whatever the message. */
export function respond(
  zone: Zone,
  message: Uint8Array,
  table: HealthTable,
  asking: Asking,
): Uint8Array | null {
  const received = readQuery(message);
  if (received.kind === 'ignored') return null;
  const asked = received.kind === 'query' ? received.query : received.asked;
  const answer =
    received.kind === 'query' ? answerTo(zone, received.query, table, asking) : nothing(received.rcode);
  if (asking.isLimited) return writeTruncated(asked, answer);
  return writeAnswer(asked, answer, asking.transport === 'udp' ? udpBytesMax(asked) : TCP_BYTES_MAX);
}

/** What is said to a message whose answer failed; null when there is nobody to say it to. */
export function serverFailure(message: Uint8Array): Uint8Array | null {
  if (message.length < HEADER_BYTES) return null;
  const id = Buffer.from(message).readUInt16BE(0);
  const asked = { id, opcode: 0, recursionDesired: false, question: null, edns: null };
  return writeAnswer(asked, nothing(rcodes.serverFailure), UDP_BYTES_MIN);
}
