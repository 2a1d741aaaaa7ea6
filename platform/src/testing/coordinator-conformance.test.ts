import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { coordinatorCases } from './coordinator-conformance.ts';
import { simulatedHarness } from './coordinator-embedded.ts';
import { type CoordinatorMutant, coordinatorMutants, hostOf } from './coordinator-mutants.ts';
import { simulation } from './simulated/host.ts';
import { runCase } from './testing.ts';

/** Virtual time: a mutant that hangs a case costs next to nothing. */
async function failing(mutant: CoordinatorMutant): Promise<string[]> {
  const failed: string[] = [];
  for (const [title, body] of Object.entries(coordinatorCases)) {
    const world = simulation({ seed: 1 });
    try {
      await runCase(() => simulatedHarness(world, hostOf(mutant), mutant.seen), body);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failed.push(title);
    }
  }
  return failed;
}

describe('the conformance suite of coordinators', () => {
  test('passes the coordinator that nobody changed', async () => {
    assert.deepEqual(await failing({ breaks: [] }), []);
  });
  for (const [rule, mutant] of Object.entries(coordinatorMutants)) {
    test(`sees when ${rule}`, async () => {
      assert.ok(mutant.breaks.length > 0);
      assert.deepEqual((await failing(mutant)).toSorted(), mutant.breaks.toSorted());
    });
  }
  test('has no case that no mutant breaks', () => {
    const broken = new Set(Object.values(coordinatorMutants).flatMap(({ breaks }) => breaks));
    assert.deepEqual(
      Object.keys(coordinatorCases).filter((title) => !broken.has(title)),
      [],
    );
  });
});
