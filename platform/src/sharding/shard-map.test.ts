import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import config from '../../../cardume.config.ts';
import { isCardumeError } from '../base/errors.ts';
import { staticPlacement } from '../topology/placement.ts';
import {
  copiesIn,
  homesIn,
  initialMap,
  type PartitionMove,
  planReshard,
  type Reshard,
  type ShardMap,
  withMove,
  withoutReshard,
  withPhase,
  withServices,
} from './shard-map.ts';

const placement = staticPlacement(config);
const engines = ['sqlite', 'mysql'];
const first = initialMap(placement, 'eu-west', Object.keys(config.services), 'sqlite');

/** As if every partition had moved, and what was left behind were deleted. */
function carriedOut(map: ShardMap): ShardMap {
  let now = map;
  for (const { partition } of map.reshard?.moves ?? []) {
    now = withMove(now, partition, 'copying');
    now = withMove(now, partition, 'moved');
  }
  return withoutReshard(withPhase(now, 'dropping'));
}

const sizes = (map: ShardMap, service: string): number[] =>
  map.shards.filter((one) => one.service === service).map(({ name }) => homesIn(map, service, name).length);

describe("a region's map of shards", () => {
  it('begins as the topology says, with each partition at home once', () => {
    assert.equal(first.version, 0);
    assert.deepEqual(sizes(first, 'orders'), [8, 8]);
    // Sixteen of the region's own, and its share of sixteen global ones: the last of three regions has five.
    assert.deepEqual(sizes(first, 'users'), [21]);
  });

  it('after any reshards: shares that differ by one a scope, no partition lost, and no name twice', () => {
    const steps = fc.array(
      fc.record({
        service: fc.constantFrom('orders', 'users', 'products'),
        to: fc.integer({ min: 1, max: 16 }),
        engine: fc.constantFrom('sqlite', 'mysql', undefined),
      }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(steps, (wishes) => {
        let map = first;
        for (const wish of wishes) {
          const before = map;
          try {
            map = planReshard(map, wish as never, 1, engines);
          } catch (error) {
            assert.ok(isCardumeError(error, 'conflict'), String(error)); // nothing to move
            continue;
          }
          const moved = new Set(map.reshard?.moves.map(({ partition }) => partition));
          assert.equal(moved.size, map.reshard?.moves.length);
          map = carriedOut(map);
          assert.equal(new Set(map.shards.map(({ name }) => name)).size, map.shards.length);
          const homes = map.homes[wish.service] as Record<string, string>;
          assert.deepEqual(Object.keys(homes), Object.keys(before.homes[wish.service] as object));
          const own = map.shards.filter(({ service }) => service === wish.service);
          assert.equal(own.length, wish.to);
          for (const scope of [0, 3]) {
            const counts = own.map(
              ({ name }) =>
                homesIn(map, wish.service, name).filter((key) => Math.floor(key / 1024) === scope).length,
            );
            assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join(' '));
          }
          // Who may stay, stays.
          for (const [partition, home] of Object.entries(homes))
            if (!moved.has(Number(partition))) assert.equal(home, before.homes[wish.service]?.[partition]);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('moves no more than it must', () => {
    const four = planReshard(first, { service: 'orders', to: 4 }, 1, engines);
    assert.equal(four.reshard?.moves.length, 8);
    const back = planReshard(carriedOut(four), { service: 'orders', to: 2 }, 1, engines);
    assert.equal(back.reshard?.moves.length, 8);
    assert.deepEqual(
      carriedOut(back).shards.filter(({ service }) => service === 'orders'),
      first.shards.filter(({ service }) => service === 'orders'),
    );
  });

  it('names shards of another engine behind those that there are', () => {
    const server = carriedOut(planReshard(first, { service: 'orders', to: 2, engine: 'mysql' }, 1, engines));
    const names = server.shards.filter(({ service }) => service === 'orders').map(({ name }) => name);
    assert.deepEqual(names, ['orders-2', 'orders-3']);
  });

  it('refuses an engine that the topology does not have', () => {
    assert.throws(
      () => planReshard(first, { service: 'orders', to: 2, engine: 'oracle' }, 1, engines),
      (error) =>
        isCardumeError(error, 'invalid-input') &&
        error.faults[0]?.path === '/engine' &&
        /expected an engine of the topology: sqlite, mysql/.test(error.faults[0].message),
    );
  });

  it('takes in services that the topology has got since, and leaves the others where they are', () => {
    const old = initialMap(placement, 'eu-west', ['orders'], 'sqlite');
    const moved = carriedOut(planReshard(old, { service: 'orders', to: 4 }, 1, engines));
    const grown = withServices(moved, first);
    assert.deepEqual(grown.homes['orders'], moved.homes['orders']);
    assert.deepEqual(sizes(grown, 'users'), [21]);
    assert.equal(grown.version, moved.version + 1);
    assert.equal(withServices(grown, first), grown);
  });

  it('says which copies a shard follows, at every step', () => {
    let map = planReshard(first, { service: 'orders', to: 1 }, 1, engines);
    const [{ partition, from, to }] = (map.reshard as Reshard).moves as [PartitionMove];
    assert.deepEqual([copiesIn(map, from), copiesIn(map, to)], [[], []]);
    map = withMove(map, partition, 'copying');
    assert.deepEqual([copiesIn(map, from), copiesIn(map, to)], [[], [partition]]);
    assert.ok(homesIn(map, 'orders', from).includes(partition));
    map = withMove(map, partition, 'moved');
    assert.deepEqual([copiesIn(map, from), copiesIn(map, to)], [[partition], []]);
    assert.ok(homesIn(map, 'orders', to).includes(partition));
  });
});
