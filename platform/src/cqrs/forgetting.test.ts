import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedHost } from '../testing/simulated/host.ts';
import { forgetOldAnswers } from './forgetting.ts';

const DAY_MS = 86_400_000;

test('answers older than the days are forgotten in bounded steps, and hourly from then on', async () => {
  const host = simulatedHost({ seed: 1 });
  const asked: { beforeMs: number; entriesMax: number }[] = [];
  let old = 25_000;
  const log = {
    async forgetAnswers(beforeMs: number, entriesMax: number) {
      asked.push({ beforeMs, entriesMax });
      const looked = Math.min(old, entriesMax);
      old -= looked;
      return looked;
    },
  };
  const begunMs = host.clock.nowMs();
  const end = forgetOldAnswers(host, log, 30, () => undefined);
  await host.advance(10_000);
  assert.deepEqual(
    asked.map(({ entriesMax }) => entriesMax),
    [10_000, 10_000, 10_000],
  );
  assert.equal(asked[0]?.beforeMs, begunMs + 1_000 - 30 * DAY_MS);
  await host.advance(3_600_000);
  assert.equal(asked.length, 4);
  end();
  await host.advance(10 * 3_600_000);
  assert.equal(asked.length, 4);
});
