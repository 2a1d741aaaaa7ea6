import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { canonicalJson, idempotencyKey } from './idempotency.ts';

const { crypto } = realHost();
const asked = {
  principal: 'usr_1',
  operation: 'orders.place',
  params: {},
  search: {},
  body: { a: 1, b: [2, { c: 3, d: 4 }] },
};

test('the scope is principal, operation and key', () => {
  assert.equal(idempotencyKey('k-1', asked, crypto).text, 'usr_1|orders.place|k-1');
});

test('the fingerprint is of what was asked, however it was spelt', () => {
  const { fingerprint } = idempotencyKey('k-1', asked, crypto);
  const sameBody = JSON.parse('{ "b": [2, {"d":4,"c":3}], "a": 1.0 }');
  assert.equal(idempotencyKey('k-2', { ...asked, body: sameBody }, crypto).fingerprint, fingerprint);
  assert.match(fingerprint, /^[\w-]{43}$/);
  for (const other of [
    { ...asked, body: { a: 1, b: [{ c: 3, d: 4 }, 2] } },
    { ...asked, body: { a: '1', b: asked.body.b } },
    { ...asked, params: { id: 'x' } },
    { ...asked, search: { dry: true } },
  ]) {
    assert.notEqual(idempotencyKey('k-1', other, crypto).fingerprint, fingerprint);
  }
});

test('a scope that is too long for the log is digested, and still tells keys apart', () => {
  const long = { ...asked, principal: 'p'.repeat(90) };
  const [one, two] = ['a', 'b'].map((end) => idempotencyKey(`${'k'.repeat(127)}${end}`, long, crypto).text);
  assert.match(one as string, /^digest\|[\w-]{43}$/);
  assert.notEqual(one, two);
});

for (const bad of ['', ' ', 'a b', 'a\u00e9', 'k'.repeat(129), 'a\u0000']) {
  test(`refused: ${JSON.stringify(bad.slice(0, 10))} of ${bad.length}`, () => {
    assert.throws(
      () => idempotencyKey(bad, asked, crypto),
      (error) =>
        isCardumeError(error, 'invalid-input') && error.faults[0]?.path === '/headers/idempotency-key',
    );
  });
}

test('canonical JSON sorts keys, leaves out what is undefined, and keeps values apart', () => {
  assert.equal(canonicalJson({ b: undefined, a: [null, 'x"'], A: true }), '{"A":true,"a":[null,"x\\""]}');
});

test('nesting is bounded', () => {
  const nest = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
  assert.equal(canonicalJson(nest(64)).length, 128);
  assert.throws(
    () => canonicalJson(nest(65)),
    (error) => isCardumeError(error, 'invalid-input'),
  );
  assert.throws(
    () => canonicalJson(nest(50_000)),
    (error) => isCardumeError(error, 'invalid-input'),
  );
});
