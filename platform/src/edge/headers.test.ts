import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwardedReply, forwardedRequest } from './headers.ts';

const bytes = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text, 'latin1'));

test('end-to-end fields pass as they are, in order, also when repeated', () => {
  const { headers } = forwardedRequest(
    ['Host', 'shop.example', 'X-A', '1', 'x-a', '2', 'Authorization', 'Bearer t'],
    '1.2.3.4',
  );
  assert.deepEqual(headers.slice(0, 8), [
    'Host',
    'shop.example',
    'X-A',
    '1',
    'x-a',
    '2',
    'Authorization',
    'Bearer t',
  ]);
});

test('hop-by-hop fields and those that Connection names stay behind', () => {
  const { headers } = forwardedRequest(
    [
      'Connection',
      'close, X-Secret',
      'Keep-Alive',
      'timeout=5',
      'TE',
      'trailers',
      'Upgrade',
      'h2c',
      'x-secret',
      '1',
      'X-B',
      '2',
    ],
    '1.2.3.4',
  );
  assert.deepEqual(headers, ['X-B', '2', 'x-forwarded-for', '1.2.3.4', 'x-forwarded-proto', 'http']);
});

test('the client cannot say where it comes from', () => {
  const { headers } = forwardedRequest(
    ['Host', 'h', 'X-Forwarded-For', '6.6.6.6', 'Forwarded', 'for=6.6.6.6', 'X-Forwarded-Host', 'evil'],
    '1.2.3.4',
  );
  assert.deepEqual(headers, [
    'Host',
    'h',
    'x-forwarded-for',
    '1.2.3.4',
    'x-forwarded-proto',
    'http',
    'x-forwarded-host',
    'h',
  ]);
});

test('what the edge has to know of a request', () => {
  const seen = forwardedRequest(
    [
      'Cardume-Region',
      'eu-west',
      'Cardume-Client-Country',
      'BR',
      'Idempotency-Key',
      'k',
      'Accept',
      'text/event-stream',
      'Content-Length',
      '12',
    ],
    '::1',
  );
  assert.deepEqual(seen.facts, { region: 'eu-west', country: 'BR' });
  assert.equal(seen.hasIdempotencyKey, true);
  assert.equal(seen.wantsEvents, true);
  assert.equal(seen.contentLength, 12);
  assert.equal(seen.isChunked, false);
  assert.ok(!seen.headers.includes('Cardume-Region'), 'the wish is for the edge alone');
  assert.ok(!seen.headers.includes('Content-Length'), 'the length is set for the body that arrives');
});

test('an idempotency key that does not reach the region does not make a request repeatable', () => {
  const seen = forwardedRequest(['Connection', 'idempotency-key', 'Idempotency-Key', 'k'], '::1');
  assert.equal(seen.hasIdempotencyKey, false);
});

test('an answer keeps its fields, loses hop-by-hop ones, and says who served', () => {
  const headers = forwardedReply(
    bytes(
      'Content-Type',
      'text/plain',
      'Connection',
      'X-Hop',
      'X-Hop',
      '1',
      'Set-Cookie',
      'a=1',
      'Set-Cookie',
      'b=2',
      'Cardume-Served-By',
      'liar',
      'X-Name',
      'Jos\u00e9',
    ),
    'us-east',
  );
  assert.deepEqual(headers, [
    'Content-Type',
    'text/plain',
    'Set-Cookie',
    'a=1',
    'Set-Cookie',
    'b=2',
    'X-Name',
    'Jos\u00e9',
    'Cardume-Served-By',
    'us-east',
  ]);
});
