/** How partitions come and go while a log is open. One storage stands for two: what was released is dropped and copied. */
import assert from 'node:assert/strict';
import { CardumeError } from '../base/errors.ts';
import type { Entry, Log } from '../events/log.ts';
import { decodeToken, encodeToken } from '../events/token.ts';
import {
  all,
  answer,
  beside,
  event,
  events,
  fails,
  follow,
  type LogCases,
  names,
  P,
  Q,
  take,
} from './log-conformance-case.ts';

/** Releases P and deletes it here. @returns what stood */
async function taken(log: Log): Promise<Entry[]> {
  const entries = await all(log, P);
  await log.moving.release(P);
  while ((await log.moving.drop(P, 2)) === 2);
  assert.deepEqual(await all(log, P), []);
  return entries;
}

/** As a reshard does. @throws CardumeError what a page is refused with */
async function copy(log: Log, entries: readonly Entry[]): Promise<void> {
  const [copied] = await log.moving.copy([{ partition: P, homeEpoch: null, entries }]);
  assert.ok(copied !== undefined && copied.partition === P);
  if ('refused' in copied) throw new CardumeError(copied.refused.code, copied.refused.detail);
  assert.equal(copied.head.position, entries.at(-1)?.position);
}

export const moving: LogCases = {
  'a partition that is released becomes a copy: appends to it are refused, before and after, and others go on':
    async (under) => {
      const log = await under.open();
      const before = beside(log.append(P, events('s', 2)));
      const released = log.moving.release(P);
      await fails(log.append(P, [event('s', 3)]), 'partition-unavailable');
      const head = await released;
      assert.deepEqual(await before, { partition: P, epoch: 1, position: 1 });
      assert.deepEqual([head.epoch, head.lastEpoch, head.position], [2, 1, 2]);
      await fails(log.append(P, [event('s', 3)]), 'partition-unavailable');
      await fails(
        (async () => log.checkOpen(P))(),
        'partition-unavailable', // what is remembered in memory is not told any more either
      );
      assert.deepEqual(names(await all(log, P)), ['s@1', 's@2']);
      await log.append(Q, [event('q', 1)]);
      assert.deepEqual(
        log.heads().map(({ partition }) => partition),
        [Q],
      );
      await log.close();
    },

  'whoever had a partition open that is released elsewhere is fenced': async (under) => {
    const stale = await under.open([P]);
    await stale.append(P, [event('s', 1)]);
    const log = await under.open([P]);
    await log.moving.release(P);
    await fails(stale.append(P, [event('s', 2)]), 'fenced');
    await fails(stale.moving.release(P), 'partition-unavailable');
    await stale.close();
    await log.close();
  },

  'a copy takes the entries of its home as they are, behind each other, and goes on as a home in an epoch above all':
    async (under) => {
      const log = await under.open();
      await log.append(P, events('s', 3));
      await log.append(P, [answer('s', 'rejected'), event('t', 1, { key: 'done' })]);
      const entries = await taken(log);
      assert.equal(await log.findAnswer(P, 'done'), null);

      const begun = await log.moving.begin(P);
      assert.deepEqual([begun.epoch, begun.position], [0, 0]);
      await fails(log.append(P, [event('s', 4)]), 'partition-unavailable');
      await copy(log, entries.slice(0, 2));
      await copy(log, entries.slice(1, 4)); // one of them stands already
      await copy(log, entries.slice(4));
      assert.deepEqual(await all(log, P), entries);
      assert.equal((await log.findAnswer(P, 'done'))?.position, 5);
      assert.equal((await log.findAnswer(P, 'rejected'))?.position, 4);

      await log.moving.follow(P, 7);
      await fails(log.moving.adopt(P, 6), 'conflict'); // whoever was paused since
      const head = await log.moving.adopt(P, 7);
      assert.deepEqual([head.epoch, head.lastEpoch, head.position], [8, 1, 5]);
      assert.deepEqual(await log.append(P, [event('s', 4)]), { partition: P, epoch: 8, position: 6 });
      await fails(log.append(P, [answer('s', 'done')]), 'already-exists');
      await fails(log.append(P, [event('s', 4)]), 'conflict');
      await log.close();
      const again = await under.open();
      assert.equal(again.heads().find(({ partition }) => partition === P)?.epoch, 9);
      assert.deepEqual(names(await all(again, P)).slice(-2), ['t@1', 's@4']);
      await again.close();
    },

  'a copy remembers the epoch that was released, and an adoption may be asked for again': async (under) => {
    const log = await under.open();
    await log.append(P, events('s', 2));
    const entries = await taken(log);
    await log.moving.begin(P);
    assert.equal((await log.moving.follow(P, 6)).epoch, 6);
    await copy(log, entries);
    await log.close();
    // A process that ended between the map and the adoption: the next one opens it by the map.
    const next = await under.open();
    assert.equal(next.heads().find(({ partition }) => partition === P)?.epoch, 7);
    await next.append(P, [event('s', 3)]);
    await next.moving.release(P);
    assert.equal((await next.moving.adopt(P, 8)).epoch, 9);
    assert.equal((await next.moving.adopt(P, 0)).epoch, 10); // its answer was lost
    await next.append(P, [event('s', 4)]);
    assert.deepEqual(names(await all(next, P)), ['s@1', 's@2', 's@3', 's@4']);
    await next.close();
  },

  'a host whose partition was moved away behind its back learns it without writing': async (under) => {
    const stale = await under.open([P]);
    await stale.append(P, [event('s', 1)]);
    const log = await under.open([P]);
    await taken(log);
    await under.host.clock.sleep(200);
    await fails((async () => stale.checkOpen(P))(), 'fenced');
    await stale.close();
    await log.close();
  },

  'a copy refuses what does not follow, whole, and stands where it stood': async (under) => {
    const log = await under.open();
    await log.append(P, events('s', 4));
    const entries = await taken(log);
    await log.moving.begin(P);
    await copy(log, entries.slice(0, 1));
    const third = entries[2] as Entry;
    const changed = { ...(entries[1] as Entry), data: '{"changed":true}' };
    await fails(copy(log, [third]), 'conflict');
    await fails(copy(log, [changed]), 'conflict');
    await fails(copy(log, [entries[1] as Entry, { ...third, epoch: 0 }]), 'conflict');
    assert.deepEqual(await all(log, P), entries.slice(0, 1));
    await copy(log, entries);
    assert.deepEqual(await all(log, P), entries);
    await log.close();
  },

  'a home is no copy: it is neither followed, nor written behind its back, nor dropped': async (under) => {
    const log = await under.open();
    await log.append(P, events('s', 2));
    const entries = await all(log, P);
    await fails(log.moving.begin(P), 'conflict');
    await fails(log.moving.follow(P), 'conflict');
    await fails(copy(log, entries), 'conflict');
    await fails(log.moving.drop(P, 10), 'conflict');
    assert.deepEqual(await all(log, P), entries);
    await log.append(P, [event('s', 3)]);
    await log.close();
  },

  'a copy that was dropped is not taken up again, by nobody who knew it': async (under) => {
    const log = await under.open();
    await log.append(P, events('s', 2));
    const entries = await all(log, P);
    await log.moving.release(P);
    const stale = await under.open([Q], {}, { copies: [P] });
    while ((await log.moving.drop(P, 2)) === 2);
    await fails(copy(stale, entries), 'conflict');
    await fails(stale.moving.follow(P), 'conflict');
    await fails(stale.moving.adopt(P, 0), 'conflict');
    await stale.close();
    const later = await under.open([Q], {}, { copies: [P] });
    await fails(later.moving.follow(P), 'conflict');
    await later.close();
    await log.close();
  },

  'what was released is adopted again where it is: nothing is lost, and what was decided before is dropped':
    async (under) => {
      const log = await under.open();
      await log.append(P, [event('s', 1)]);
      const { epoch } = await log.moving.release(P);
      const dropped: number[] = [];
      log.onFailed((partition) => void dropped.push(partition));
      const head = await log.moving.adopt(P, epoch);
      assert.deepEqual([head.epoch, dropped], [3, [P]]);
      // A key's days may be over while its entry stays.
      await log.append(P, [event('s', 2, { key: 'k' })]);
      assert.equal(await log.forgetAnswers(1_800_000_000_000, 100), 2);
      await log.append(P, [event('s', 3, { key: 'k' })]);
      const entries = await taken(log);
      await log.moving.begin(P);
      await copy(log, entries);
      assert.equal((await log.findAnswer(P, 'k'))?.position, 3);
      await log.close();
    },

  'what has given partitions away is opened by those who know where they are': async (under) => {
    const log = await under.open([P, Q], {}, { isMapNew: true });
    await log.append(P, events('s', 2));
    const entries = await taken(log);
    await log.close();
    await fails(under.open([P, Q], {}, { isMapNew: true }), 'storage-failed');
    const knowing = await under.open([Q], {}, { copies: [P] });
    await fails(knowing.append(P, [event('s', 3)]), 'partition-unavailable');
    await knowing.moving.begin(P);
    await copy(knowing, entries);
    await knowing.close();
    const again = await under.open([Q], {}, { copies: [P] });
    assert.deepEqual(await all(again, P), entries);
    await fails(again.moving.adopt(P, 0), 'conflict');
    await again.moving.adopt(P, 1);
    await again.append(P, [event('s', 3)]);
    await again.close();
  },

  'a subscription ends with its home, and goes on from its token in the next one': async (under) => {
    const log = await under.open();
    await log.append(P, events('s', 2));
    const following = follow(log, P);
    const seen = await take(following, 2);
    const waiting = beside(following.next());
    await log.moving.release(P);
    await fails(waiting, 'partition-unavailable');
    await fails(follow(log, P).next(), 'partition-unavailable');
    await log.moving.adopt(P, 2);
    const token = encodeToken(seen.at(-1) as Entry);
    const further = follow(log, P, token);
    const next = beside(take(further, 1));
    await log.append(P, [event('s', 3)]);
    assert.deepEqual(names(await next), ['s@3']);
    assert.equal(decodeToken(token).position, 2);
    await log.close();
  },
};
