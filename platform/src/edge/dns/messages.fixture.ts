/** Queries in bytes, and answers read back: by hand, so that the server's own reading is not asked about itself. */
import type { RegionHealth } from '../health.ts';

export interface Wanted {
  readonly name?: string;
  readonly type?: number;
  readonly class?: number;
  readonly id?: number;
  readonly flags?: number;
  /** Sections' counts, where they are to be wrong. */
  readonly counts?: readonly [number, number, number, number];
  readonly edns?: {
    readonly bytes?: number;
    readonly version?: number;
    readonly options?: readonly number[];
  };
  /** Behind everything. */
  readonly tail?: readonly number[];
}

const pair = (value: number): number[] => [value >> 8, value & 0xff];

export function nameBytes(name: string): number[] {
  const labels = name === '' ? [] : name.split('.');
  return [...labels.flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')]), 0];
}

export function queryOf(wanted: Wanted): Buffer {
  const { name = 'shop.cardume.test', type = 1, id = 0x1234, flags = 0x0100, edns, tail = [] } = wanted;
  const options = edns?.options ?? [];
  const opt =
    edns === undefined
      ? []
      : [
          0,
          ...pair(41),
          ...pair(edns.bytes ?? 1232),
          0,
          edns.version ?? 0,
          0,
          0,
          ...pair(options.length),
          ...options,
        ];
  const counts = wanted.counts ?? [1, 0, 0, edns === undefined ? 0 : 1];
  return Buffer.from([
    ...pair(id),
    ...pair(flags),
    ...counts.flatMap(pair),
    ...nameBytes(name),
    ...pair(type),
    ...pair(wanted.class ?? 1),
    ...opt,
    ...tail,
  ]);
}

/** A client's network as an EDNS option. */
export function subnetOption(family: number, bits: number, bytes: readonly number[], scope = 0): number[] {
  return [...pair(8), ...pair(4 + bytes.length), ...pair(family), bits, scope, ...bytes];
}

export interface Record {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly data: Buffer;
}

export interface Reply {
  readonly id: number;
  readonly flags: number;
  readonly rcode: number;
  readonly question: string | null;
  readonly answers: readonly Record[];
  readonly authority: readonly Record[];
  readonly additional: readonly Record[];
  readonly opt: Record | null;
  /** Of the client subnet's option; null without one. */
  readonly scope: number | null;
}

/** @throws Error unless every byte is accounted for */
export function replyOf(bytes: Uint8Array | null): Reply {
  if (bytes === null) throw new Error('there is no answer');
  const message = Buffer.from(bytes);
  let at = 12;
  const name = (): string => {
    const labels: string[] = [];
    let from = at;
    let end: number | null = null;
    for (let hops = 0; ; hops += 1) {
      if (hops > 200) throw new Error('a name without end');
      const length = message.readUInt8(from);
      if (length >= 0xc0) {
        end ??= from + 2;
        const to = message.readUInt16BE(from) & 0x3fff;
        if (to >= from) throw new Error('a pointer forward');
        from = to;
        continue;
      }
      if (length === 0) break;
      labels.push(message.toString('latin1', from + 1, from + 1 + length));
      from += 1 + length;
    }
    at = end ?? from + 1;
    return labels.join('.');
  };
  const record = (): Record => {
    const owner = name();
    const length = message.readUInt16BE(at + 8);
    const data = message.subarray(at + 10, at + 10 + length);
    if (data.length !== length) throw new Error('a record is cut short');
    const found = {
      type: message.readUInt16BE(at),
      class: message.readUInt16BE(at + 2),
      ttl: message.readUInt32BE(at + 4),
    };
    at += 10 + length;
    return { name: owner, ...found, data };
  };
  const count = (section: number): number => message.readUInt16BE(4 + section * 2);
  const several = (section: number): Record[] => Array.from({ length: count(section) }, record);
  const question = count(0) === 0 ? null : name();
  if (question !== null) at += 4;
  const [answers, authority, all] = [several(1), several(2), several(3)];
  if (at !== message.length) throw new Error(`${message.length - at} bytes too many`);
  const opt = all.find(({ type }) => type === 41) ?? null;
  const option = opt !== null && opt.data.length >= 8 && opt.data.readUInt16BE(0) === 8 ? opt.data : null;
  const flags = message.readUInt16BE(2);
  return {
    id: message.readUInt16BE(0),
    flags,
    rcode: (flags & 15) | (opt === null ? 0 : (opt.ttl >>> 24) << 4),
    question,
    answers,
    authority,
    additional: all.filter(({ type }) => type !== 41),
    opt,
    scope: option === null ? null : option.readUInt8(7),
  };
}

export const health = (state: RegionHealth['state'], roundTripMs = 1): RegionHealth => ({
  state,
  contrary: 0,
  steady: 0,
  flaps: 0,
  roundTripsMs: [roundTripMs],
  roundTripMs,
  mayWrite: true,
});
