import assert from 'node:assert/strict';
import { test } from 'node:test';
import { event, events, fails, P, Q, refusable } from '../testing/log-conformance-case.ts';
import { type SimulatedHost, simulatedHost } from '../testing/simulated/host.ts';
import { openLog, openWriterPool } from './events.ts';
import type { Log } from './log.ts';

const MODULE = new URL('./tail-fixture.ts', import.meta.url);
const BOUNDS = { batchEntriesMax: 128, queueEntriesMax: 1_000 };

/** Runs the case on a simulated machine. */
function tailed(title: string, body: (open: (init?: object) => Promise<Log>) => Promise<void>): void {
  test(title, async () => {
    const host: SimulatedHost = simulatedHost({ seed: 7 });
    const pool = openWriterPool(host, { threadsMax: 1 });
    const open = (init: object = {}): Promise<Log> =>
      openLog(host, {
        path: '/data/shard.db',
        partitions: [P, Q],
        pool,
        bounds: BOUNDS,
        tail: { module: MODULE, init: { greeting: 'hello', ...init } },
      });
    await host.run(body(open).then(() => pool.close()));
    host.close();
  });
}

tailed('a tail reports each commit before its appends resolve', async (open) => {
  const log = await open();
  const heard: unknown[] = [];
  log.onTail((report) => heard.push(report));
  log.onCommit((entries) => heard.push(entries.length));
  await Promise.all([log.append(P, events('s', 2)), log.append(Q, [event('t', 1)])]).then(() =>
    heard.push('told'),
  );
  assert.deepEqual(heard, [{ folded: 3, greeting: 'hello' }, 3, 'told']);
  await fails(log.append(P, refusable()), 'conflict');
  assert.equal(heard.length, 3, 'nothing stood, so the tail saw nothing');
  await log.close();
});

tailed('a tail that throws, or reports what cannot be cloned, loses no append', async (open) => {
  const log = await open();
  const heard: unknown[] = [];
  log.onTail((report) => heard.push(report));
  assert.equal((await log.append(P, [event('s', 1, { type: 'Throws' })])).position, 1);
  assert.equal((await log.append(P, [event('s', 2, { type: 'Uncloneable' })])).position, 2);
  assert.match((heard[0] as { error: string }).error, /the tail threw/);
  assert.match((heard[1] as { error: string }).error, /could not be cloned/);
  assert.equal((await log.readPartition(P, 0, 9)).length, 2);
  await log.close();
});

tailed('a tail sees all pages of a copy in one commit, and none that was refused', async (open) => {
  const log = await open();
  await log.append(P, events('s', 2));
  await log.append(Q, events('t', 1));
  const pages = await Promise.all(
    [P, Q].map(async (partition) => ({
      partition,
      homeEpoch: null,
      entries: await log.readPartition(partition, 0, 9),
    })),
  );
  for (const partition of [P, Q]) {
    await log.moving.release(partition);
    while ((await log.moving.drop(partition, 9)) === 9);
    await log.moving.begin(partition);
  }
  const heard: unknown[] = [];
  log.onTail((report) => heard.push(report));
  await log.moving.copy(pages);
  const refused = await log.moving.copy(pages.map((page) => ({ ...page, homeEpoch: 0 })));
  assert.deepEqual(
    refused.map((one) => 'refused' in one && one.refused.code),
    ['fenced', 'fenced'],
  );
  assert.deepEqual(heard, [{ folded: 3, greeting: 'hello' }]);
  await log.close();
});

tailed('a tail answers, and what it throws reaches who asked', async (open) => {
  const log = await open();
  await log.append(P, [event('s', 1)]);
  assert.deepEqual(await log.askTail({ what: 'seen' }), [`${P}:1:s`]);
  assert.equal(await log.askTail({ what: 'later' }), 'later');
  await assert.rejects(log.askTail({ what: 'else' }), /does not know 'else'/);
  await log.close();
});

tailed('a tail that opens reads what was committed before', async (open) => {
  const first = await open();
  await first.append(P, events('s', 3));
  await first.append(Q, [event('t', 1)]);
  await first.close();
  const log = await open();
  assert.deepEqual(await log.askTail({ what: 'seen' }), [`${P}:1:s`, `${P}:2:s`, `${P}:3:s`, `${Q}:1:t`]);
  await log.close();
});

tailed('a log whose tail does not open says why, and can be opened again', async (open) => {
  await assert.rejects(open({ failToOpen: true }), /the tail does not open/);
  const log = await open();
  assert.equal((await log.append(P, [event('s', 1)])).position, 1);
  await log.close();
});
