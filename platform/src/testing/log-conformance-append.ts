/** What an append does, and what it refuses. */
import assert from 'node:assert/strict';
import { isCardumeError } from '../base/errors.ts';
import { checksumOf, EMPTY_CHECKSUM } from '../events/checksum.ts';
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
  refusable,
} from './log-conformance-case.ts';

export const append: LogCases = {
  'positions are gapless and in order of arrival, in each partition': async (under) => {
    const log = await under.open();
    const given = await Promise.all(
      Array.from({ length: 300 }, (_, i) => log.append(i % 3 === 0 ? Q : P, events(`s${i}`, (i % 4) + 1))),
    );
    for (const partition of [P, Q]) {
      const expected = given.flatMap((one, i) =>
        one.partition === partition
          ? events(`s${i}`, (i % 4) + 1).map(({ version }) => `s${i}@${version}`)
          : [],
      );
      const entries = await all(log, partition);
      assert.deepEqual(names(entries), expected);
      assert.deepEqual(
        entries.map((entry) => entry.position),
        expected.map((_, i) => i + 1),
      );
      assert.equal(log.heads().find((head) => head.partition === partition)?.position, expected.length);
    }
    for (const [i, { partition, position, epoch }] of given.entries()) {
      const [entry] = await log.readPartition(partition, position - 1, 1);
      assert.equal(`${entry?.stream}@${entry?.version}`, `s${i}@1`);
      assert.equal(entry?.epoch, epoch);
    }
    await log.close();
  },

  'an entry comes back as it was given': async (under) => {
    const log = await under.open();
    const given = [
      event('ünï-😀', 1, {
        type: 'Größe',
        data: JSON.stringify({ text: 'a\u0000b \u2028 😀 "\\' }),
        meta: '{"m":1}',
      }),
      event('large', 1, { data: JSON.stringify('x'.repeat(200_000)), key: 'schlüssel', atMs: 0 }),
      event('nul\u0000stream', 1, { data: '', meta: '' }),
    ];
    await log.append(P, given);
    const back = (await all(log, P)).map(({ stream, version, type, data, meta, key, atMs }) => {
      return { stream, version, type, data, meta, key, atMs };
    });
    assert.deepEqual(back, given);
    assert.equal((await log.readStream(P, 'nul\u0000stream', 1, 9)).length, 1);
    await log.close();
  },

  'a version exists once': async (under) => {
    const log = await under.open();
    await log.append(P, events('s', 3));
    for (const version of [1, 2, 3]) await fails(log.append(P, [event('s', version)]), 'conflict');
    await log.append(P, [event('s', 4)]);
    await fails(log.append(P, [event('s', 4)]), 'conflict');
    assert.deepEqual(names(await log.readStream(P, 's', 1, 9)), ['s@1', 's@2', 's@3', 's@4']);
    await log.close();
  },

  'versions leave no gap': async (under) => {
    const log = await under.open();
    await fails(log.append(P, [event('s', 2)]), 'conflict');
    await log.append(P, events('s', 2));
    await fails(log.append(P, [event('s', 4)]), 'conflict');
    await log.append(P, [event('s', 3)]);
    assert.equal((await all(log, P)).length, 3);
    await log.close();
  },

  'an append stands as a whole or not at all': async (under) => {
    const log = await under.open();
    await log.append(P, [event('before', 1)]);
    await fails(log.append(P, [event('good', 1), ...refusable()]), 'conflict');
    await fails(log.append(P, [answer('good', 'k'), ...refusable()]), 'conflict');
    assert.deepEqual(names(await all(log, P)), ['before@1']);
    assert.equal(await log.findAnswer(P, 'k'), null);
    await log.append(P, [answer('good', 'k'), event('good', 1)]);
    assert.deepEqual(names(await all(log, P)), ['before@1', 'good@-', 'good@1']);
    await log.close();
  },

  'an append larger than a batch stands as a whole': async (under) => {
    const log = await under.open([P, Q], { batchEntriesMax: 8 });
    const given = await Promise.all([1, 30, 1].map((count, i) => log.append(P, events(`s${i}`, count))));
    assert.deepEqual(
      given.map((one) => one.position),
      [1, 2, 32],
    );
    await log.close();
  },

  'a key has one answer in its partition': async (under) => {
    const log = await under.open();
    const first = await log.append(P, [event('s', 1), event('s', 2, { key: 'k', meta: '{"n":1}' })]);
    await fails(log.append(P, [event('other', 1, { key: 'k' })]), 'already-exists');
    await fails(log.append(P, [answer('other', 'k')]), 'already-exists');
    await fails(log.append(P, [answer('x', 'twice'), answer('x', 'twice')]), 'already-exists');
    await log.append(Q, [answer('other', 'k')]);
    const found = await log.findAnswer(P, 'k');
    assert.deepEqual([found?.stream, found?.version, found?.meta], ['s', 2, '{"n":1}']);
    assert.equal(found?.position, first.position + 1);
    assert.equal((await log.findAnswer(Q, 'k'))?.stream, 'other');
    assert.equal(await log.findAnswer(P, 'twice'), null);
    await log.close();
  },

  'a rejection is an entry without a version': async (under) => {
    const log = await under.open();
    await log.append(P, [event('s', 1)]);
    await log.append(P, [answer('s', 'no')]);
    await log.append(P, [event('s', 2)]);
    assert.deepEqual(names(await all(log, P)), ['s@1', 's@-', 's@2']);
    assert.deepEqual(names(await log.readStream(P, 's', 1, 9)), ['s@1', 's@2']);
    assert.equal((await log.findAnswer(P, 'no'))?.meta, '{"rejected":true}');
    await log.close();
  },

  'streams and keys compare by bytes': async (under) => {
    const log = await under.open();
    const texts = ['a', 'A', 'ä', 'a\u0308', 'Ä', 'a ', ' a', 'ａ', 'ß', 'ss'];
    await log.append(
      P,
      texts.map((text) => event(text, 1, { key: `key ${text}` })),
    );
    for (const text of texts) {
      assert.equal((await log.findAnswer(P, `key ${text}`))?.stream, text);
      assert.deepEqual(names(await log.readStream(P, text, 1, 9)), [`${text}@1`]);
    }
    await log.close();
  },

  'a refused append takes the later ones of its partition with it, and no others': async (under) => {
    const log = await under.open([P, Q], { batchEntriesMax: 4 });
    const results = await Promise.allSettled([
      log.append(P, [event('earlier', 1)]),
      log.append(Q, [event('elsewhere', 1)]),
      log.append(P, refusable()),
      log.append(P, [event('later', 1)]),
      log.append(Q, [event('elsewhere', 2)]),
      ...Array.from({ length: 20 }, (_, i) => log.append(P, [event(`later-${i}`, 1)])),
      log.append(Q, [event('elsewhere', 3)]),
    ]);
    const told = results.map((one) => (one.status === 'fulfilled' ? 'stands' : one.reason.code));
    const discarded = Array.from({ length: 20 }, () => 'conflict');
    assert.deepEqual(told, ['stands', 'stands', 'conflict', 'conflict', 'stands', ...discarded, 'stands']);
    assert.deepEqual(names(await all(log, P)), ['earlier@1']);
    assert.deepEqual(names(await all(log, Q)), ['elsewhere@1', 'elsewhere@2', 'elsewhere@3']);
    await log.append(P, [event('later', 1)]);
    await log.close();
  },

  'who hears of a failure finds nothing of the partition under way': async (under) => {
    const log = await under.open();
    const heard: string[] = [];
    log.onFailed((partition) => heard.push(`failed ${partition}`));
    const note = (name: string) => (error: unknown) => {
      heard.push(`${name} ${isCardumeError(error) ? error.code : error}`);
    };
    const first = log.append(P, [event('earlier', 1)]).then(() => heard.push('earlier stands'));
    const bad = log.append(P, refusable()).catch(async (error) => {
      note('bad')(error);
      await log.append(P, [event('again', 1)]); // nothing may discard it
      heard.push('again stands');
    });
    const behind = log.append(P, [event('again', 1)]).catch(note('behind'));
    await Promise.all([first, bad, behind]);
    const known = ['failed 33', 'earlier stands', 'bad conflict', 'behind conflict', 'again stands'];
    assert.deepEqual(heard.toSorted(), known.toSorted());
    assert.ok(heard.indexOf('failed 33') < heard.indexOf('bad conflict'), heard.join());
    assert.equal(heard.at(-1), 'again stands');
    await log.close();
  },

  'the queue is bounded; what is refused at the door takes the later ones with it': async (under) => {
    const log = await under.open([P, Q], { batchEntriesMax: 5, queueEntriesMax: 20 });
    const failed: number[] = [];
    log.onFailed((partition) => failed.push(partition));
    const results = await Promise.allSettled([
      ...Array.from({ length: 4 }, (_, i) => log.append(P, events(`s${i}`, 5))),
      log.append(P, [event('too-much', 1)]),
      log.append(P, [event('too-much', 2)]),
    ]);
    const told = results.map((one) => (one.status === 'fulfilled' ? 'stands' : one.reason.code));
    assert.deepEqual(told, ['stands', 'stands', 'stands', 'stands', 'overloaded', 'overloaded']);
    assert.deepEqual(failed, [P]);
    assert.equal((await all(log, P)).length, 20);
    await log.append(P, [event('too-much', 1)]);
    await log.close();
  },

  'settled waits for what was appended, and fails with it': async (under) => {
    const log = await under.open();
    await log.settled(P);
    const appended = beside(log.append(P, [event('s', 1)]));
    await log.settled(P);
    assert.equal((await all(log, P)).length, 1);
    await appended;
    const refused = beside(fails(log.append(P, refusable()), 'conflict'));
    const behind = beside(fails(log.append(P, [event('s', 2)]), 'conflict'));
    await log.settled(Q);
    await fails(log.settled(P), 'conflict');
    await Promise.all([refused, behind]);
    await log.settled(P);
    await log.close();
  },

  'settled fails with what was appended before it, however long it looks up who has the partition': async (
    under,
  ) => {
    const log = await under.open();
    await log.append(P, [event('s', 1)]);
    await under.host.clock.sleep(150); // what was looked up last is old
    const refused = beside(fails(log.append(P, refusable()), 'conflict'));
    await fails(log.settled(P), 'conflict');
    await refused;
    await log.close();
  },

  'checksums chain the entries of a partition': async (under) => {
    const log = await under.open();
    await Promise.all(Array.from({ length: 20 }, (_, i) => log.append(i % 2 ? P : Q, [event(`s${i}`, 1)])));
    await fails(log.append(P, refusable()), 'conflict');
    await log.append(P, [answer('s1', 'k'), event('s1', 2, { meta: '{}' })]);
    for (const partition of [P, Q]) {
      let previous = EMPTY_CHECKSUM;
      for (const entry of await all(log, partition)) {
        previous = checksumOf(under.host.crypto, previous, entry);
        assert.deepEqual(Buffer.from(entry.checksum), Buffer.from(previous), `position ${entry.position}`);
      }
      const head = log.heads().find((one) => one.partition === partition);
      assert.deepEqual(Buffer.from(head?.checksum ?? []), Buffer.from(previous));
    }
    await log.close();
  },

  'a reader sees an append as a whole, and never one that failed': async (under) => {
    const log = await under.open();
    let done = false;
    const write = async (): Promise<void> => {
      for (let i = 0; i < 40; i += 1) {
        await log.append(P, events(`good-${i}`, 5));
        await fails(log.append(P, [event(`bad-${i}`, 1), ...refusable()]), 'conflict');
      }
    };
    const writing = beside(
      write().finally(() => {
        done = true;
      }),
    );
    while (!done) {
      const entries = await all(log, P);
      assert.equal(entries.length % 5, 0);
      assert.ok(entries.every((entry) => entry.stream.startsWith('good')));
      await under.host.clock.sleep(0);
    }
    await writing;
    await log.close();
  },
};
