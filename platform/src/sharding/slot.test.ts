import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { partitionOfSlot, SLOTS, slotOf } from './slot.ts';

describe('slotOf', () => {
  // CRC16/XMODEM's check value is 0x31C3 for "123456789"; the others are in the tests of Redis Cluster's clients.
  const published: readonly (readonly [key: string, slot: number])[] = [
    ['', 0],
    ['123456789', 0x31c3],
    ['a', 15_495],
    ['{a}b', 15_495],
    ['{a', 10_276],
    ['{{a}b', 10_276],
    ['b{a', 7_471],
    ['{b{a}c}d', 7_471],
    ['{foo}bar', 12_182],
    ['foo{}{bar}', 8_363],
    ['full_key', 10_135],
    ['partial.{user}', 5_474],
    ['partial.{}{user}', 12_062],
  ];
  for (const [key, slot] of published) it(`'${key}' is in ${slot}`, () => assert.equal(slotOf(key), slot));

  it('follows the examples of the specification', () => {
    assert.equal(slotOf('{user1000}.following'), slotOf('{user1000}.followers'));
    assert.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'));
    assert.equal(slotOf('foo{bar}{zap}'), slotOf('bar'));
  });

  it('counts text by its UTF-8 bytes', () => {
    // Bit by bit, as the polynomial defines it.
    let crc = 0;
    for (const byte of Buffer.from('café 😀')) {
      crc ^= byte << 8;
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
    }
    assert.equal(slotOf('café 😀'), crc % SLOTS);
  });
});

describe('partitionOfSlot', () => {
  it('cuts the slots into equal runs', () => {
    for (const partitions of [1, 2, 16, 1024]) {
      const slots = Array.from({ length: partitions }, () => 0);
      let last = 0;
      for (let slot = 0; slot < SLOTS; slot += 1) {
        const partition = partitionOfSlot(slot, partitions);
        assert.ok(partition === last || partition === last + 1);
        last = partition;
        slots[partition] = (slots[partition] as number) + 1;
      }
      assert.deepEqual(slots, Array(partitions).fill(SLOTS / partitions));
    }
  });
});
