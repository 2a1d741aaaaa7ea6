import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedHost } from '../testing/simulated/host.ts';
import { openFarTimers } from './far-timers.ts';

test('near and far timers run when they are due, also after a jump of the clock, and cancelled ones never', async () => {
  const host = simulatedHost({ seed: 1 });
  const { clock } = host;
  const timers = openFarTimers(clock);
  const startMs = clock.nowMs();
  const ran: string[] = [];
  const set = (name: string, afterMs: number) =>
    timers.at(startMs + afterMs, () => ran.push(`${name} at ${clock.nowMs() - startMs}`));
  set('past', -5);
  set('near', 700);
  set('far', 90_500);
  set('farther', 200_000);
  const cancelled = [set('cancelled near', 900), set('cancelled far', 60_000)];
  for (const one of cancelled) one.cancel();
  await host.advance(700);
  deepStrictEqual(ran, ['past at 1', 'near at 700']);
  await host.advance(89_799);
  deepStrictEqual(ran.length, 2);
  await host.advance(1);
  deepStrictEqual(ran.at(-1), 'far at 90500');
  host.jumpClock(3_600_000);
  await host.advance(1_000);
  deepStrictEqual(ran.length, 4);
  set('after the end', 4_000_000);
  timers.close();
  await host.advance(4_000_000);
  deepStrictEqual(ran.length, 4);
  host.close();
});
