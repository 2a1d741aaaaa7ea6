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

async function failing(mutant: LogMutant): Promise<string[]> {
  const failed: string[] = [];
  for (const [title, body] of Object.entries(logCases)) {
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
    assert.deepEqual(await failing({ breaks: [] }), []);
  });
  for (const [rule, mutant] of Object.entries(logMutants)) {
    test(`sees when ${rule}`, async () => {
      assert.ok(mutant.breaks.length > 0);
      assert.deepEqual((await failing(mutant)).toSorted(), mutant.breaks.toSorted());
    });
  }
});
