import { deepStrictEqual, rejects, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { simulation } from '../testing/simulated/host.ts';
import { openWatermarks } from './watermarks.ts';

test('the watermark is what the furthest region has, and whoever waits for it is told in time or told so', async () => {
  const sim = simulation({ seed: 1 });
  const watermarks = openWatermarks(sim.machine('us-east').clock, 5_000);
  const risen: number[] = [];
  watermarks.onRise((_service, _partition, watermark) => risen.push(watermark));
  const four = watermarks.reached('orders', 33, 4);
  const nine = watermarks.reached('orders', 33, 9);
  nine.catch(() => undefined);
  watermarks.acked('us-west', 'orders', 33, 4);
  watermarks.acked('eu-west', 'orders', 33, 2);
  await sim.run(four, 1);
  strictEqual(watermarks.of('orders', 33), 4);
  strictEqual(watermarks.by('orders', 33, 'eu-west'), 2);
  strictEqual(watermarks.by('orders', 34, 'eu-west'), null);
  deepStrictEqual(risen, [4]);
  await rejects(sim.run(nine, 6_000), (error) => isCardumeError(error, 'unknown-outcome'));
  sim.close();
});

test('a region that has lost its disk has less; what was told before stays told', () => {
  const sim = simulation({ seed: 2 });
  const watermarks = openWatermarks(sim.machine('us-east').clock, 5_000);
  watermarks.acked('us-west', 'orders', 33, 8);
  watermarks.acked('us-west', 'orders', 33, 0);
  strictEqual(watermarks.by('orders', 33, 'us-west'), 0);
  strictEqual(watermarks.of('orders', 33), 8);
  sim.close();
});

test('only disks that count make a watermark, and where none does nothing waits', async () => {
  const sim = simulation({ seed: 4 });
  const watermarks = openWatermarks(sim.machine('eu-west').clock, 5_000, (service) =>
    service === 'orders' ? ['us-west'] : [],
  );
  watermarks.acked('us-east', 'orders', 33, 8);
  strictEqual(watermarks.by('orders', 33, 'us-east'), 8);
  strictEqual(watermarks.of('orders', 33), 0);
  const waits = watermarks.reached('orders', 33, 3);
  watermarks.acked('us-west', 'orders', 33, 3);
  await sim.run(waits, 1);
  strictEqual(watermarks.of('orders', 33), 3);
  await sim.run(watermarks.reached('users', 33, 1_000), 1);
  sim.close();
});

test('nothing is known of a home that has moved, and who waits is not told that it was done', async () => {
  const sim = simulation({ seed: 3 });
  const watermarks = openWatermarks(sim.machine('us-east').clock, 5_000);
  watermarks.acked('us-west', 'orders', 33, 8);
  const waits = watermarks.reached('orders', 33, 9);
  waits.catch(() => undefined);
  watermarks.forget('orders', 33);
  strictEqual(watermarks.of('orders', 33), 0);
  await rejects(waits, (error) => isCardumeError(error, 'unknown-outcome'));
  sim.close();
});
