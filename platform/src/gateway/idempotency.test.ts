import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { canonicalJson, idempotencyKey } from './idempotency.ts';

const { crypto } = realHost();
const secret = crypto.sha256('the secret of a cluster');
const digest = (text: string): Uint8Array => crypto.hmacSha256(secret, text);
const asked = {
  principal: 'usr_1',
  operation: 'orders.place',
  params: {},
  search: {},
  body: { a: 1, b: [2, { c: 3, d: 4 }] },
};

test('the scope is principal, operation and key', () => {
  const { text } = idempotencyKey('ana@example.com', asked, digest);
  assert.match(
    text,
    /^usr_1\|orders\.place\|[\w-]{43}$/,
    'the key itself may be personal, and is not stored',
  );
  assert.equal(idempotencyKey('ana@example.com', { ...asked, body: {} }, digest).text, text);
  for (const other of [
    idempotencyKey('bea@example.com', asked, digest),
    idempotencyKey('ana@example.com', { ...asked, principal: 'usr_2' }, digest),
    idempotencyKey('ana@example.com', { ...asked, operation: 'users.register' }, digest),
  ]) {
    assert.notEqual(other.text, text);
  }
});

test('the fingerprint is of what was asked, however it was spelt', () => {
  const { fingerprint } = idempotencyKey('k-1', asked, digest);
  const sameBody = JSON.parse('{ "b": [2, {"d":4,"c":3}], "a": 1.0 }');
  assert.equal(idempotencyKey('k-2', { ...asked, body: sameBody }, digest).fingerprint, fingerprint);
  assert.match(fingerprint, /^[\w-]{43}$/);
  const unkeyed = crypto.sha256(canonicalJson({ params: {}, search: {}, body: asked.body }));
  assert.notEqual(
    fingerprint,
    Buffer.from(unkeyed).toString('base64url'),
    'guesses cannot be tried against it',
  );
  for (const other of [
    { ...asked, body: { a: 1, b: [{ c: 3, d: 4 }, 2] } },
    { ...asked, body: { a: '1', b: asked.body.b } },
    { ...asked, params: { id: 'x' } },
    { ...asked, search: { dry: true } },
  ]) {
    assert.notEqual(idempotencyKey('k-1', other, digest).fingerprint, fingerprint);
  }
});

test('a scope that is too long for the log is digested, and still tells keys apart', () => {
  const long = { ...asked, principal: 'p'.repeat(150) };
  const [one, two] = ['a', 'b'].map((end) => idempotencyKey(`${'k'.repeat(127)}${end}`, long, digest).text);
  assert.match(one as string, /^digest\|[\w-]{43}$/);
  assert.notEqual(one, two);
});

for (const bad of ['', ' ', 'a b', 'a\u00e9', 'k'.repeat(129), 'a\u0000']) {
  test(`refused: ${JSON.stringify(bad.slice(0, 10))} of ${bad.length}`, () => {
    assert.throws(
      () => idempotencyKey(bad, asked, digest),
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
