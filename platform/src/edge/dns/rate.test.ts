import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Network, parseAddress } from '../../base/ip.ts';
import { openRate } from './rate.ts';

const of = (text: string): Network => parseAddress(text) as Network;

test('a network has its queries a second; beyond them every second one is cut, the rest dropped', () => {
  let nowMs = 10;
  const rate = openRate({ monotonicMs: () => nowMs }, 3);
  const take = (text: string, times: number): string =>
    Array.from({ length: times }, () => rate.take(of(text))[0]).join('');
  assert.equal(take('192.0.2.1', 2), 'aa');
  assert.equal(take('192.0.2.200', 5), 'acdcd', 'its neighbour is the same network');
  assert.equal(take('192.0.3.1', 3), 'aaa', 'others are not');
  assert.equal(take('2001:db8::1', 4), 'aaac');
  assert.equal(take('2001:db8:0:ff::1', 1), 'd', 'a /56');
  nowMs += 999;
  assert.equal(take('192.0.2.1', 1), 'c');
  nowMs += 1;
  assert.equal(take('192.0.2.1', 4), 'aaac');
});

test('networks beyond those that are counted share one count', () => {
  const rate = openRate({ monotonicMs: () => 0 }, 1);
  for (let i = 0; i < 65_536; i += 1) assert.equal(rate.take(of(`10.${i >> 8}.${i & 255}.1`)), 'answer');
  assert.equal(rate.take(of('192.0.2.1')), 'answer');
  assert.equal(rate.take(of('192.0.3.1')), 'cut');
  assert.equal(rate.take(of('10.0.0.9')), 'cut', 'who is counted stays counted');
});
