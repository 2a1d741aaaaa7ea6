import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import { type ErrorCode, isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { openTokens, type TokenOptions } from './tokens.ts';

const host = realHost();
const key = host.crypto.newSigningKey();
const NOW_S = 1_800_000_000;
const ana = { id: 'usr_1', role: 'customer' } as const;

function tokensAt(clock: { nowS: number }, changes: Partial<TokenOptions> = {}) {
  const options = { key, issuer: 'cardume', tokensCachedMax: 10, lifetimeS: 600, ...changes };
  return openTokens({ clock: { ...host.clock, nowMs: () => clock.nowS * 1000 } }, options);
}

function refuses(token: string, code: ErrorCode, clock = { nowS: NOW_S }): void {
  const tokens = tokensAt(clock);
  assert.throws(
    () => tokens.verify(token),
    (error) => isCardumeError(error, code),
  );
  assert.equal(tokens.cached(token), undefined);
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const EDDSA = { alg: 'EdDSA', typ: 'JWT' };
const CLAIMS = { iss: 'cardume', sub: 'usr_1', role: 'customer', iat: NOW_S, exp: NOW_S + 600 };

/** A token under our key that says whatever it wants. */
function forge(claims: object, header: object = EDDSA, pem = key.privatePem): string {
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${sign(null, Buffer.from(input), createPrivateKey(pem)).toString('base64url')}`;
}

describe('a token of ours', () => {
  test('names its principal until it expires, from the cache too', () => {
    const clock = { nowS: NOW_S };
    const tokens = tokensAt(clock);
    const { token, expiresInS } = tokens.issue(ana);
    assert.equal(expiresInS, 600);
    assert.equal(tokens.cached(token), undefined);
    assert.deepEqual(tokens.verify(token), ana);
    assert.deepEqual(tokens.cached(token), ana);
    clock.nowS += 599;
    assert.deepEqual(tokens.verify(token), ana);
    clock.nowS += 1;
    assert.equal(tokens.cached(token), undefined);
    assert.throws(
      () => tokens.verify(token),
      (error) => isCardumeError(error, 'expired-token'),
    );
  });

  test('names the ids that an account had before, where it had any', () => {
    const tokens = tokensAt({ nowS: NOW_S });
    const moved = { ...ana, former: { ids: ['usr_0', 'usr_00'], leftMs: 7 } };
    assert.deepEqual(tokens.verify(tokens.issue(moved).token), moved);
    for (const ids of ['usr_0', [7], [''], Array(17).fill('usr_0')])
      refuses(forge({ ...CLAIMS, former: { ids, leftMs: 7 } }), 'invalid-token');
    for (const former of [null, ['usr_0'], { ids: ['usr_0'], leftMs: '7' }])
      refuses(forge({ ...CLAIMS, former }), 'invalid-token');
  });

  test('is the same for the same principal and time: nothing random is in it', () => {
    const tokens = tokensAt({ nowS: NOW_S });
    assert.equal(tokens.issue(ana).token, tokens.issue(ana).token);
    assert.deepEqual(tokens.verify(forge(CLAIMS)), ana);
  });

  test('is taken by a region that trusts the key, and by no other', () => {
    const other = host.crypto.newSigningKey();
    const foreign = tokensAt({ nowS: NOW_S }, { key: other }).issue(ana).token;
    assert.deepEqual(tokensAt({ nowS: NOW_S }, { trustedPems: [other.publicPem] }).verify(foreign), ana);
    refuses(foreign, 'invalid-token');
  });

  test('does not exist for nobody', () => {
    assert.throws(() => tokensAt({ nowS: NOW_S }).issue({ id: 'anonymous', role: 'anonymous' }), /no token/);
  });

  test('is kept in a cache of bounded size', () => {
    const clock = { nowS: NOW_S };
    const tokens = tokensAt(clock, { tokensCachedMax: 2 });
    const issued = ['a', 'b', 'c'].map((id) => tokens.issue({ id, role: 'customer' }).token);
    for (const token of issued) tokens.verify(token);
    assert.deepEqual(
      issued.map((token) => tokens.cached(token)?.id),
      [undefined, 'b', 'c'],
    );
  });
});

describe('refused', () => {
  const good = forge(CLAIMS);
  const [header, claims, signature] = good.split('.') as [string, string, string];
  const hmac = (secret: string): string => {
    const input = `${part({ alg: 'HS256', typ: 'JWT' })}.${claims}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const attacks: readonly (readonly [string, string])[] = [
    ['no signature, alg none', `${part({ alg: 'none', typ: 'JWT' })}.${claims}.`],
    ['no signature under EdDSA', `${header}.${claims}.`],
    ['HS256 with our public key as the secret', hmac(key.publicPem)],
    ['other claims under the signature', `${header}.${part({ ...CLAIMS, role: 'staff' })}.${signature}`],
    ['a changed signature', `${header}.${claims}.${signature.slice(0, -4)}AAAA`],
    ['another key', forge(CLAIMS, EDDSA, host.crypto.newSigningKey().privatePem)],
    [
      'a key of its own in the header',
      forge(CLAIMS, { ...EDDSA, jwk: { kty: 'OKP' } }, host.crypto.newSigningKey().privatePem),
    ],
    ['an extension that must be understood', forge(CLAIMS, { ...EDDSA, crit: ['b64'], b64: false })],
    ['another type', forge(CLAIMS, { alg: 'EdDSA', typ: 'at+jwt' })],
    ['no type', forge(CLAIMS, { alg: 'EdDSA' })],
    ['another issuer', forge({ ...CLAIMS, iss: 'someone' })],
    ['no issuer', forge({ ...CLAIMS, iss: undefined })],
    ['no subject', forge({ ...CLAIMS, sub: undefined })],
    ['an empty subject', forge({ ...CLAIMS, sub: '' })],
    ['a subject that is a number', forge({ ...CLAIMS, sub: 7 })],
    ['a long subject', forge({ ...CLAIMS, sub: 'x'.repeat(65) })],
    ['an unknown role', forge({ ...CLAIMS, role: 'root' })],
    ['the anonymous role', forge({ ...CLAIMS, role: 'anonymous' })],
    ['no expiry', forge({ ...CLAIMS, exp: undefined })],
    ['an expiry in text', forge({ ...CLAIMS, exp: String(NOW_S + 600) })],
    ['a fraction for an expiry', forge({ ...CLAIMS, exp: NOW_S + 0.5 })],
    ['no time of issue', forge({ ...CLAIMS, iat: undefined })],
    ['issued in the future', forge({ ...CLAIMS, iat: NOW_S + 6, exp: NOW_S + 600 })],
    ['a life of more than a day', forge({ ...CLAIMS, exp: NOW_S + 86_401 })],
    ['ended before it began', forge({ ...CLAIMS, iat: NOW_S, exp: NOW_S - 1 })],
    ['not valid yet', forge({ ...CLAIMS, nbf: NOW_S + 60 })],
    ['longer than a token is', forge({ ...CLAIMS, more: 'x'.repeat(1_000) })],
    ['two parts', `${header}.${claims}`],
    ['four parts', `${good}.${signature}`],
    ['no JSON', `${header}.${Buffer.from('{').toString('base64url')}.${signature}`],
    ['claims that are a list', forge([1])],
    ['nothing', ''],
    ['not base 64', `${header}.${claims}.!${signature}`],
  ];
  for (const [what, token] of attacks) test(what, () => refuses(token, 'invalid-token'));

  test('an expired token is told apart, since signing in again helps', () => {
    refuses(forge(CLAIMS), 'expired-token', { nowS: NOW_S + 600 });
  });

  test('the reason is not told to the caller', () => {
    assert.throws(() => tokensAt({ nowS: NOW_S }).verify(forge({ ...CLAIMS, iss: 'someone' })), {
      message: 'the access token is not one of ours',
    });
  });
});
