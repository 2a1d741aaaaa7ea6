import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import { realHost } from '../../host/real.ts';
import { answer, event, plain } from '../../testing/log-conformance-case.ts';
import { checksumOf, EMPTY_CHECKSUM } from '../checksum.ts';
import type { Entry, NewEntry } from '../log.ts';
import { nameOf, readName } from './name.ts';
import { decodePositions, encodePositions } from './positions.ts';
import { BLOCK_ENTRIES_MAX, openSegment, SEGMENT_BYTES_MAX, type Segment, segmentWriter } from './segment.ts';

const { crypto } = realHost();
const P = 33;
const WHERE = 'orders-0.archive/x.segment';

function chained(given: readonly NewEntry[], epoch = 3): Entry[] {
  let checksum: Uint8Array = EMPTY_CHECKSUM;
  return given.map((one, i) => {
    const entry = { ...one, partition: P, epoch, position: i + 1 };
    checksum = checksumOf(crypto, checksum, entry);
    return { ...entry, checksum };
  });
}

function made(entries: readonly Entry[]): { segment: Segment; bytes: Uint8Array } {
  const writer = segmentWriter({ partition: P, epoch: 3 }, { position: 0, checksum: EMPTY_CHECKSUM });
  while (writer.last < entries.length && !writer.isFull)
    writer.add(entries.slice(writer.last, writer.last + BLOCK_ENTRIES_MAX));
  return writer.finish();
}

const isLost = (error: unknown): boolean =>
  isCardumeError(error, 'storage-failed') &&
  error.message.startsWith(WHERE) &&
  error.message.includes('it should hold positions 1 to 6 of partition 33; bring it back from a backup');

const six = chained([
  event('a', 1, { data: JSON.stringify({ text: 'ünï-😀 \u0000 \ud800' }), key: 'schlüssel' }),
  answer('a', 'no'),
  event('a', 2, { meta: '{}' }),
  ...[1, 2, 3].map((version) => event('b', version)),
]);

describe('a segment', () => {
  test('gives back the entries that it was made of, block by block', () => {
    const entries = chained(Array.from({ length: 600 }, (_, i) => event(`s${i % 7}`, i + 1)));
    const { segment, bytes } = made(entries);
    assert.deepEqual([segment.first, segment.last], [1, 600]);
    const opened = openSegment(crypto, segment, bytes, WHERE);
    assert.deepEqual(opened.blocks, [1, 257, 513]);
    const back = [...opened.blocks.keys()].flatMap((block) => opened.read(block));
    assert.deepEqual(back.map(plain), entries.map(plain));
    assert.deepEqual(opened.read(1).map(plain), entries.slice(256, 512).map(plain));
    const odd = made(six);
    assert.deepEqual(openSegment(crypto, odd.segment, odd.bytes, WHERE).read(0).map(plain), six.map(plain));
  });

  test('is full at 4 MiB, in the middle of a block', () => {
    const large = 'x'.repeat(SEGMENT_BYTES_MAX / 4);
    const { segment } = made(chained([1, 2, 3, 4, 5, 6].map((i) => event('s', i, { data: `"${large}"` }))));
    assert.equal(segment.last, 4);
  });

  test('is not what it should be with any byte changed, cut off, or another one’s', () => {
    const { segment, bytes } = made(six);
    const all = (changed: Uint8Array | null): void => {
      const opened = openSegment(crypto, segment, changed, WHERE);
      for (const block of opened.blocks.keys()) opened.read(block);
    };
    all(bytes);
    for (const at of bytes.keys()) {
      const changed = new Uint8Array(bytes);
      for (const byte of [(bytes[at] as number) ^ 1, 0x00, 0x7e]) {
        if (byte === bytes[at]) continue;
        changed[at] = byte;
        assert.throws(() => all(changed), isLost, `byte ${at} is ${byte}`);
      }
    }
    for (const length of [0, 3, 40, bytes.length - 1])
      assert.throws(() => all(bytes.subarray(0, length)), isLost);
    assert.throws(() => all(null), isLost);
    assert.throws(() => all(made(chained(six, 4)).bytes), isLost);
    assert.throws(() => openSegment(crypto, { ...segment, epoch: 4 }, bytes, WHERE), isLost);
  });

  test('is made of rows without a gap', () => {
    const writer = segmentWriter({ partition: P, epoch: 3 }, { position: 0, checksum: EMPTY_CHECKSUM });
    for (const rows of [six.slice(1), []])
      assert.throws(
        () => writer.add(rows),
        (error) =>
          isCardumeError(error, 'storage-failed') && error.message.includes('has no row at position 1'),
      );
  });

  test('has a name that says what it holds and in which epoch it was made, and is used once', () => {
    const hex = Buffer.from(six[5]?.checksum ?? []).toString('hex');
    const { segment } = made(six);
    assert.equal(nameOf(segment), `33-3-1-6-${hex}.segment`);
    assert.notEqual(nameOf({ ...segment, epoch: 4 }), nameOf(segment));
    for (const ending of ['', '.1a2b.tmp', '.stray'])
      assert.deepEqual(readName(nameOf(segment) + ending), { partition: 33, epoch: 3, last: 6 });
    for (const name of ['', 'notes.txt', '33-1-6-00.segment', 'x33-3-1-6-00.segment'])
      assert.equal(readName(name), null, name);
  });
});

test('positions take a byte or two each, up to the last that there can be', () => {
  const positions = [1, 2, 129, 130, 20_000, 2 ** 31, 2 ** 31 + 5, 2 ** 38 - 1];
  const bytes = encodePositions(positions);
  assert.deepEqual(decodePositions(bytes), positions);
  assert.equal(encodePositions([1, 2, 129, 130]).length, 4);
  assert.deepEqual(decodePositions(encodePositions([])), []);
});
