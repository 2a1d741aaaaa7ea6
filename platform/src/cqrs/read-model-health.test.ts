import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedHost } from '../testing/simulated/host.ts';
import { type FoldReport, readModelHealth } from './read-model-health.ts';

const halt = (projection: string) => ({ projection, tables: [`${projection}-table`], reason: 'a bug' });

function health(answers: (() => FoldReport)[], pages: (() => FoldReport)[] = []) {
  const host = simulatedHost({ seed: 1 });
  const lines: string[] = [];
  let asked = 0;
  const one = readModelHealth({
    clock: host.clock,
    async catchUp() {
      asked += 1;
      return (answers.shift() as () => FoldReport)();
    },
    build: async () => (pages.shift() as () => FoldReport)(),
    report: (message) => lines.push(message),
  });
  const refuses = (table: string): boolean => {
    try {
      one.refuseHalted(table);
      return false;
    } catch {
      return true;
    }
  };
  return { host, one, lines, refuses, asked: () => asked };
}

test('read models that are behind refuse, and try again by themselves until they follow', async () => {
  const fails = (): FoldReport => {
    throw new Error('the disk is full');
  };
  const { host, one, lines, refuses, asked } = health([
    fails,
    () => ({ error: 'the disk is full' }),
    () => ({ halts: [], building: [], refolding: [] }),
  ]);
  one.told({ error: 'the disk is full' });
  await host.advance(1_100);
  assert.equal(refuses('any'), true);
  await host.advance(500);
  assert.deepEqual([refuses('any'), asked()], [false, 3]);
  await host.advance(10_000);
  assert.deepEqual([asked(), lines], [3, ['the read models could not follow']]);
  host.close();
});

test('a halted projection refuses alone, and is reported once', () => {
  const { host, one, lines, refuses } = health([]);
  one.told({ halts: [halt('a')], building: [], refolding: [] });
  one.told(null);
  one.told({ halts: [halt('a')], building: [], refolding: [] });
  assert.deepEqual([refuses('a-table'), refuses('b-table'), lines.length], [true, false, 1]);
  one.told({ halts: [], building: [], refolding: [] });
  assert.equal(refuses('a-table'), false);
  host.close();
});

test('what is being built refuses alone, says how far it is, and is built page by page until it is done', async () => {
  const far = (entriesFolded: number): FoldReport => ({
    halts: [],
    building: [{ projection: 'a', tables: ['a-table'], entriesFolded, entriesLeft: 300 - entriesFolded }],
    refolding: [],
  });
  const fails = (): FoldReport => {
    throw new Error('the disk is full');
  };
  const pages = [
    () => far(100),
    fails,
    () => far(200),
    (): FoldReport => ({ halts: [], building: [], refolding: [] }),
  ];
  const { host, one, lines, refuses } = health([], pages);
  one.told(far(0));
  assert.deepEqual([refuses('a-table'), refuses('b-table')], [true, false]);
  await host.advance(100);
  assert.throws(() => one.refuseHalted('a-table'), /'a' is being built: 33 %/);
  await host.advance(5_000);
  assert.equal(refuses('a-table'), false);
  assert.deepEqual([pages.length, one.building()], [0, []]);
  assert.deepEqual(lines, [
    'a read model is being built',
    'a read model could not be built further',
    'a read model is built',
  ]);
  host.close();
});

test('nothing is tried after the end', async () => {
  const { host, one, asked } = health([]);
  one.told({ error: 'gone' });
  one.close();
  one.told({ error: 'gone' });
  await host.advance(5_000);
  assert.equal(asked(), 0);
  host.close();
});
