import assert from 'node:assert/strict';
import { test } from 'node:test';
import { consistencyHeader, parseConsistency } from './consistency.ts';

test('a token goes out with its service and comes back as it was', () => {
  assert.deepEqual(parseConsistency(consistencyHeader('orders', 'sg-1-7')), {
    service: 'orders',
    token: 'sg-1-7',
  });
});

for (const header of [
  '',
  'orders',
  'orders.',
  '.1-1-1',
  'Orders.1-1-1',
  'orders.1-1-1; drop',
  `orders.${'1'.repeat(40)}`,
]) {
  test(`what is no token is named: ${JSON.stringify(header)}`, () => {
    assert.throws(() => parseConsistency(header), { code: 'invalid-input' });
  });
}
