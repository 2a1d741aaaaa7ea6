/** What becomes of a log whose ended streams are archived: nothing that a reader sees. */
import assert from 'node:assert/strict';
import type { Entry, Log, NewEntry } from '../events/log.ts';
import { encodeToken } from '../events/token.ts';
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

const ASKED = { ending: [{ streams: 'ord', types: ['Ended', 'Settled'] }], segmentEntriesMax: 6 };
const AT_MS = 1_700_000_000_000;
const STEPS_MAX = 1_000;

const ended = (stream: string, version: number, more: Partial<NewEntry> = {}): NewEntry =>
  event(stream, version, { type: 'Ended', ...more });

/** @param seen after each step */
async function archive(log: Log, seen = async (): Promise<void> => undefined): Promise<void> {
  let steps = 0;
  while (await log.archive(ASKED)) {
    steps += 1;
    assert.ok(steps < STEPS_MAX, 'a round of archiving comes to an end');
    await seen();
  }
}

async function forget(log: Log): Promise<void> {
  while ((await log.forgetAnswers(AT_MS + 1, 100)) === 100);
}

/** Orders that end, beside an account that does not: 26 entries of P and two of Q. */
async function trade(log: Log): Promise<void> {
  await log.append(P, events('acc', 2));
  for (let i = 1; i <= 6; i += 1) {
    await log.append(P, [event(`ord-${i}`, 1, { key: `place-${i}`, data: `{"order":${i}}` })]);
    if (i > 1) await log.append(P, [ended(`ord-${i - 1}`, 2, { meta: '{"end":true}' })]);
    if (i % 2 === 0) await log.append(P, [answer('acc', `refused-${i}`), event('acc', 2 + i / 2)]);
  }
  await log.append(P, [event('ord-open', 1), event('acc', 6), ended('acc', 7), event('acc', 8)]);
  await log.append(P, [event('acc', 9), event('acc', 10), event('acc', 11)]);
  await log.append(Q, [event('ord-q', 1), ended('ord-q', 2)]);
}

function same(found: readonly Entry[], expected: readonly Entry[] | undefined): void {
  assert.deepEqual(found.map(plain), expected?.map(plain));
}

const streamsOf = (entries: readonly Entry[]): ReadonlyMap<string, Entry[]> =>
  Map.groupBy(
    entries.filter(({ version }) => version !== null),
    ({ stream }) => stream,
  );

async function readsAs(log: Log, entries: readonly Entry[]): Promise<void> {
  same(await all(log, P), entries);
  for (const size of [1, 4, 7, entries.length])
    for (let after = 0; after <= entries.length; after += size)
      same(await log.readPartition(P, after, size), entries.slice(after, after + size));
  for (const [stream, own] of streamsOf(entries)) {
    for (let from = 1; from <= own.length + 1; from += 1)
      same(await log.readStream(P, stream, from, 99), own.slice(from - 1));
    same(await log.readStream(P, stream, 1, 1), own.slice(0, 1));
  }
}

async function archived(under: LogUnderTest): Promise<{ readonly log: Log; readonly entries: Entry[] }> {
  const log = await under.open();
  await trade(log);
  const entries = await all(log, P);
  await forget(log);
  await archive(log);
  return { log, entries };
}

