import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { CardumeError } from '../../base/errors.ts';
import type { ProcessCheckpoint } from '../../cqrs/storage.ts';
import {
  CHECKPOINT_EVERY_ENTRIES,
  openCheckpoints,
  packCheckpoint,
  unpackCheckpoint,
} from './checkpoints.ts';

const checkpoint = (partition: number, position: number): ProcessCheckpoint => {
  return { process: 'fulfilment', partition, revision: 1, epoch: 2, position, open: Uint8Array.of(1, 2) };
};

test('a copy has those of its home again each time it has come so far; one that is ahead is left out', async () => {
  const asked: number[] = [];
  const put: number[][] = [];
  let standing = 0;
  const checkpoints = openCheckpoints({
    async checkpointsOf(_service, partition) {
      asked.push(partition);
      if (partition === 9) throw new CardumeError('partition-unavailable', 'the home is away');
      return [checkpoint(partition, standing)];
    },
    shardOf: (_service, partition) => ({
      moving: {
        async putCheckpoints(_, saved) {
          put.push([partition, ...saved.map(({ position }) => position)]);
        },
      },
    }),
  });
  const reached = async (partition: number, position: number): Promise<void> => {
    checkpoints.reached('orders', partition, position);
    await new Promise(setImmediate);
  };
  await reached(1, CHECKPOINT_EVERY_ENTRIES - 1);
  deepStrictEqual(asked, []);
  standing = 4_000;
  await reached(1, CHECKPOINT_EVERY_ENTRIES);
  await reached(1, CHECKPOINT_EVERY_ENTRIES + 1);
  deepStrictEqual([asked, put], [[1], [[1, 4_000]]]);
  standing = 3 * CHECKPOINT_EVERY_ENTRIES;
  await reached(1, 2 * CHECKPOINT_EVERY_ENTRIES);
  deepStrictEqual([asked, put], [[1, 1], [[1, 4_000]]]);
  // A home that cannot be asked holds the others up for nothing.
  checkpoints.reached('orders', 9, CHECKPOINT_EVERY_ENTRIES);
  await reached(2, standing);
  deepStrictEqual(
    [asked.slice(2), put[1]],
    [
      [9, 2],
      [2, standing],
    ],
  );
});

test('they pass a link as they are', () => {
  deepStrictEqual(unpackCheckpoint(packCheckpoint(checkpoint(3, 7))), checkpoint(3, 7));
});
