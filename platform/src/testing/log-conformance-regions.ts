/** What a log does for partitions whose homes and copies stand in different regions. */
import assert from 'node:assert/strict';
import { CardumeError } from '../base/errors.ts';
import { checksumOf } from '../events/checksum.ts';
import { EPOCHS_A_TERM, firstEpochOf, TERM_MAX, termOf } from '../events/epoch.ts';
import { openWriterPool } from '../events/events.ts';
import type { Copied, CopyPage, Entry, Head, Log } from '../events/log.ts';
import type { Decision } from '../events/quarantine.ts';
import { decodeToken, encodeToken } from '../events/token.ts';
import type { Host } from '../host/host.ts';
import {
  all,
  answer,
  beside,
  cut,
  event,
  events,
  fails,
  follow,
  type LogCases,
  type LogUnderTest,
  names,
  P,
  plain,
  Q,
  take,
} from './log-conformance-case.ts';

const epochOf = (log: Log, partition: number): number | undefined =>
  log.heads().find((head) => head.partition === partition)?.epoch;

const R = 35;
const floorOf = firstEpochOf;

export const regions: LogCases = {
  'a floor lifts the epoch of whoever opens or adopts, and never lowers it': async (under) => {
    const floor = firstEpochOf(1);
    assert.deepEqual([floor, termOf(floor), termOf(floor - 1)], [EPOCHS_A_TERM, 1, 0]);
    const floors = new Map([[P, floor]]);
    const first = await under.open([P, Q], {}, { floors });
    assert.deepEqual([epochOf(first, P), epochOf(first, Q)], [floor, 1]);
    await first.append(P, [event('s', 1)]);
    await first.close();
    const again = await under.open([P, Q], {}, { floors });
    assert.deepEqual([epochOf(again, P), epochOf(again, Q)], [floor + 1, 2]);
    const released = await again.moving.release(P);
    assert.equal((await again.moving.adopt(P, released.epoch, floor)).epoch, floor + 3);
    const { epoch } = await again.moving.release(P);
    assert.equal((await again.moving.adopt(P, epoch, firstEpochOf(2))).epoch, firstEpochOf(2));
    await again.append(P, [event('s', 2)]);
    await again.moving.release(P);
    await again.close();
    // What stands as a copy becomes a home.
    const last = await under.open([P], {}, { floors: new Map([[P, firstEpochOf(TERM_MAX)]]) });
    assert.equal(epochOf(last, P), firstEpochOf(TERM_MAX));
    const appended = await last.append(P, events('t', 1));
    assert.deepEqual(decodeToken(encodeToken(appended)), appended);
    assert.deepEqual(
      names(
        await take(follow(last, P, encodeToken({ ...appended, epoch: firstEpochOf(2), position: 2 })), 1),
      ),
      ['t@1'],
    );
    await last.close();
  },

  'a home that others have taken over is followed as a copy, whatever stands there': async (under) => {
    const stale = await under.open();
    await stale.append(P, events('s', 2));
    const p = await all(stale, P);
    const yielding = await under.open([], {}, { yielded: [P, R] });
    await fails(stale.append(P, [event('s', 3)]), 'fenced');
    await stale.append(Q, [event('t', 1)]);
    await fails(yielding.append(P, [event('s', 3)]), 'partition-unavailable');
    const [home, nothing] = [await yielding.moving.follow(P), await yielding.moving.follow(R)];
    assert.deepEqual([home.epoch, home.position, nothing.position], [2, 2, 0]);
    const next = chained(under.host, p[1] as Entry, {
      ...(p[1] as Entry),
      version: 3,
      position: 3,
      epoch: floorOf(1),
    });
    const pages = [page(P, floorOf(1), [...p, next]), page(R, floorOf(1), [])];
    assert.deepEqual((await yielding.moving.copy(pages)).map(addedOf), [1, 0]);
    await yielding.close();
    await stale.close();
    // Once more: what is a copy by now stays as it is.
    const again = await under.open([Q], {}, { yielded: [P, R], copies: [P] });
    const head = await again.moving.follow(P);
    assert.deepEqual([head.epoch, head.position], [floorOf(1), 3]);
    await again.close();
    assert.deepEqual(await under.faults(), []);
  },

  'the last entries of a copy are cut into the quarantine, and what is left is a log': async (under) => {
    const log = await under.open();
    await log.append(P, [event('s', 1, { key: 'one' }), event('s', 2), event('s', 3, { key: 'three' })]);
    await log.append(P, [answer('s', 'four', { data: '"ç"' })]);
    await log.append(Q, events('t', 2));
    const p = await all(log, P);
    await fails(log.moving.cut(log.head(P) as Head, 2, 9), 'conflict');
    await log.moving.release(P);
    const seen = await log.moving.follow(P);
    assert.deepEqual([await cut(log, P, 4, 9), await cut(log, P, 2, 1)], [0, 1]);
    // Who has not seen that cuts nothing, nor who saw another entry there.
    await fails(log.moving.cut(seen, 2, 9), 'conflict');
    const { checksum } = seen;
    await fails(log.moving.cut({ ...(await log.moving.follow(P)), checksum }, 2, 9), 'conflict');
    assert.deepEqual((await all(log, P)).map(plain), p.slice(0, 3).map(plain));
    assert.deepEqual(await under.faults(), []);
    assert.deepEqual([await cut(log, P, 2, 9), await cut(log, P, 2, 9)], [1, 0]);
    const head = await log.moving.follow(P);
    assert.deepEqual([head.epoch, head.lastEpoch, head.position], [2, 1, 2]);
    assert.deepEqual(Buffer.from(head.checksum), Buffer.from(p[1]?.checksum as Uint8Array));
    for (const key of ['three', 'four']) assert.equal(await log.findAnswer(P, key), null);
    assert.equal((await log.findAnswer(P, 'one'))?.position, 1);
    assert.deepEqual(await under.faults(), []);

    // Its home goes on without them.
    const other = chained(under.host, p[1] as Entry, {
      ...(p[2] as Entry),
      epoch: floorOf(1),
      data: '"other"',
    });
    assert.deepEqual((await log.moving.copy([page(P, floorOf(1), [other])])).map(addedOf), [1]);
    assert.equal((await log.findAnswer(P, 'three'))?.data, '"other"');
    const [first] = await log.quarantine.list(null, 1);
    const [second] = await log.quarantine.list(first?.id ?? null, 9);
    assert.deepEqual(
      [first, second].map((one) => plain(one?.entry as Entry)),
      p.slice(2).map(plain),
    );
    assert.deepEqual(
      [first, second].map((one) => one?.settled),
      [null, null],
    );
    assert.ok(Math.abs((first?.cutMs ?? 0) - under.host.clock.nowMs()) < 60_000);
    assert.deepEqual(await log.quarantine.list(second?.id ?? null, 9), []);

    const ids = [first?.id ?? ''];
    const resubmitted = { decided: 'resubmitted', by: 'Inês' } as const;
    assert.equal(await log.quarantine.settle(ids, resubmitted), 1);
    assert.equal(
      await log.quarantine.settle([...ids, second?.id ?? ''], { decided: 'discarded', by: 'x' }),
      1,
    );
    while ((await log.moving.drop(P, 2)) === 2);
    await log.close();
    const again = await under.open([Q]);
    const left = await again.quarantine.list(null, 9);
    assert.deepEqual(
      left.map(({ entry }) => plain(entry)),
      p.slice(2).map(plain),
    );
    const [{ atMs, ...decision }] = left.map(({ settled }) => settled) as [Decision & { atMs: number }];
    assert.deepEqual(decision, resubmitted);
    assert.ok(Math.abs(atMs - under.host.clock.nowMs()) < 60_000);
    assert.equal(left[1]?.settled?.decided, 'discarded');
    await again.close();
    assert.deepEqual(await under.faults(), []);
  },

  'what is cut off is an answer no more, and an older one of its key counts again': async (under) => {
    const log = await under.open([P]);
    for (const version of [1, 2, 3]) {
      await log.append(P, [event('s', version, { key: 'k' }), answer('s', `other-${version}`)]);
      await log.forgetAnswers(1_800_000_000_000, 100);
    }
    await log.append(P, [event('s', 4, { key: 'k', atMs: 1_900_000_000_000 })]);
    const entries = await all(log, P);
    const found = async (key: string): Promise<number | undefined> =>
      (await log.findAnswer(P, key))?.position;
    await log.moving.release(P);
    // Where it was the home, the days of all but the last were over.
    assert.equal(await cut(log, P, 6, 9), 1);
    assert.deepEqual([await found('k'), await found('other-3')], [undefined, undefined]);
    assert.equal(await cut(log, P, 4, 9), 2);
    await log.moving.adopt(P, (await log.moving.follow(P)).epoch);
    // What comes in the place of what was cut is forgotten in its time.
    await log.append(P, [answer('s', 'late')]);
    assert.equal(await found('late'), 5);
    await log.forgetAnswers(1_800_000_000_000, 100);
    assert.equal(await found('late'), undefined);
    await log.moving.release(P);
    while ((await log.moving.drop(P, 2)) === 2);
    await log.moving.begin(P);
    await log.moving.copy([page(P, 1, entries.slice(0, 2))]);
    await log.moving.copy([page(P, 1, entries.slice(2))]);
    assert.deepEqual([await found('k'), await found('other-2')], [7, 4]);
    assert.equal(await cut(log, P, 5, 9), 2);
    assert.deepEqual([await found('k'), await found('other-3'), await found('other-2')], [5, undefined, 4]);
    await log.moving.copy([page(P, 1, entries)]);
    assert.equal(await found('k'), 7);
    await log.moving.adopt(P, (await log.moving.follow(P)).epoch);
    await log.forgetAnswers(1_800_000_000_000, 100);
    await log.moving.release(P);
    assert.equal(await cut(log, P, 6, 9), 1);
    assert.equal(await found('k'), undefined);
    while ((await log.moving.drop(P, 2)) === 2);
    await log.moving.begin(P);
    await log.moving.copy([page(P, 1, entries)]);
    assert.equal(await cut(log, P, 2, 3), 3);
    assert.deepEqual([await found('k'), await found('other-2')], [3, 4]);
    assert.equal(await cut(log, P, 2, 3), 2);
    assert.deepEqual([await found('k'), await found('other-1'), await found('other-2')], [1, 2, undefined]);
    assert.equal((await log.quarantine.list(null, 99)).length, 5);
    const { epoch } = await log.moving.follow(P);
    await log.moving.adopt(P, epoch);
    await fails(log.append(P, [answer('s', 'k')]), 'already-exists');
    await log.append(P, [answer('s', 'other-2')]);
    await log.close();
    assert.deepEqual(await under.faults(), []);
  },

  'a home is taken from whoever has it open': async (under) => {
    const stale = await under.open();
    await stale.append(P, events('s', 2));
    const log = await under.open([], {}, {});
    const head = await log.moving.unseat(P);
    assert.deepEqual([head.epoch, head.position], [2, 2]);
    await fails(stale.append(P, [event('s', 3)]), 'fenced');
    await stale.append(Q, [event('t', 1)]);
    await fails(log.moving.unseat(P), 'conflict');
    await fails(log.append(P, [event('s', 3)]), 'partition-unavailable');
    assert.equal((await log.moving.adopt(P, head.epoch)).epoch, 3);
    const last = log.append(P, [event('s', 3)]);
    // Also from oneself: what was appended before is told.
    const again = await log.moving.unseat(P);
    assert.equal((await last).position, 3);
    assert.deepEqual([again.epoch, again.position], [4, 3]);
    await fails(log.append(P, [event('s', 4)]), 'partition-unavailable');
    assert.equal((await log.moving.adopt(P, again.epoch)).epoch, 5);
    await log.append(P, [event('s', 4)]);
    assert.deepEqual(names(await all(log, P)), ['s@1', 's@2', 's@3', 's@4']);
    await log.close();
    await stale.close();
    assert.deepEqual(await under.faults(), []);
  },

  'without a lease nothing is appended or adopted, and all else goes on': async (under) => {
    const { host } = under;
    const pool = openWriterPool(host, { threadsMax: 2, leased: true });
    const soonMs = (): number => host.clock.monotonicMs() + 60_000;
    const log = await under.open([P, Q], {}, { pool });
    await fails(log.append(P, events('s', 1)), 'partition-unavailable');
    pool.lease(soonMs());
    await log.append(P, events('s', 2));
    const p = await all(log, P);
    pool.lease(host.clock.monotonicMs());
    const both = [beside(log.append(P, [event('s', 3)])), beside(log.append(Q, events('t', 1)))];
    for (const one of both) await fails(one, 'partition-unavailable');
    const { epoch } = await log.moving.release(P);
    const next = chained(host, p[1] as Entry, { ...(p[1] as Entry), version: 3, position: 3, epoch });
    assert.deepEqual((await log.moving.copy([page(P, epoch, [next])])).map(addedOf), [1]);
    await fails(log.moving.adopt(P, epoch), 'partition-unavailable');
    await fails(log.moving.unseat(Q), 'partition-unavailable');
    assert.deepEqual([(await all(log, P)).length, await all(log, Q)], [3, []]);
    // On a thread that begins later.
    pool.lease(soonMs());
    assert.equal((await log.moving.adopt(P, epoch)).position, 3);
    const later = await under.open([Q], {}, { pool });
    await later.append(Q, events('t', 1));
    await log.append(P, [event('s', 4)]);
    await later.close();
    await log.close();
    await pool.close();
    assert.deepEqual(await under.faults(), []);
  },

  'what is not to be served any more is not told as done': async (under) => {
    let over = false;
    const mayServe = (): void => {
      if (over) throw new CardumeError('partition-unavailable', 'the lease is over');
    };
    const log = await under.open([P], {}, { mayServe });
    await log.append(P, events('s', 1));
    await log.settled(P);
    await log.checkOpen(P);
    const failed: number[] = [];
    log.onFailed((partition) => void failed.push(partition));
    const told = beside(log.append(P, [event('s', 2)]));
    const settled = beside(log.settled(P));
    over = true;
    await fails(told, 'unknown-outcome');
    await assert.rejects(settled);
    assert.deepEqual(failed, [P]);
    await fails((async () => log.checkOpen(P))(), 'partition-unavailable');
    await fails(log.settled(P), 'partition-unavailable');
    over = false;
    assert.deepEqual(names(await all(log, P)), ['s@1', 's@2']);
    await log.append(P, [event('s', 3)]);
    await log.checkOpen(P);
    await log.close();
  },

  'pages of several partitions are copied at once, and one that is refused hinders no other': async (
    under,
  ) => {
    const { log, p, q } = await bothTaken(under);
    const [told, gap] = await log.moving.copy([page(P, null, p.slice(0, 2)), page(Q, null, q.slice(1))]);
    assert.deepEqual([addedOf(told), refusedOf(gap)], [2, 'conflict']);
    assert.deepEqual([(await all(log, P)).length, (await all(log, Q)).length], [2, 0]);
    // One that the storage itself refuses, in the middle.
    const twice = chained(under.host, p[1] as Entry, { ...(p[0] as Entry), position: 3 });
    const [fine, second] = await log.moving.copy([page(Q, null, q), page(P, null, [twice])]);
    assert.deepEqual([addedOf(fine), refusedOf(second)], [q.length, 'conflict']);
    assert.deepEqual(await all(log, Q), q);
    await log.moving.adopt(Q, (await log.moving.follow(Q)).epoch);
    const [home, copy] = await log.moving.copy([page(Q, 9, []), page(P, 9, p)]);
    assert.deepEqual([refusedOf(home), addedOf(copy)], ['conflict', p.length - 2]);
    assert.deepEqual(await all(log, P), p);
    await log.close();
    assert.deepEqual(await under.faults(), []);
  },

  'a copy takes nothing of an older home, and remembers the one that spoke last': async (under) => {
    const { log, p } = await bothTaken(under);
    const younger = await log.moving.copy([page(P, 0, p)]);
    assert.deepEqual(younger.map(refusedOf), ['conflict']);
    const [told] = await log.moving.copy([page(P, 5, p.slice(0, 1))]);
    assert.ok(told !== undefined && 'head' in told);
    assert.deepEqual([told.head.epoch, told.head.lastEpoch, told.head.position], [5, 1, 1]);
    for (const entries of [p.slice(1, 2), p.slice(0, 1), []])
      assert.deepEqual((await log.moving.copy([page(P, 4, entries)])).map(refusedOf), ['fenced']);
    assert.deepEqual((await log.moving.copy([page(P, 5, []), page(Q, 7, [])])).map(addedOf), [0, 0]);
    assert.equal((await all(log, P)).length, 1);
    await log.moving.copy([page(P, 7, [])]);
    await log.close();
    const again = await under.open([], {}, { copies: [P, Q] });
    assert.deepEqual((await again.moving.copy([page(P, 6, p)])).map(refusedOf), ['fenced']);
    assert.deepEqual((await again.moving.copy([page(P, 7, p), page(Q, 6, [])])).map(refusedOf), [
      undefined,
      'fenced',
    ]);
    assert.deepEqual(await all(again, P), p);
    await again.close();
  },

  'what a copy passes over must be what stands there': async (under) => {
    const { log, p } = await bothTaken(under);
    await log.moving.copy([page(P, 3, p)]);
    const changed = chained(under.host, p[0] as Entry, { ...(p[1] as Entry), data: '{"changed":true}' });
    const further = chained(under.host, changed, p[2] as Entry);
    for (const entries of [[changed], [changed, further]])
      assert.deepEqual((await log.moving.copy([page(P, 3, entries)])).map(refusedOf), ['conflict']);
    for (const entries of [p, p.slice(0, 1)])
      assert.deepEqual((await log.moving.copy([page(P, 3, entries)])).map(addedOf), [0]);
    await log.close();
  },
};

const page = (partition: number, homeEpoch: number | null, entries: readonly Entry[]): CopyPage => ({
  partition,
  homeEpoch,
  entries,
});
const addedOf = (copied: Copied | undefined): number | undefined =>
  copied !== undefined && 'added' in copied ? copied.added : undefined;
const refusedOf = (copied: Copied | undefined): string | undefined =>
  copied !== undefined && 'refused' in copied ? copied.refused.code : undefined;

/** The entry, as if it followed. */
function chained({ crypto }: Host, before: Entry, entry: Entry): Entry {
  return { ...entry, checksum: checksumOf(crypto, before.checksum, entry) };
}

/** Copies of nothing, and what stood. */
async function bothTaken(under: LogUnderTest): Promise<{ log: Log; p: Entry[]; q: Entry[] }> {
  const log = await under.open();
  await log.append(P, [event('s', 1, { key: 'one' }), event('s', 2), event('s', 3), answer('s', 'two')]);
  await log.append(Q, events('t', 2));
  const [p, q] = [await all(log, P), await all(log, Q)];
  for (const partition of [P, Q]) {
    await log.moving.release(partition);
    while ((await log.moving.drop(partition, 2)) === 2);
    await log.moving.begin(partition);
  }
  return { log, p, q };
}
