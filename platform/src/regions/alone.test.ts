import { ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry } from '../events/log.ts';
import { type Simulation, simulation } from '../testing/simulated/host.ts';
import { type Alone, openAlone } from './alone.ts';
import { openWatermarks, type Watermarks } from './watermarks.ts';

const PARTITION = 33;

interface Home {
  readonly sim: Simulation;
  readonly alone: Alone;
  readonly watermarks: Watermarks;
  commit(position: number): void;
  pass(ms: number): Promise<void>;
  age(): number;
}

/** @param found entries that stand in the log when it is opened */
function home(found: number): Home {
  const sim = simulation({ seed: 1 });
  const { clock } = sim.machine('us-east');
  const watermarks = openWatermarks(clock, 5_000);
  const alone = openAlone(clock, watermarks);
  let tell: (entries: readonly Entry[]) => void = () => undefined;
  alone.add('orders', {
    heads: () => [
      { partition: PARTITION, epoch: 1, lastEpoch: 1, position: found, checksum: new Uint8Array(16) },
    ],
    onCommit(listener) {
      tell = listener;
      return () => undefined;
    },
  });
  return {
    sim,
    alone,
    watermarks,
    commit: (position) => tell([{ partition: PARTITION, position } as Entry]),
    pass: (ms) => sim.run(clock.sleep(ms), ms + 1),
    age: () => alone.ageMs('orders', PARTITION),
  };
}

test('an entry is alone from its commit until another region has it, and the oldest one counts', async () => {
  const { sim, alone, watermarks, commit, pass, age } = home(0);
  strictEqual(age(), 0);
  commit(1);
  await pass(300);
  commit(2);
  await pass(100);
  strictEqual(age(), 400);
  strictEqual(alone.oldestMs(), 400);
  watermarks.acked('eu-west', 'orders', PARTITION, 1);
  strictEqual(age(), 100);
  watermarks.acked('us-west', 'orders', PARTITION, 2);
  strictEqual(age(), 0);
  strictEqual(alone.oldestMs(), 0);
  sim.close();
});

test('what stood here when the process began, or the partition came, counts from then', async () => {
  const { sim, alone, watermarks, pass, age } = home(7);
  await pass(50);
  strictEqual(age(), 50);
  alone.left('orders', PARTITION);
  strictEqual(age(), 0);
  alone.came('orders', PARTITION, 9);
  await pass(20);
  strictEqual(age(), 20);
  watermarks.acked('us-west', 'orders', PARTITION, 8);
  strictEqual(age(), 20);
  watermarks.acked('us-west', 'orders', PARTITION, 9);
  alone.came('orders', PARTITION, 9); // another region has all of it
  await pass(20);
  strictEqual(age(), 0);
  sim.close();
});

test('however many there are, the figure is never too small, and hardly too large', async () => {
  const { sim, watermarks, commit, pass, age } = home(0);
  const everyMs = 5;
  for (let position = 1; position <= 10_000; position += 1) {
    commit(position);
    await pass(everyMs);
  }
  for (const acked of [1, 2_345, 5_000, 9_990]) {
    watermarks.acked('us-west', 'orders', PARTITION, acked);
    const realMs = (10_000 - acked) * everyMs;
    ok(age() >= realMs, `${age()} ms of ${realMs}`);
    ok(age() - realMs <= (10_000 * everyMs) / 64, `${age()} ms of ${realMs}`);
  }
  sim.close();
});
