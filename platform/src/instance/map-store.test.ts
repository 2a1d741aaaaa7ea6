import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import type { ShardMap } from '../sharding/shard-map.ts';
import { simulatedHost } from '../testing/simulated/host.ts';
import { openMapStore, readMap } from './map-store.ts';

const first: ShardMap = { version: 0, shards: [], homes: {}, reshard: null };
const isFenced = (error: unknown): boolean => isCardumeError(error, 'fenced');

test('each version is written once, and whoever was replaced writes none', async () => {
  const host = simulatedHost({ seed: 1 });
  await host.run(
    (async () => {
      const old = await openMapStore(host, '/data/eu-west');
      assert.deepEqual(old.begin(first), first);
      old.save({ ...first, version: 1 });
      assert.throws(() => old.save({ ...first, version: 1 }), isFenced);
      old.check();

      const next = await openMapStore(host, '/data/eu-west');
      assert.deepEqual(next.begin(first), { ...first, version: 1 });
      // It still holds the version that stands.
      assert.throws(() => old.save({ ...first, version: 2 }), isFenced);
      assert.throws(() => old.check(), isFenced);
      next.check();
      next.save({ ...first, version: 2 });
      assert.deepEqual(next.settle(), { ...first, version: 2 });
      old.close();
      next.close();
      assert.deepEqual(readMap(host, '/data/eu-west'), { ...first, version: 2 });
    })(),
  );
  host.close();
});
