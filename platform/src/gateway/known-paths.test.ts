import assert from 'node:assert/strict';
import { test } from 'node:test';
import { knownPaths } from './known-paths.ts';

test('a path is known with the methods of every pattern that fits it', () => {
  const paths = knownPaths();
  paths.add('/orders', ['POST']);
  paths.add('/orders', ['GET', 'HEAD']);
  paths.add('/orders/{id}', ['DELETE']);
  paths.add('/orders/report', ['GET']);
  paths.add('/openapi.json', ['GET']);
  assert.equal(paths.find('/orders')?.allow, 'GET, HEAD, OPTIONS, POST');
  assert.equal(paths.find('/orders/7')?.allow, 'DELETE, OPTIONS');
  assert.equal(paths.find('/orders/report')?.allow, 'DELETE, GET, OPTIONS');
  for (const unknown of ['/', '/order', '/orders/', '/orders/7/8', '/openapiXjson', '/a/orders']) {
    assert.equal(paths.find(unknown), undefined, unknown);
  }
});
