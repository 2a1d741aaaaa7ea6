import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RegionShards } from '../operators.ts';
import { proposals, regionText } from './shards.ts';

function regionWith(rates: readonly (readonly number[])[]): RegionShards {
  return {
    region: 'eu-west',
    version: 3,
    reshard: null,
    shards: rates.map((own, i) => ({
      service: 'orders',
      name: `orders-${i}`,
      engine: 'sqlite',
      partitions: 8,
      entries: 1_000 * i,
      building: i === 1 ? [{ projection: 'order-list', entries_folded: 250, entries_left: 750 }] : [],
      replicas: i === 1 ? [replica(null, null), replica(12, null), replica(0, 'it is away')] : [],
      busiest: own.map((rate, n) => ({ partition: 3 * 1024 + 8 * i + n, entries_a_minute: rate })),
    })),
  };
}

function replica(behind: number | null, trouble: string | null) {
  return { name: 'replica-1', entries_behind: behind, building: false, reads: 5, trouble };
}

describe('cardume shards', () => {
  it('shows what each shard holds and what is busy', () => {
    const text = regionText(regionWith([[1_200, 10], []]));
    assert.match(text, /^eu-west, map of shards 3\n/);
    assert.match(text, /orders-0 +sqlite +8 +0 +3\/0: 1,200, 3\/1: 10\n/);
    assert.match(text, /orders-1: the read model 'order-list' is being built, 25 % of the log\n/);
    assert.match(text, /orders-1, replica replica-1: not looked at/);
    assert.match(text, /orders-1, replica replica-1: 12 entries behind, 5 reads\n/);
    assert.match(text, /orders-1, replica replica-1: left out, since it is away\n/);
    assert.match(text, /orders-1 +sqlite +8 +1,000 +–\n/);
  });

  it('proposes a move from the busiest shard to the idlest, of what makes them more even', () => {
    assert.deepEqual(proposals(regionWith([[500, 400], [100]])), [
      'orders-0 takes 90 % of what is written to orders. To even it out:',
      '  npx cardume reshard orders --region eu-west --move 3/0=orders-1',
    ]);
    // One partition is all that is busy: moving it would only turn the tables.
    assert.deepEqual(proposals(regionWith([[900], []])), []);
    assert.deepEqual(proposals(regionWith([[100], [90]])), []);
    assert.deepEqual(proposals(regionWith([[], []])), []);
  });
});
