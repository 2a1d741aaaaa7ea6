import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { type HealthTable, type RegionHealth, UNKNOWN } from './health.ts';
import { regionOrder, targetOf, wishedRegion } from './routing.ts';

const region = (code: number, countries: readonly string[]) => ({
  code,
  host: '127.0.0.1',
  port: 8080 + code,
  peerPort: 9080 + code,
  countries,
});
const regions = {
  'us-east': region(1, ['US', 'BR']),
  'us-west': region(2, ['JP']),
  'eu-west': region(3, ['GB', '*']),
};

const up = (roundTripMs: number): RegionHealth => ({
  state: 'up',
  contrary: 0,
  steady: 0,
  flaps: 0,
  roundTripsMs: [roundTripMs],
  roundTripMs,
  mayWrite: true,
});
const down: RegionHealth = { ...up(1), state: 'down' };

test('a region that the client names comes before its country', () => {
  assert.equal(wishedRegion({ region: 'us-west', country: 'BR' }, regions), 'us-west');
});

test('a country finds the region that lists it, in either case, and every other the one for all others', () => {
  assert.equal(wishedRegion({ region: null, country: 'BR' }, regions), 'us-east');
  assert.equal(wishedRegion({ region: null, country: 'jp' }, regions), 'us-west');
  assert.equal(wishedRegion({ region: null, country: 'KE' }, regions), 'eu-west');
  assert.equal(wishedRegion({ region: null, country: 'not a country' }, regions), 'eu-west');
});

test('a request that says nothing wishes for nothing', () => {
  assert.equal(wishedRegion({ region: null, country: null }, regions), null);
});

test('an unknown region is refused with the known ones; so is a name of the object prototype', () => {
  for (const name of ['us-wst', 'constructor', '']) {
    assert.throws(
      () => wishedRegion({ region: name, country: null }, regions),
      (error) =>
        isCardumeError(error, 'invalid-input') &&
        error.message.includes('us-east, us-west, eu-west') &&
        error.faults[0]?.path === '/header/cardume-region',
    );
  }
});

test('the nearest healthy region comes first; unknown and down ones are left out', () => {
  const table: HealthTable = {
    'us-east': up(80),
    'us-west': up(12),
    'eu-west': down,
    'sa-east': UNKNOWN,
  };
  assert.deepEqual(regionOrder(null, table), ['us-west', 'us-east']);
});

test('a few milliseconds of difference do not change the order of the table', () => {
  assert.deepEqual(regionOrder(null, { a: up(4.9), b: up(0.2), c: up(3) }), ['a', 'b', 'c']);
});

test('the wished region goes first although it is far, and is left out when it is down', () => {
  assert.deepEqual(regionOrder('c', { a: up(1), b: up(20), c: up(300) }), ['c', 'a', 'b']);
  assert.deepEqual(regionOrder('c', { a: up(1), b: up(20), c: down }), ['a', 'b']);
});

test('no healthy region: an empty order', () => {
  assert.deepEqual(regionOrder('a', { a: down, b: down }), []);
});

test('the path goes on without the region that the query names, all else as it came', () => {
  const cases: readonly (readonly [target: string, path: string, region: string | null])[] = [
    ['/a', '/a', null],
    ['/a?x=%20&x=2', '/a?x=%20&x=2', null],
    ['/a?cardume-region=eu', '/a', 'eu'],
    ['/a?x=1&cardume-region=eu&y', '/a?x=1&y', 'eu'],
    ['/cardume-region=eu?x=1', '/cardume-region=eu?x=1', null],
    ['/a?not-cardume-region=eu', '/a?not-cardume-region=eu', null],
    ['http://shop.example/a?cardume-region=eu', '/a', 'eu'],
  ];
  for (const [target, path, region] of cases) assert.deepEqual(targetOf(target), { path, region });
  assert.throws(
    () => targetOf('*'),
    (error) => isCardumeError(error, 'invalid-input'),
  );
});
