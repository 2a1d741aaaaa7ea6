import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realHost } from '../host/real.ts';
import { checksumOf, EMPTY_CHECKSUM } from './checksum.ts';
import { endOf, partitionOf, positionOf, spotOf } from './sqlite/spot.ts';

const { crypto } = realHost();
const entry = {
  partition: 33,
  epoch: 2,
  position: 7,
  stream: 'ord_1',
  version: 3 as number | null,
  type: 'Paid',
  data: '{"a":1}',
  meta: null as string | null,
  key: null as string | null,
  atMs: 1_700_000_000_000,
};

test('the checksum of an entry never changes: logs on disk hold it', () => {
  const hex = Buffer.from(checksumOf(crypto, EMPTY_CHECKSUM, entry)).toString('hex');
  assert.equal(hex, '8e3d8909fe6fcd6d1f0076e7254d7f3f');
});

test('entries that differ anywhere, or only in where one text ends, have different checksums', () => {
  const others = [
    entry,
    { ...entry, partition: 34 },
    { ...entry, epoch: 3 },
    { ...entry, position: 8 },
    { ...entry, version: 4 },
    { ...entry, version: null },
    { ...entry, atMs: 1 },
    { ...entry, stream: 'ord_1P', type: 'aid' },
    { ...entry, type: 'Paid{', data: '"a":1}' },
    { ...entry, data: '{"a":1', meta: '}' },
    { ...entry, data: '{"a":1', key: '}' },
    { ...entry, meta: '' },
    { ...entry, key: '' },
    { ...entry, data: '{"a":"ä"}' },
    { ...entry, data: '{"a":"a\u0308"}' },
  ];
  const sums = others.map((one) => Buffer.from(checksumOf(crypto, EMPTY_CHECKSUM, one)).toString('hex'));
  sums.push(Buffer.from(checksumOf(crypto, new Uint8Array(16).fill(1), entry)).toString('hex'));
  assert.equal(new Set(sums).size, sums.length);
});

test('a spot holds the largest partition and position', () => {
  const [partition, position] = [31 * 1024 + 1023, 2 ** 38 - 1];
  const spot = spotOf(partition, position);
  assert.ok(Number.isSafeInteger(spot));
  assert.deepEqual([partitionOf(spot), positionOf(spot)], [partition, position]);
  assert.ok(spot < endOf(partition) && endOf(partition) === spotOf(partition + 1, 0));
});
