/** What the clocks, the randomness and the environment of every host must do. */
import assert from 'node:assert/strict';
import { type Cases, hex } from './host-case.ts';

export const clock: Cases = {
  async 'the monotonic clock never goes back, and a sleep passes on both clocks'({ clock }) {
    let lastMs = clock.monotonicMs();
    for (let i = 0; i < 1_000; i += 1) {
      const ms = clock.monotonicMs();
      assert.ok(ms >= lastMs, `${ms} came after ${lastMs}`);
      lastMs = ms;
    }
    const wallMs = clock.nowMs();
    assert.ok(Number.isSafeInteger(wallMs) && wallMs > 1_700_000_000_000, `${wallMs} is a wall clock in ms`);
    await clock.sleep(20);
    const sleptMs = clock.monotonicMs() - lastMs;
    assert.ok(sleptMs >= 19, `slept ${sleptMs} ms`); // Node counts from the beginning of the turn: up to 1 ms early
    assert.ok(clock.nowMs() - wallMs >= 18, 'the wall clock has moved too');
  },

  async 'timers fire once, in the order of their delays, and not when cancelled'({ clock }) {
    const fired: string[] = [];
    await new Promise<void>((resolve) => {
      clock.after(40, () => {
        fired.push('40');
        resolve();
      });
      clock.after(1, () => fired.push('1'));
      clock.after(5, () => fired.push('cancelled')).cancel();
      const first = clock.after(10, () => {
        fired.push('10');
        first.cancel(); // too late, and harmless
      });
    });
    assert.deepEqual(fired, ['1', '10', '40']);
  },

  async 'a timer of more than 24.8 days does not fire at once'({ clock }) {
    const fired: number[] = [];
    const days25 = clock.after(2 ** 31 + 1_000, () => fired.push(1));
    await clock.sleep(20);
    days25.cancel();
    assert.deepEqual(fired, []);
  },

  async 'soon keeps its order, and comes after what promises do'({ clock }) {
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      clock.soon(() => seen.push('first'));
      clock.soon(() => {
        seen.push('second');
        resolve();
      });
      void Promise.resolve()
        .then(() => seen.push('promise'))
        .then(() => seen.push('promise of a promise'));
    });
    assert.deepEqual(seen, ['promise', 'promise of a promise', 'first', 'second']);
  },
};

export const random: Cases = {
  async 'bytes come in every size and differ'({ random }) {
    const seen = new Set<string>();
    for (const size of [0, 1, 10, 16, 4_095, 4_096, 4_097, 100_000]) {
      assert.equal(random.bytes(size).length, size);
    }
    for (let i = 0; i < 1_000; i += 1) seen.add(hex(random.bytes(16)));
    assert.equal(seen.size, 1_000);
  },

  async 'the bytes belong to the caller'({ random }) {
    const mine = random.bytes(32);
    const copy = mine.slice();
    for (let i = 0; i < 1_000; i += 1) random.bytes(32).fill(0);
    assert.deepEqual(mine, copy);
  },

  async 'fractions are uniform in [0, 1)'({ random }) {
    let sum = 0;
    for (let i = 0; i < 10_000; i += 1) {
      const fraction = random.fraction();
      assert.ok(fraction >= 0 && fraction < 1);
      sum += fraction;
    }
    assert.ok(Math.abs(sum / 10_000 - 0.5) < 0.03, `mean ${sum / 10_000}`); // ten standard deviations
  },
};

export const environment: Cases = {
  async 'tells where it runs'({ env }) {
    assert.equal(env.get('CARDUME_NO_SUCH_VARIABLE'), undefined);
    assert.ok(Number.isSafeInteger(env.processId) && env.processId > 0);
    assert.ok(Number.isSafeInteger(env.cores) && env.cores > 0);
    assert.ok(env.memoryBytes() > 2 ** 20, `${env.memoryBytes()} bytes of memory`);
    assert.notEqual(env.runtime, '');
  },
};
