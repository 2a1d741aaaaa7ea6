import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openBeside, openReading, openStores } from '../cqrs/engines.ts';
import { openReaders } from '../cqrs/readers.ts';
import { realHost } from '../host/real.ts';
import { readModelCases } from './read-model-conformance.ts';
import { mutantReadModels, type ReadModelMutant, readModelMutants } from './read-model-mutants.ts';
import { homes } from './shard-homes.ts';
import { readModelConformance, runCase } from './testing.ts';

const host = realHost();
const engines = await homes(host);
after(engines.clear);
const readers = openReaders(host, { threadsMax: 1, deadlineMs: 10_000 });
after(readers.close);

for (const { name, skip, newHome } of engines.all) {
  readModelConformance(
    `read models on ${name}`,
    async () => {
      const { place } = await newHome();
      await host.disk.makeFolder('base' in place ? place.base.slice(0, place.base.lastIndexOf('/')) : '/tmp');
      return {
        async open(projections, source, opening = 'own') {
          const open = opening === 'own' ? openStores : openBeside;
          const { readModels, close } = await open(host, place, projections, source);
          return { readModels, close };
        },
        read: (projections) => openReading(host, place, projections, readers),
        close: async () => undefined,
      };
    },
    skip,
  );
}

async function failing(mutant: ReadModelMutant): Promise<string[]> {
  const failed: string[] = [];
  for (const [title, body] of Object.entries(readModelCases)) {
    const folder = mkdtempSync(join(tmpdir(), 'cardume-mutant-'));
    try {
      await runCase(() => mutantReadModels(host, join(folder, 'views.db'), mutant), body);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failed.push(title);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return failed;
}

describe('the conformance suite of read models', () => {
  test('passes those that nobody changed', async () => {
    assert.deepEqual(await failing({ breaks: [], sql: [] }), []);
  });
  for (const [rule, mutant] of Object.entries(readModelMutants)) {
    test(`sees when ${rule}`, async () => {
      assert.ok(mutant.breaks.length > 0);
      assert.deepEqual((await failing(mutant)).toSorted(), mutant.breaks.toSorted());
    });
  }
});
