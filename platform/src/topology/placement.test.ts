import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import config from '../../../cardume.config.ts';
import { isCardumeError } from '../base/errors.ts';
import { partitionKey, placeOfKey } from './partition.ts';
import { staticPlacement } from './placement.ts';
import type { Topology } from './topology.ts';

describe('staticPlacement', () => {
  const placement = staticPlacement(config);
  const regions = Object.keys(config.regions);

  it('keeps a region`s partitions at home and sends the global ones round', () => {
    for (const [region, { code }] of Object.entries(config.regions)) {
      assert.equal(placement.homeOf({ service: 'orders', scope: code, partition: 5 }), region);
    }
    const homes = Array.from({ length: 4 }, (_, partition) =>
      placement.homeOf({ service: 'users', scope: 0, partition }),
    );
    assert.deepEqual(homes, ['us-east', 'us-west', 'eu-west', 'us-east']);
  });

  it('gives every partition exactly one home, the one that lists it', () => {
    for (const [service, { partitions, globalPartitions }] of Object.entries(config.services)) {
      const listed = regions.flatMap((region) =>
        placement.partitionsOf(service, region).map((partition) => {
          assert.equal(placement.homeOf(partition), region);
          assert.deepEqual(placeOfKey(partitionKey(partition)), {
            scope: partition.scope,
            partition: partition.partition,
          });
          return partitionKey(partition);
        }),
      );
      assert.equal(listed.length, regions.length * partitions + globalPartitions);
      assert.equal(new Set(listed).size, listed.length);
    }
    assert.deepEqual(placement.partitionsOf('nothing', 'us-east'), []);
  });

  it('fills shards with contiguous runs, whose lengths differ by at most one', () => {
    const three: Topology = {
      ...config,
      services: { things: { partitions: 16, globalPartitions: 16, shards: 3 } },
    };
    const shards = staticPlacement(three)
      .partitionsOf('things', 'us-east')
      .filter(({ scope }) => scope === 1)
      .map((partition) => staticPlacement(three).shardOf(partition));
    assert.deepEqual(shards, [
      ...Array(6).fill('things-0'),
      ...Array(5).fill('things-1'),
      ...Array(5).fill('things-2'),
    ]);
    const globals = staticPlacement(three)
      .partitionsOf('things', 'us-west')
      .filter(({ scope }) => scope === 0);
    const used = new Set(globals.map((partition) => staticPlacement(three).shardOf(partition)));
    assert.equal(used.size, 3, 'a region`s share of the global partitions spreads over all shards');
  });

  it('knows no place that the topology does not have', () => {
    for (const [service, scope, partition] of [
      ['orders', 1, 16],
      ['orders', 9, 0],
      ['orders', 0, 0],
      ['none', 1, 0],
    ] as const) {
      assert.throws(
        () => placement.homeOf({ service, scope, partition }),
        (error) => isCardumeError(error, 'not-found'),
      );
    }
  });
});
