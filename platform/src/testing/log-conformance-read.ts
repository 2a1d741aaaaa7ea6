/** Reads, tokens, and live entries. */
import assert from 'node:assert/strict';
import type { Entry } from '../events/log.ts';
import { encodeToken } from '../events/token.ts';
import { until } from './host-case.ts';
import {
  all,
  beside,
  event,
  events,
  fails,
  follow,
  type LogCases,
  names,
  P,
  plain,
  Q,
  refusable,
  take,
} from './log-conformance-case.ts';

const positions = (entries: readonly Entry[]): number[] => entries.map((entry) => entry.position);
const upTo = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

export const reading: LogCases = {
  'reads begin where they are told and end at their bound': async (under) => {
    const log = await under.open();
    await log.append(P, events('s', 9));
    await log.append(Q, events('t', 2));
    assert.deepEqual(names(await log.readStream(P, 's', 4, 3)), ['s@4', 's@5', 's@6']);
    assert.deepEqual(names(await log.readStream(P, 's', 10, 3)), []);
    assert.deepEqual(names(await log.readStream(Q, 's', 1, 3)), []);
    assert.deepEqual(positions(await log.readPartition(P, 2, 4)), [3, 4, 5, 6]);
    assert.deepEqual(positions(await log.readPartition(P, 9, 4)), []);
    assert.equal(await log.findAnswer(P, 'none'), null);
    await log.close();
  },

  'live entries are told once, in order, before their append resolves': async (under) => {
    const log = await under.open();
    await log.append(P, [event('before', 1)]);
    const live: Entry[] = [];
    const end = log.onCommit((entries) => void live.push(...entries));
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const { position, partition } = await log.append(i % 2 ? P : Q, [event(`s${i}`, 1)]);
        assert.ok(live.some((entry) => entry.position === position && entry.partition === partition));
      }),
    );
    await fails(log.append(P, refusable()), 'conflict');
    end();
    await log.append(P, [event('after', 1)]);
    for (const [partition, first, last] of [
      [P, 2, 51],
      [Q, 1, 50],
    ] as const) {
      const own = live.filter((entry) => entry.partition === partition);
      assert.deepEqual(positions(own), upTo(last, first));
      const stored = await log.readPartition(partition, first - 1, own.length);
      assert.deepEqual(own.map(plain), stored.map(plain));
    }
    await log.close();
  },

  'a subscription takes what stands, then what comes': async (under) => {
    const log = await under.open();
    await log.append(P, events('s', 3));
    const reader = follow(log, P);
    assert.deepEqual(positions(await take(reader, 3)), [1, 2, 3]);
    const next = reader.next();
    await log.append(Q, events('t', 2));
    await log.append(P, [event('s', 4)]);
    assert.equal((await next).value.position, 4);
    await log.close();
    assert.equal((await reader.next()).done, true);
  },

  'subscriptions have no gap and no repeat while others append': async (under) => {
    const log = await under.open([P, Q], { batchEntriesMax: 16 });
    const total = 1_200;
    const write = async (writer: number): Promise<void> => {
      for (let i = 0; i < total / 20; i += 1) {
        await log.append(P, [event(`w${writer}`, i + 1)]);
        if (i % 7 === 0) await log.append(Q, [event(`q${writer}-${i}`, 1)]);
      }
    };
    const writing = beside(Promise.all(Array.from({ length: 20 }, (_, writer) => write(writer))));
    const read = async (startAfter: number, pauseEvery: number): Promise<void> => {
      await until(
        under.host,
        () => (log.heads().find((head) => head.partition === P)?.position ?? 0) >= startAfter,
      );
      const [last] = startAfter === 0 ? [] : await log.readPartition(P, startAfter - 1, 1);
      const reader = follow(log, P, last === undefined ? null : encodeToken(last));
      const seen: number[] = [];
      for (let entry = await reader.next(); entry.done !== true; entry = await reader.next()) {
        seen.push(entry.value.position);
        if (seen.at(-1) === total) break;
        if (seen.length % pauseEvery === 0) await under.host.clock.sleep(1);
      }
      await reader.return?.();
      assert.deepEqual(seen, upTo(total, startAfter + 1));
    };
    await Promise.all([
      read(0, 1_000_000),
      read(0, 97),
      read(1, 10_000),
      read(300, 400),
      read(900, 50),
      writing,
    ]);
    await log.close();
  },

  'a reader that falls far behind loses nothing': async (under) => {
    const log = await under.open();
    const reader = follow(log, P);
    const first = reader.next();
    await log.append(P, [event('s0', 1)]);
    assert.equal((await first).value.position, 1);
    for (let i = 0; i < 30; i += 1) await log.append(P, events(`s${i + 1}`, 40));
    const seen: number[] = [];
    for (let entry = await reader.next(); entry.done !== true; entry = await reader.next()) {
      seen.push(entry.value.position);
      if (seen.at(-1) === 1_201) break;
    }
    assert.deepEqual(seen, upTo(1_201, 2));
    await log.close();
  },

  'a subscription ends while it waits': async (under) => {
    const log = await under.open();
    const left = follow(log, P);
    const closed = follow(log, P);
    const waiting = [left.next(), closed.next()];
    await left.return?.();
    assert.equal((await waiting[0])?.done, true);
    await log.append(P, [event('s', 1)]);
    assert.equal((await waiting[1])?.done, false);
    const last = closed.next();
    await log.close();
    assert.equal((await last).done, true);
  },

  'a token names its entry, and no other history': async (under) => {
    const first = await under.open();
    const old = await first.append(P, events('s', 2));
    await first.close();
    const log = await under.open();
    const now = await log.append(P, [event('s', 3)]);
    const after = async (token: string): Promise<number> => {
      const reader = follow(log, P, token);
      const [entry] = await take(reader, 1);
      await reader.return?.();
      return entry?.position as number;
    };
    assert.equal(await after(encodeToken({ partition: P, epoch: 0, position: 0 })), 1);
    assert.equal(await after(encodeToken(old)), 2);
    assert.equal(await after(encodeToken({ ...old, position: 2 })), 3);
    const head = log.heads().find((one) => one.partition === P);
    assert.equal(encodeToken({ partition: P, epoch: head?.lastEpoch ?? 0, position: 3 }), encodeToken(now));
    const strangers = [
      encodeToken({ ...old, epoch: now.epoch }),
      encodeToken({ ...now, epoch: old.epoch }),
      encodeToken({ ...now, position: 4 }),
      encodeToken({ ...now, partition: Q }),
      'not a token',
    ];
    for (const token of strangers) await fails(after(token), 'invalid-cursor');
    await log.close();
    assert.equal(
      (await under.open().then(async (again) => [await all(again, P), await again.close()] as const))[0]
        .length,
      3,
    );
  },

  'a subscription to a lost partition says so': async (under) => {
    const stale = await under.open();
    await stale.append(P, [event('s', 1)]);
    const reader = follow(stale, P);
    assert.equal((await take(reader, 1)).length, 1);
    const next = reader.next();
    const log = await under.open();
    const told = beside(fails(next, 'fenced'));
    await fails(stale.append(P, [event('s', 2)]), 'fenced');
    await told;
    await stale.close();
    await log.close();
  },
};
