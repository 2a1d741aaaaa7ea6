import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { commonBits, type Network, networkOf, parseAddress, parseNetwork, unmapped } from './ip.ts';

const address = (text: string): Network => {
  const found = parseAddress(text);
  assert.ok(found !== null, text);
  return found;
};
const network = (text: string): Network => {
  const found = parseNetwork(text);
  assert.ok(found !== null, text);
  return found;
};

test('addresses of both versions are read as bytes', () => {
  assert.deepEqual([...address('192.0.2.255').bytes], [192, 0, 2, 255]);
  assert.deepEqual([...address('::').bytes], new Array(16).fill(0));
  assert.equal(Buffer.from(address('2001:db8::1').bytes).toString('hex'), '20010db8000000000000000000000001');
  assert.equal(
    Buffer.from(address('::ffff:192.0.2.1').bytes).toString('hex'),
    '00000000000000000000ffffc0000201',
  );
});

test('what is an address is what Node takes for one', () => {
  const hexGroup = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
  const part = fc.constantFrom(
    '0',
    '1',
    '255',
    '256',
    '01',
    'ffff',
    '10000',
    '',
    ':',
    '::',
    '.',
    'g',
    '-1',
    '1.2.3.4',
  );
  const near = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.array(hexGroup, { minLength: 6, maxLength: 9 }).map((groups) => groups.join(':')),
    fc
      .tuple(fc.array(part, { maxLength: 9 }), fc.constantFrom('.', ':'))
      .map(([parts, by]) => parts.join(by)),
  );
  fc.assert(
    fc.property(near, (text) => {
      const found = parseAddress(text);
      assert.equal(found?.family ?? 0, isIP(text), text);
    }),
    { numRuns: 5_000 },
  );
});

test('a network has nothing behind its prefix', () => {
  assert.equal(network('203.0.113.0/24').bits, 24);
  assert.equal(network('0.0.0.0/0').bits, 0);
  assert.equal(network('2001:db8::/33').bits, 33);
  for (const text of [
    '203.0.113.1/24',
    '203.0.113.0/33',
    '203.0.113.0',
    '::/129',
    'x/8',
    '10.0.0.0/08',
    '128.0.0.0/0',
  ])
    assert.equal(parseNetwork(text), null, text);
});

test('networks share bits from the front, of the same version alone', () => {
  const shared = (one: string, other: string): number => commonBits(network(one), network(other));
  assert.equal(shared('10.0.0.0/8', '10.1.0.0/16'), 8);
  assert.equal(shared('10.0.0.0/16', '10.1.0.0/16'), 15);
  assert.equal(shared('0.0.0.0/1', '128.0.0.0/1'), 0);
  assert.equal(shared('10.0.0.0/8', 'a00::/8'), 0);
  assert.equal(shared('2001:db8::/48', '2001:db8:0:8000::/49'), 48);
  assert.deepEqual(networkOf(address('10.9.8.7'), 13), network('10.8.0.0/13'));
  assert.deepEqual(networkOf(network('10.0.0.0/8'), 13), network('10.0.0.0/8'));
});

test('an address of version 4 that came through a socket of version 6 is itself again', () => {
  assert.deepEqual(unmapped(address('::ffff:192.0.2.1')), address('192.0.2.1'));
  assert.deepEqual(unmapped(address('::192.0.2.1')), address('::192.0.2.1'));
});
