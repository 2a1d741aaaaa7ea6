/** What opening, taking over and closing a log do. */
import assert from 'node:assert/strict';
import { isCardumeError } from '../base/errors.ts';
import type { Head } from '../events/log.ts';
import { until } from './host-case.ts';
import {
  all,
  answer,
  beside,
  event,
  events,
  fails,
  type LogCases,
  names,
  P,
  Q,
} from './log-conformance-case.ts';

const headOf = (heads: readonly Head[], partition: number): Head => {
  const head = heads.find((one) => one.partition === partition);
  assert.ok(head !== undefined);
  return head;
};

export const opening: LogCases = {
  'each opening raises the epoch, and entries carry it': async (under) => {
    for (let opening = 1; opening <= 3; opening += 1) {
      const log = await under.open();
      const before = headOf(log.heads(), P);
      assert.equal(before.epoch, opening);
      assert.equal(before.lastEpoch, opening - 1);
      const appended = await log.append(P, [event(`s${opening}`, 1)]);
      assert.equal(appended.epoch, opening);
      assert.equal(headOf(log.heads(), P).lastEpoch, opening);
      await log.close();
    }
    const log = await under.open();
    assert.deepEqual(
      (await all(log, P)).map((entry) => entry.epoch),
      [1, 2, 3],
    );
    await log.close();
  },

  'what was appended is there when the log is opened again': async (under) => {
    const first = await under.open();
    await first.append(P, events('s', 3));
    await first.append(Q, [event('t', 1)]);
    const head = headOf(first.heads(), P);
    await first.close();
    const log = await under.open();
    assert.deepEqual(names(await all(log, P)), ['s@1', 's@2', 's@3']);
    const again = headOf(log.heads(), P);
    assert.deepEqual(
      [again.position, Buffer.from(again.checksum)],
      [head.position, Buffer.from(head.checksum)],
    );
    await fails(log.append(P, [event('s', 3)]), 'conflict');
    await fails(log.append(P, [event('s', 5)]), 'conflict');
    assert.equal((await log.append(P, [event('s', 4)])).position, 4);
    await log.close();
  },

  'answers outlive the process': async (under) => {
    const first = await under.open();
    await first.append(P, [event('s', 1, { key: 'done' })]);
    await first.append(P, [answer('s', 'rejected')]);
    await first.close();
    const log = await under.open();
    assert.equal((await log.findAnswer(P, 'done'))?.position, 1);
    assert.equal((await log.findAnswer(P, 'rejected'))?.position, 2);
    for (const key of ['done', 'rejected']) await fails(log.append(P, [answer('s', key)]), 'already-exists');
    await log.close();
  },

  'a writer whose partition was opened elsewhere is fenced': async (under) => {
    const stale = await under.open();
    await stale.append(P, [event('s', 1)]);
    const log = await under.open([P]);
    await log.append(P, [event('s', 2)]);
    const results = await Promise.allSettled([
      stale.append(P, [event('stale', 1, { key: 'k' })]),
      stale.append(P, [event('stale', 2)]),
      stale.append(Q, [event('t', 1)]),
    ]);
    const told = results.map((one) => (one.status === 'fulfilled' ? 'stands' : one.reason.code));
    assert.deepEqual(told, ['fenced', 'fenced', 'stands']);
    await fails(stale.append(P, [event('stale', 1)]), 'fenced');
    assert.deepEqual(
      stale.heads().map((head) => head.partition),
      [Q],
    );
    assert.deepEqual(names(await all(log, P)), ['s@1', 's@2']);
    assert.equal(await log.findAnswer(P, 'k'), null);
    await log.append(P, [event('s', 3)]);
    await log.close();
    await stale.close();
  },

  'a writer is fenced also when the new one has not appended': async (under) => {
    const stale = await under.open();
    const log = await under.open([P]);
    await fails(stale.append(P, [event('stale', 1)]), 'fenced');
    assert.deepEqual(await all(log, P), []);
    await log.close();
    await stale.close();
  },

  'a host that was paused learns that it is fenced without writing': async (under) => {
    const stale = await under.open();
    await stale.settled(P);
    await stale.checkOpen(P);
    const log = await under.open([P]);
    await until(under.host, async () => {
      try {
        await stale.checkOpen(P);
        return false;
      } catch (error) {
        return isCardumeError(error, 'fenced');
      }
    });
    await fails(stale.settled(P), 'fenced');
    await stale.checkOpen(Q);
    await stale.append(Q, [event('t', 1)]);
    await log.checkOpen(P);
    await log.close();
    await stale.close();
  },

  'a partition that was not opened takes no appends': async (under) => {
    const log = await under.open([P]);
    await fails(log.append(Q, [event('s', 1)]), 'partition-unavailable');
    assert.deepEqual(await all(log, Q), []);
    await log.close();
  },

  'closing waits for what was appended, and refuses what comes after': async (under) => {
    const log = await under.open();
    const before = beside(log.append(P, [event('s', 1)]));
    const closed = log.close();
    const after = fails(log.append(P, [event('s', 2)]), 'draining');
    await Promise.all([before, closed, after]);
    await fails(log.append(P, [event('s', 2)]), 'draining');
    const again = await under.open();
    assert.deepEqual(names(await all(again, P)), ['s@1']);
    await again.close();
  },

  'old answers are forgotten, their entries are not': async (under) => {
    const log = await under.open();
    for (const atMs of [100, 200, 300, 400]) {
      await log.append(P, [event(`s${atMs}`, 1, { key: `k${atMs}`, atMs }), event(`s${atMs}`, 2, { atMs })]);
    }
    await log.append(Q, [answer('t', 'k100', { atMs: 100 })]);
    assert.equal(await log.forgetAnswers(300, 2), 2);
    assert.equal(await log.findAnswer(P, 'k100'), null);
    assert.ok((await log.findAnswer(P, 'k200')) !== null);
    assert.ok((await log.forgetAnswers(300, 100)) < 100);
    assert.equal(await log.findAnswer(P, 'k200'), null);
    assert.equal(await log.findAnswer(Q, 'k100'), null);
    assert.equal((await log.findAnswer(P, 'k300'))?.position, 5);
    assert.equal((await all(log, P)).length, 8);
    await log.append(P, [answer('s100', 'k100', { atMs: 500 })]);
    assert.equal(await log.forgetAnswers(300, 100), 0);
    assert.equal((await log.findAnswer(P, 'k100'))?.position, 9);
    await fails(log.append(P, [answer('s300', 'k300')]), 'already-exists');
    await log.close();
  },
};
