import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import config from '../../../cardume.config.ts';
import { isCardumeError } from '../base/errors.ts';
import { partitionKey } from '../topology/partition.ts';
import { staticPlacement } from '../topology/placement.ts';
import { geography } from './geography.ts';
import { targetsOf } from './target.ts';

const regions = Object.keys(config.regions);
const placement = staticPlacement(config);

describe('geography', () => {
  const here = geography(config, 'us-west');

  it('finds the region of every country', () => {
    assert.equal(here.here, 'us-west');
    assert.equal(here.regionOfCountry('BR'), 'us-east');
    assert.equal(here.regionOfCountry('JP'), 'us-west');
    assert.equal(here.regionOfCountry('DE'), 'eu-west');
    assert.equal(here.regionOfCountry('ZA'), 'eu-west', 'for all others');
  });

  it('places a key where its slot is, in any region', () => {
    // 'full_key' is in slot 10135 of 16384: the tenth of sixteen partitions, counted from 0.
    assert.deepEqual(here.placeInRegion('orders', 'eu-west', 'full_key'), { scope: 3, partition: 9 });
    assert.deepEqual(here.placeInGlobal('users', 'full_key'), { scope: 0, partition: 9 });
    assert.throws(
      () => here.placeInRegion('orders', 'toString', 'k'),
      (error) => isCardumeError(error, 'invalid-input'),
    );
    assert.throws(() => here.placeInGlobal('orders', 'k'), /global space/);
  });

  it('knows who is home to a place', () => {
    assert.equal(here.regionOfPlace('orders', { scope: 3, partition: 15 }), 'eu-west');
    assert.equal(here.regionOfPlace('users', { scope: 0, partition: 4 }), 'us-west');
    for (const place of [
      { scope: 3, partition: 16 },
      { scope: 4, partition: 0 },
      { scope: 0, partition: 0 },
    ]) {
      assert.throws(
        () => here.regionOfPlace('orders', place),
        (error) => isCardumeError(error, 'not-found'),
      );
    }
  });
});

describe('targetsOf', () => {
  const targets = (query: object): string[] =>
    targetsOf({ service: 'orders', table: 'orders', ...query }, placement, regions);

  it('asks each region that may hold a row, once', () => {
    assert.deepEqual(targets({}), regions);
    assert.deepEqual(targets({ region: 'eu-west' }), ['eu-west']);
    const [first, last] = [
      partitionKey({ scope: 2, partition: 0 }),
      partitionKey({ scope: 2, partition: 15 }),
    ];
    assert.deepEqual(targets({ partitions: [first, first, last] }), ['us-west']);
    assert.deepEqual(targets({ partitions: [first], region: 'us-east' }), []);
    assert.throws(
      () => targets({ region: 'mars' }),
      (error) => isCardumeError(error, 'query-refused'),
    );
    assert.throws(
      () => targets({ partitions: [0] }),
      (error) => isCardumeError(error, 'not-found'),
    );
  });
});
