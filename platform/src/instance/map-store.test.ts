import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import type { ShardMap } from '../sharding/shard-map.ts';
import { simulatedHost } from '../testing/simulated/host.ts';
import { openMapStore, readMap } from './map-store.ts';

const first: ShardMap = { version: 0, shards: [], homes: {}, reshard: null };
const isFenced = (error: unknown): boolean => isCardumeError(error, 'fenced');

test('a program that takes an engine of others for a server is stopped with a sentence', async () => {
  const host = simulatedHost({ seed: 2 });
  await host.run(
    (async () => {
      const store = await openMapStore(host, '/data/eu-west');
      store.begin(first);
      /** What the version before does first. */
      const before = (): void => {
        const database = host.disk.database('/data/eu-west/map.db');
        database.exec("INSERT INTO map VALUES (1, 0, '{}', 0, 0) ON CONFLICT DO NOTHING");
        database.exec('UPDATE map SET reign = reign + 1');
        database.close();
      };
      before();
      store.begin(first);
      const shards = [{ service: 'orders', name: 'orders-2', engine: 'own' }];
      store.save({ ...first, version: 1, shards });
      assert.throws(
        before,
        /shards of an engine that this program does not know: run the newer version of it/,
      );
      store.check();
      assert.equal(store.begin(first).version, 1);
      store.close();
    })(),
  );
  host.close();
});

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