export const archives: LogCases = {
  'what is archived is read as it stood, after each step, by position and by stream': async (under) => {
    const log = await under.open();
    await trade(log);
    const entries = await all(log, P);
    await forget(log);
    await archive(log, () => readsAs(log, entries));
    await readsAs(log, entries);
    assert.deepEqual(await under.faults(), []);
    await log.append(P, [event('acc', 12), event('ord-new', 1)]);
    const longer = await all(log, P);
    same(longer.slice(0, entries.length), entries);
    await log.close();
    const again = await under.open([P, Q], {}, { isMapNew: true });
    await readsAs(again, longer);
    const head = again.heads().find(({ partition }) => partition === P);
    assert.deepEqual([head?.position, head?.lastEpoch], [longer.length, 1]);
    await again.close();
    assert.deepEqual(await under.faults(), []);
  },

  'a token names an entry in a segment, and who follows goes on from there': async (under) => {
    const { log, entries } = await archived(under);
    for (const [i, entry] of entries.slice(0, -1).entries()) {
      const reader = follow(log, P, encodeToken(entry));
      same(await take(reader, 1), entries.slice(i + 1, i + 2));
      await reader.return?.();
    }
    await fails(
      follow(log, P, encodeToken({ partition: P, epoch: 7, position: 3 })).next(),
      'invalid-cursor',
    );
    const reader = follow(log, P);
    same(await take(reader, entries.length), entries);
    await reader.return?.();
    await log.close();
  },

  'a segment ends before remembered answers, and before the last entry': async (under) => {
    const log = await under.open();
    for (let i = 1; i <= 8; i += 1)
      await log.append(P, [event(`ord-${i}`, 1), ended(`ord-${i}`, 2, { key: `k${i}`, atMs: AT_MS + i })]);
    const entries = await all(log, P);
    await log.forgetAnswers(AT_MS + 5, 100);
    await archive(log);
    await readsAs(log, entries);
    assert.equal(await log.findAnswer(P, 'k4'), null);
    for (let i = 5; i <= 8; i += 1) {
      assert.equal((await log.findAnswer(P, `k${i}`))?.position, 2 * i);
      await fails(log.append(P, [answer('ord-9', `k${i}`)]), 'already-exists');
    }
    assert.deepEqual(await under.faults(), []);
    await log.forgetAnswers(AT_MS + 9, 100);
    await archive(log);
    await log.append(P, [event('ord-9', 1, { key: 'k1' }), ended('ord-9', 2)]);
    await forget(log);
    await archive(log);
    same((await all(log, P)).slice(0, 16), entries);
    await log.close();
    const again = await under.open();
    assert.equal(again.heads().find(({ partition }) => partition === P)?.lastEpoch, 1);
    await again.append(P, [event('ord-10', 1)]);
    await again.close();
    assert.deepEqual(await under.faults(), []);
  },

  'an append to a stream that has ended follows its last version, or is refused': async (under) => {
    const opened = await archived(under);
    const { entries } = opened;
    let { log } = opened;
    for (const isNew of [false, true]) {
      if (isNew) {
        await log.close();
        log = await under.open();
      }
      for (const version of [1, 2, 4]) await fails(log.append(P, [event('ord-1', version)]), 'conflict');
      await fails(log.append(P, [event('ord-2', 1), event('ord-2', 2)]), 'conflict');
    }
    same(await all(log, P), entries);
    await log.append(P, [event('ord-1', 3)]);
    for (const version of [1, 2, 3, 5]) await fails(log.append(P, [event('ord-1', version)]), 'conflict');
    await log.append(P, [event('ord-1', 4, { type: 'Settled' })]);
    assert.deepEqual(names(await log.readStream(P, 'ord-1', 1, 9)), [
      'ord-1@1',
      'ord-1@2',
      'ord-1@3',
      'ord-1@4',
    ]);
    assert.deepEqual(names(await log.readStream(P, 'ord-1', 2, 2)), ['ord-1@2', 'ord-1@3']);
    assert.deepEqual(names(await log.readStream(P, 'ord-1', 4, 9)), ['ord-1@4']);
    assert.deepEqual(await under.faults(), []);
    await log.append(P, events('ord-7', 6));
    const longer = await all(log, P);
    await forget(log);
    await archive(log);
    await readsAs(log, longer);
    await fails(log.append(P, [event('ord-1', 3)]), 'conflict');
    await log.append(P, [event('ord-1', 5)]);
    await log.close();
    assert.deepEqual(await under.faults(), []);
  },

  'a stream that went on behind its end is not archived until it ends again': async (under) => {
    const log = await under.open();
    await log.append(P, [event('ord-1', 1), ended('ord-1', 2), event('ord-2', 1), ended('ord-2', 2)]);
    await log.append(P, events('acc', 3));
    await log.append(P, [event('ord-1', 3)]);
    await forget(log);
    await archive(log);
    await fails(log.append(P, [event('ord-1', 3)]), 'conflict');
    await log.append(P, [ended('ord-1', 4), ...events('ord-3', 6)]);
    const entries = await all(log, P);
    await forget(log);
    await archive(log);
    await readsAs(log, entries);
    for (const version of [1, 2, 3, 4]) await fails(log.append(P, [event('ord-1', version)]), 'conflict');
    await log.close();
    assert.deepEqual(await under.faults(), []);
  },

  'what a damaged segment holds is told as lost, and never passed over': async (under) => {
    const { log, entries } = await archived(under);
    await log.close();
    assert.ok((await under.damageArchive()) >= 3);
    const again = await under.open();
    for (const after of [0, 3, 6]) await fails(again.readPartition(P, after, 100), 'storage-failed');
    await fails(again.readStream(P, 'ord-1', 1, 9), 'storage-failed');
    await fails(follow(again, P).next(), 'storage-failed');
    const faults = await under.faults();
    assert.ok(faults.length >= 3, faults.join('\n'));
    // What stands in rows needs no archive.
    same(await again.readStream(P, 'acc', 1, 99), streamsOf(entries).get('acc'));
    await again.append(P, [event('acc', 12)]);
    await again.close();
  },

  'what stands in no segment and in no row is told as lost, by position and by stream': async (under) => {
    const { log, entries } = await archived(under);
    await log.close();
    await under.loseSegment();
    const again = await under.open();
    for (const after of [0, 3, 5]) await fails(again.readPartition(P, after, 100), 'storage-failed');
    same(await again.readPartition(P, 6, 100), entries.slice(6));
    await fails(again.readStream(P, 'ord-1', 1, 9), 'storage-failed');
    await fails(follow(again, P).next(), 'storage-failed');
    await fails(follow(again, P, encodeToken(entries[2] as Entry)).next(), 'storage-failed');
    same(await again.readStream(P, 'ord-5', 1, 9), streamsOf(entries).get('ord-5'));
    same(await again.readStream(P, 'acc', 1, 99), streamsOf(entries).get('acc'));
    await again.close();
    assert.notDeepEqual(await under.faults(), []);
  },

  'rows are deleted when what they say was read back from every segment that holds it; other partitions do not wait':
    async (under) => {
      const log = await under.open();
      await log.append(P, [event('ord-long', 1, { data: '{"first":1}' }), ...events('acc', 6)]);
      await forget(log);
      await archive(log);
      await log.close();
      assert.equal(await under.damageArchive(1), 1);
      const again = await under.open();
      await again.append(P, [ended('ord-long', 2), ...events('acc-2', 6)]);
      await again.append(Q, [event('ord-q', 1), ended('ord-q', 2), ...events('acc-q', 5)]);
      await forget(again);
      for (let round = 0; round < 2; round += 1) {
        await fails(archive(again), 'storage-failed');
        const own = await again.readStream(P, 'ord-long', 1, 9);
        assert.deepEqual(
          own.map(({ data }) => data),
          ['{"first":1}', '{}'],
        );
      }
      assert.equal(await under.damageArchive(1), 3);
      await archive(again);
      const entries = await all(again, P);
      assert.equal(entries.length, 14);
      await readsAs(again, entries);
      await again.close();
      assert.deepEqual(await under.faults(), []);
    },

  'who reads while the log closes reads, or is told so': async (under) => {
    const { log, entries } = await archived(under);
    const reads = (): Promise<unknown>[] => {
      const asked: Promise<unknown>[] = [
        ...[0, 4, 20, entries.length].map((after) => log.readPartition(P, after, 100)),
        ...['ord-1', 'acc', 'none'].map((stream) => log.readStream(P, stream, 1, 99)),
        log.findAnswer(P, 'none'),
        log.settled(P),
        follow(log, P).next(),
        follow(log, P, encodeToken(entries[4] as Entry)).next(),
      ];
      return asked.map(beside);
    };
    const begun = reads();
    const closing = log.close();
    begun.push(...reads());
    await closing;
    for (const read of begun) await read.catch((error) => fails(Promise.reject(error), 'draining'));
    await fails(log.readPartition(P, 0, 1), 'draining');
    await fails(log.readStream(P, 'none', 1, 1), 'draining');
    await fails(log.findAnswer(P, 'none'), 'draining');
    await fails(log.archive(ASKED), 'draining');
    await fails(log.forgetAnswers(AT_MS, 1), 'draining');
  },

  'a host that has lost its partition archives nothing of it': async (under) => {
    let log = await under.open();
    await trade(log);
    const entries = await all(log, P);
    await forget(log);
    // The second step has written a segment that does not stand: the next opener removes it.
    for (const steps of [2, 1, 3, 4, 5, 6, 7]) {
      const stale = log;
      for (let step = 0; step < steps; step += 1) await stale.archive(ASKED);
      log = await under.open();
      await archive(stale).catch((error) => fails(Promise.reject(error), 'fenced'));
      await stale.close();
      await readsAs(log, entries);
    }
    await archive(log);
    await readsAs(log, entries);
    await log.close();
    assert.deepEqual(await under.faults(), []);
  },

  'what stands in segments is not cut off a copy': async (under) => {
    const { log, entries } = await archived(under);
    await log.moving.release(P);
    for (const after of [0, 3, 11]) await fails(cut(log, P, after, 99), 'conflict');
    assert.deepEqual([await log.quarantine.list(null, 99), await cut(log, P, 26, 9)], [[], 0]);
    await readsAs(log, entries);
    assert.equal(await cut(log, P, 24, 9), 2);
    same(await all(log, P), entries.slice(0, 24));
    await log.close();
    assert.deepEqual(await under.faults(), []);
  },

  'a partition with segments moves by its entries: what was dropped leaves none, and the next home makes its own':
    async (under) => {
      const { log, entries } = await archived(under);
      await log.moving.release(P);
      await readsAs(log, entries);
      while ((await log.moving.drop(P, 2)) === 2);
      assert.deepEqual(await all(log, P), []);
      assert.deepEqual(await log.readStream(P, 'ord-1', 1, 9), []);
      assert.equal(await under.damageArchive(), 0);
      await log.moving.begin(P);
      await log.moving.copy([{ partition: P, homeEpoch: null, entries: entries.slice(0, 10) }]);
      await log.moving.copy([{ partition: P, homeEpoch: null, entries: entries.slice(10) }]);
      await log.moving.adopt(P, entries.at(-1)?.epoch as number);
      await readsAs(log, entries);
      assert.equal((await log.findAnswer(P, 'place-1'))?.position, 3);
      await forget(log);
      await archive(log);
      await readsAs(log, entries);
      assert.equal(await log.findAnswer(P, 'place-1'), null);
      await fails(log.append(P, [event('ord-1', 2)]), 'conflict');
      // Where it is released and adopted again, what was archived stays.
      const { epoch } = await log.moving.release(P);
      await log.moving.adopt(P, epoch);
      await readsAs(log, entries);
      await log.append(P, [event('ord-1', 3)]);
      await log.close();
      assert.deepEqual(await under.faults(), []);
      await fails(under.open([P, Q], {}, { isMapNew: true }), 'storage-failed');
    },
};
