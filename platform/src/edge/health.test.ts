import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../host/host.ts';
import { type Outcome, observed, type RegionHealth, serving, UNKNOWN, watchHealth } from './health.ts';

const after = (outcomes: readonly Outcome[], from: RegionHealth = UNKNOWN): RegionHealth =>
  outcomes.reduce(observed, from);
const ok: Outcome = { roundTripMs: 2, mayWrite: true };

test('the first outcome decides alone', () => {
  assert.equal(after([ok]).state, 'up');
  assert.equal(after(['failed']).state, 'down');
});

test('one failure moves nothing, two in a row take the region down', () => {
  assert.equal(after([ok, 'failed']).state, 'up');
  assert.equal(after([ok, 'failed', 'failed']).state, 'down');
  assert.equal(after([ok, 'failed', ok, 'failed', ok, 'failed']).state, 'up');
});

test('one success moves nothing, two in a row bring the region back', () => {
  assert.equal(after(['failed', ok]).state, 'down');
  assert.equal(after(['failed', ok, ok]).state, 'up');
  assert.equal(after(['failed', ok, 'failed', ok, 'failed']).state, 'down');
});

test('a second turn needs two outcomes again', () => {
  const back = after([ok, 'failed', 'failed', ok, ok]);
  assert.equal(back.state, 'up');
  assert.equal(after(['failed'], back).state, 'up');
  assert.equal(after(['failed', 'failed'], back).state, 'down');
});

test('a region that goes down again soon has to show twice as many successes each time', () => {
  const many = (count: number): Outcome[] => new Array<Outcome>(count).fill(ok);
  let health = after([ok]);
  for (const wanted of [2, 4, 8, 16, 16]) {
    health = after(['failed', 'failed', ...many(wanted - 1)], health);
    assert.equal(health.state, 'down', `${wanted - 1} of ${wanted}`);
    health = after([ok], health);
    assert.equal(health.state, 'up', `${wanted}`);
  }
  const steady = after(many(60), health);
  assert.equal(
    after(['failed', 'failed', ok, ok], steady).state,
    'up',
    'half a minute later it is forgotten',
  );
});

test('where no region is up, those that answer again are asked', () => {
  const flapping = after([ok, 'failed', 'failed', ok, ok, 'failed', 'failed']);
  const [down, answers] = [after(['failed']), after([ok], flapping)];
  const states = (table: Record<string, RegionHealth>): string[] =>
    Object.values(serving(table)).map(({ state }) => state);
  assert.deepEqual(states({ a: down, b: answers }), ['down', 'up']);
  assert.deepEqual(states({ a: after([ok]), b: answers }), ['up', 'down']);
});

test('the distance is the shortest of the last 16 round trips', () => {
  const times = (...ms: number[]): Outcome[] => ms.map((roundTripMs) => ({ roundTripMs, mayWrite: true }));
  const health = after(times(3, 40, 9));
  assert.equal(health.roundTripMs, 3);
  assert.equal(after(times(...new Array<number>(15).fill(50)), health).roundTripMs, 9);
  assert.equal(after(times(...new Array<number>(16).fill(50)), health).roundTripMs, 50);
  assert.equal(after(times(...new Array<number>(16).fill(50)), health).roundTripsMs.length, 16);
});

/** Virtual time: callbacks run when the test moves the clock. */
function handClock(): Clock & { advance(ms: number): Promise<void> } {
  let nowMs = 0;
  let waiting: { atMs: number; callback: () => void }[] = [];
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
  };
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, callback) {
      const entry = { atMs: nowMs + delayMs, callback };
      waiting.push(entry);
      return { cancel: () => (waiting = waiting.filter((other) => other !== entry)) };
    },
    soon: (callback) => void Promise.resolve().then(callback),
    sleep: () => Promise.reject(new Error('not used')),
    async advance(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (;;) {
        const next = waiting.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (next === undefined) break;
        waiting = waiting.filter((other) => other !== next);
        nowMs = next.atMs;
        next.callback();
        await settle();
      }
      nowMs = endMs;
    },
  };
}

test('regions are probed at the pace, each on its own, until the watch is stopped', async () => {
  const clock = handClock();
  const probes: string[] = [];
  let ready = true;
  const turns: string[] = [];
  const health = watchHealth({
    clock,
    regions: ['a', 'b'],
    probe: async (region) => {
      probes.push(region);
      return region === 'a' || ready ? 'writes' : 'no';
    },
    onChange: (region, now, before) => {
      if (now.state !== before.state) turns.push(`${region} ${now.state}`);
    },
    intervalMs: 500,
  });
  await clock.advance(1_600);
  assert.deepEqual(probes, ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b']);
  assert.deepEqual(turns, ['a up', 'b up']);

  ready = false;
  await clock.advance(500);
  assert.equal(health.table()['b']?.state, 'up');
  await clock.advance(500);
  assert.equal(health.table()['b']?.state, 'down');
  ready = true;
  await clock.advance(1_000);
  assert.equal(health.table()['b']?.state, 'up');
  assert.deepEqual(turns, ['a up', 'b up', 'b down', 'b up']);

  health.stop();
  const before = probes.length;
  await clock.advance(5_000);
  assert.equal(probes.length, before);
});

test('requests that fail count like probes that fail', async () => {
  const clock = handClock();
  const health = watchHealth({ clock, regions: ['a'], probe: async () => 'writes' });
  await clock.advance(10);
  health.requestFailed('a');
  assert.equal(health.table()['a']?.state, 'up');
  health.requestFailed('a');
  assert.equal(health.table()['a']?.state, 'down');
  health.stop();
});

test('a slow probe is not overtaken by the next one', async () => {
  const clock = handClock();
  let open = 0;
  let openMax = 0;
  const health = watchHealth({
    clock,
    regions: ['a'],
    probe: () => {
      open += 1;
      openMax = Math.max(openMax, open);
      return new Promise((resolve) => {
        clock.after(900, () => {
          open -= 1;
          resolve('writes');
        });
      });
    },
    intervalMs: 500,
  });
  await clock.advance(10_000);
  assert.equal(openMax, 1);
  assert.equal(health.table()['a']?.roundTripMs, 900);
  health.stop();
});
