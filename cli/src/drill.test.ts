/** One short drill from outside: real processes, a kill, a report. Takes about 20 s on a quiet machine. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Outcome } from './drills/outcome.ts';
import { killAll, startCardume } from './started.fixture.ts';

const folder = await mkdtemp(join(tmpdir(), 'cardume-drill-'));
after(async () => {
  killAll();
  await rm(folder, { recursive: true, force: true });
});

test('a process is killed under traffic: nothing acknowledged is lost, and the report says what happened', async () => {
  const report = join(folder, 'reports');
  const started = startCardume([
    ...['drill', 'process-kill', 'us-west', '--seconds', '2', '--durability', 'cross-region'],
    ...['--report', report, '--data', join(folder, 'data')],
  ]);
  const { code } = await started.ended;
  const text = started.text();
  const files = (await readdir(report)).sort();
  assert.equal(files.length, 2, text);
  const page = await readFile(join(report, files[0] as string), 'utf8');
  const outcome = JSON.parse(await readFile(join(report, files[1] as string), 'utf8')) as Outcome;
  const { measures, record, passed } = outcome;

  assert.equal(code, passed ? 0 : 1, text); // a busy machine may miss a bound of time
  assert.equal(measures.writes.lost, 0, text);
  assert.equal(measures.writes.unknown, 0, text);
  assert.ok(measures.writes.acknowledged > 50, text);
  assert.equal(measures.openOrders, 0, text);
  assert.deepEqual(Object.keys(measures.firstSuccessMs), ['order', 'user', 'stock', 'claim', 'product']);
  const kinds = record.marks.map(({ kind }) => kind);
  assert.ok(kinds.indexOf('struck') >= 0 && kinds.indexOf('struck') < kinds.indexOf('ready'), text);
  assert.match(text, /the process of us-west is killed \(kill -9\)/);
  assert.match(page, /the process of us-west is killed \(kill -9\)/);
  const [run] = await readdir(join(folder, 'data'));
  const kept = await readdir(join(folder, 'data', run as string));
  assert.ok(kept.includes('us-west') && kept.includes('coordinator'), 'its data is kept where --data says');
});
