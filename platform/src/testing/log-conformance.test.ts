import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { realHost } from '../host/real.ts';
import { logCases } from './log-conformance.ts';
import { type LogMutant, logMutants, mutantHarness } from './log-mutants.ts';
import { runCase } from './testing.ts';

/** A mutant may also hang a case. */
const CASE_MS_MAX = 3_000;
/** Of the cases that a mutant must not break, each is run with one mutant of so many; `CARDUME_MUTANTS=all`: with all. */
const UNBROKEN_SHARE = process.env['CARDUME_MUTANTS'] === 'all' ? 1 : 4;

async function failing(mutant: LogMutant, nth: number): Promise<string[]> {
  const failed: string[] = [];
  const cases = Object.entries(logCases).filter(
    ([title], i) => mutant.breaks.includes(title) || nth === 0 || (i + nth) % UNBROKEN_SHARE === 0,
  );
  for (const [title, body] of cases) {
    const folder = mkdtempSync(join(tmpdir(), 'cardume-mutant-'));
    try {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(new Error('it hangs')), CASE_MS_MAX);
      const harness = (): ReturnType<typeof mutantHarness> =>
        mutantHarness(realHost(), join(folder, 'shard.db'), mutant);
      await Promise.race([runCase(harness, body), late.promise]).finally(() => clearTimeout(timer));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failed.push(title);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return failed;
}

describe('the conformance suite of logs', () => {
  test('passes the log that nobody changed', async () => {
    assert.deepEqual(await failing({ breaks: [] }, 0), []);
  });
  Object.entries(logMutants).forEach(([rule, mutant], i) => {
    test(`sees when ${rule}`, async () => {
      assert.ok(mutant.breaks.length > 0);
      assert.deepEqual((await failing(mutant, i + 1)).toSorted(), mutant.breaks.toSorted());
    });
  });
});
