import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomStream } from './stream.ts';

const draws = (seed: number, name: string): readonly number[] => {
  const stream = randomStream(seed, name);
  return Array.from({ length: 20 }, () => stream.uint32());
};

test('a stream is a function of its seed and its name', () => {
  assert.deepEqual(draws(7, 'disk'), draws(7, 'disk'));
  const firsts = new Set<number>();
  for (let seed = 0; seed < 100; seed += 1) {
    for (const name of ['disk', 'network', 'kernel']) for (const draw of draws(seed, name)) firsts.add(draw);
  }
  assert.ok(firsts.size > 5_990, `${firsts.size} of 6,000 draws are different`); // 4 collisions in a million worlds
});

test('draws are spread evenly', () => {
  const stream = randomStream(1, 'spread');
  const counts = new Array<number>(16).fill(0);
  for (let i = 0; i < 160_000; i += 1) counts[stream.below(16)] = (counts[stream.below(16)] ?? 0) + 1;
  for (const byte of stream.bytes(1_000)) assert.ok(byte >= 0 && byte <= 255);
  const bits = stream
    .bytes(10_000)
    .reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
  assert.ok(Math.abs(bits - 40_000) < 1_000, `${bits} of 80,000 bits are set`); // seven standard deviations
  for (const count of counts) assert.ok(count > 0);
});
