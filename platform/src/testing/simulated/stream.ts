/**
 * Random streams: each part of a simulation draws from its own, named one, so that one more draw in one part does
 * not shift what the others see. A stream is SFC32 (Chris Doty-Humphrey, PractRand), started from the SHA-256 of
 * seed and name. Not for secrets.
 */
import { realCryptography } from '../../host/real-cryptography.ts';

export interface RandomStream {
  /** Uniform in 0 … 2^32 - 1. */
  uint32(): number;
  /** Uniform in [0, 1), 53 bits. */
  fraction(): number;
  /** Uniform whole number in 0 … limit - 1; the limit is far below 2^53. */
  below(limit: number): number;
  bytes(count: number): Uint8Array;
}

export function randomStream(seed: number, name: string): RandomStream {
  const state = new Uint32Array(realCryptography.sha256(`${seed}/${name}`).slice(0, 16).buffer);
  let [a = 0, b = 0, c = 0, counter = 0] = state;

  const uint32 = (): number => {
    const sum = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + sum) >>> 0;
    return sum;
  };
  for (let i = 0; i < 12; i += 1) uint32();
  const fraction = (): number => ((uint32() >>> 5) * 2 ** 26 + (uint32() >>> 6)) / 2 ** 53;

  return {
    uint32,
    fraction,
    below: (limit) => Math.floor(fraction() * limit),
    bytes(count) {
      const bytes = new Uint8Array(count);
      for (let i = 0, word = 0; i < count; i += 1, word >>>= 8) {
        if (i % 4 === 0) word = uint32();
        bytes[i] = word & 0xff;
      }
      return bytes;
    },
  };
}
