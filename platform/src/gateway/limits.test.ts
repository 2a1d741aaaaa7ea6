import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { realHost } from '../host/real.ts';
import { allowanceHeader, clientAddress, networkOf, openLimits } from './limits.ts';

function handClock() {
  const clock = { ...realHost().clock, ms: 1_000, monotonicMs: () => clock.ms };
  return clock;
}

describe('a caller', () => {
  test('may spend the whole minute at once, then gets one request back per interval', () => {
    const clock = handClock();
    const limits = openLimits(clock, 60);
    const burst = Array.from({ length: 60 }, () => limits.take('a'));
    assert.ok(burst.every((allowance) => allowance.allowed));
    assert.deepEqual(
      burst.map((allowance) => allowance.remaining),
      [...Array(60).keys()].reverse(),
    );
    assert.deepEqual(limits.take('a'), { allowed: false, remaining: 0, resetS: 60, retryAfterS: 1 });
    clock.ms += 990;
    assert.equal(limits.take('a').allowed, false);
    clock.ms += 10;
    assert.equal(limits.take('a').allowed, true);
    assert.equal(limits.take('a').allowed, false);
  });

  test('is told how long to wait, and waiting so long helps', () => {
    const clock = handClock();
    const limits = openLimits(clock, 2);
    limits.take('a');
    clock.ms += 10_000;
    limits.take('a');
    const refused = limits.take('a');
    assert.deepEqual([refused.allowed, refused.retryAfterS, refused.resetS], [false, 20, 50]);
    clock.ms += refused.retryAfterS * 1_000;
    assert.equal(limits.take('a').allowed, true);
  });

  test('has its whole quota again after the reset', () => {
    const clock = handClock();
    const limits = openLimits(clock, 7);
    let last = limits.take('a');
    while (last.allowed) last = limits.take('a');
    clock.ms += last.resetS * 1_000;
    assert.equal(limits.take('a').remaining, 6);
  });

  test('does not spend another’s', () => {
    const limits = openLimits(handClock(), 1);
    assert.equal(limits.take('a').allowed, true);
    assert.equal(limits.take('a').allowed, false);
    assert.equal(limits.take('b').allowed, true);
  });

  test('never gets more than two quotas in any minute, nor fewer than the quota', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 200 }),
        (quota, pauses) => {
          const clock = handClock();
          const limits = openLimits(clock, quota);
          const allowedAt: number[] = [];
          for (const pause of pauses) {
            clock.ms += pause;
            if (limits.take('a').allowed) allowedAt.push(clock.ms);
          }
          assert.ok(allowedAt.length >= Math.min(pauses.length, quota));
          for (const from of allowedAt) {
            const within = allowedAt.filter((at) => at >= from && at < from + 60_000).length;
            assert.ok(within <= 2 * quota, `${within} in a minute at a quota of ${quota}`);
          }
        },
      ),
    );
  });
});

test('a refused request costs nothing: hammering does not lengthen the wait', () => {
  const clock = handClock();
  const limits = openLimits(clock, 1);
  limits.take('a');
  for (let i = 0; i < 1_000; i += 1) limits.take('a');
  clock.ms += 60_000;
  assert.equal(limits.take('a').allowed, true);
});

test('the table is bounded: who was not seen for longest is forgotten', () => {
  const limits = openLimits(handClock(), 1, 2);
  for (const caller of ['a', 'b', 'c']) limits.take(caller);
  assert.equal(limits.take('c').allowed, false);
  assert.equal(limits.take('a').allowed, true);
});

test('the headers are structured fields', () => {
  const limits = openLimits(handClock(), 600);
  assert.equal(limits.policy, '"default";q=600;w=60');
  assert.equal(allowanceHeader(limits.take('a')), '"default";r=599;t=1');
});

test('a quota below one is a mistake', () => assert.throws(() => openLimits(handClock(), 0), /at least 1/));

const networks: readonly (readonly [string, string])[] = [
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::9', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
];
for (const [address, network] of networks) {
  test(`${address} stands for ${network}`, () => assert.equal(networkOf(address), network));
}

describe('behind proxies', () => {
  const trusted = new Set(['10.0.0.1', '10.0.0.2']);
  const cases: readonly (readonly [string, string | undefined, string])[] = [
    ['10.0.0.1', '192.0.2.7', '192.0.2.7'],
    ['10.0.0.1', '198.51.100.1, 192.0.2.7, 10.0.0.2', '192.0.2.7'],
    ['203.0.113.9', '192.0.2.7', '203.0.113.9'],
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['10.0.0.1', '192.0.2.7, <script>', '10.0.0.1'],
    ['10.0.0.1', '10.0.0.2', '10.0.0.1'],
    ['10.0.0.1', `${'192.0.2.1, '.repeat(1_000)}192.0.2.7`, '192.0.2.7'],
  ];
  for (const [peer, forwardedFor, client] of cases) {
    test(`${peer} says ${forwardedFor?.slice(-40)}`, () => {
      assert.equal(clientAddress(peer, forwardedFor, trusted), client);
    });
  }
});
