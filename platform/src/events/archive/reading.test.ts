/** What a reader does when segments come, go, or are lost while it reads; that it finds them is in the conformance suite. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { all, event, P } from '../../testing/log-conformance-case.ts';
import { openBesideLog } from '../beside.ts';
import type { Reader } from '../engine.ts';
import type { Entry } from '../log.ts';
import { sqlite } from '../sqlite/sqlite.ts';
import {
  archive,
  change,
  host,
  isStorageFailure,
  newGround,
  standingStill,
  trade,
  UNARCHIVED,
  withLog,
} from './archive.fixture.ts';

/** @returns a host that notes each statement that is carried out */
function counting(): { readonly on: Host; readonly statements: string[] } {
  const statements: string[] = [];
  const database: Host['disk']['database'] = (path, options): Database => {
    const opened = host.disk.database(path, options);
    return {
      ...opened,
      prepare(sql) {
        const prepared = opened.prepare(sql);
        const noted =
          <A extends unknown[], T>(work: (...values: A) => T) =>
          (...values: A): T => {
            statements.push(sql);
            return work(...values);
          };
        return { ...prepared, get: noted(prepared.get), all: noted(prepared.all), run: noted(prepared.run) };
      },
    };
  };
  return { on: { ...host, disk: { ...host.disk, database } }, statements };
}

describe('a reader', () => {
  test('carries out one statement a read while there is no segment, whatever it finds', async () => {
    const { path } = await newGround();
    await withLog(path, trade);
    const { on, statements } = counting();
    const reader = await sqlite.openReader(on, { path });
    const reads: Readonly<Record<string, () => Promise<unknown>>> = {
      'a page': () => reader.readPartition(P, 0, 10),
      'an empty page': () => reader.readPartition(P, 13, 10),
      'a page of an unknown partition': () => reader.readPartition(7, 0, 10),
      'a stream': () => reader.readStream(P, 'acc', 1, 10),
      'the end of a stream': () => reader.readStream(P, 'acc', 7, 10),
      'a new stream': () => reader.readStream(P, 'none', 1, 10),
      'an answer': () => reader.findAnswer(P, 'no'),
      'no answer': () => reader.findAnswer(P, 'none'),
      'an epoch': () => reader.epochAt(P, 13),
      'no epoch': () => reader.epochAt(P, 14),
    };
    for (const [read, ask] of Object.entries(reads)) {
      statements.length = 0;
      await ask();
      assert.equal(statements.length, 1, `${read}: ${statements.join('\n')}`);
    }
    await reader.close();
  });

  test('that was opened before the tables were there finds what is archived later', async () => {
    const { path } = await newGround();
    await withLog(path, trade);
    change(path, UNARCHIVED);
    const [beside, reader] = [await openBesideLog(host, { path }), await sqlite.openReader(host, { path })];
    assert.equal((await beside.read(P, 0, 50)).length, 13);
    assert.deepEqual(await reader.readStream(P, 'none', 1, 9), []);
    await withLog(path, archive);
    assert.deepEqual(
      (await beside.read(P, 0, 50)).map(({ position }) => position),
      Array.from({ length: 13 }, (_, i) => i + 1),
    );
    assert.equal((await reader.readStream(P, 'ord-1', 1, 9)).length, 2);
    assert.equal((await reader.readStream(P, 'ord-1', 2, 9)).length, 1);
    await Promise.all([beside.close(), reader.close()]);
  });

  test('of a copy that is dropped meanwhile finds less of it, without a gap, and nothing that is lost', async () => {
    const reads: Readonly<Record<string, (reader: Reader) => Promise<readonly Entry[]>>> = {
      'a page': (reader) => reader.readPartition(P, 0, 50),
      'a stream': (reader) => reader.readStream(P, 'ord-1', 1, 9),
    };
    for (const [what, read] of Object.entries(reads)) {
      for (const isRead of [false, true]) {
        const { path } = await newGround();
        await withLog(path, async (log) => {
          await trade(log);
          await archive(log);
          const still = standingStill('read');
          // Before it has the bytes of the first segment, or behind.
          const on: Host = isRead
            ? {
                ...host,
                disk: {
                  ...host.disk,
                  async read(name) {
                    const bytes = await host.disk.read(name);
                    await still.on.disk.read(name);
                    return bytes;
                  },
                },
              }
            : still.on;
          const reader = await sqlite.openReader(on, { path });
          const page = read(reader);
          await still.reached;
          await log.moving.release(P);
          while ((await log.moving.drop(P, 100)) === 100);
          still.goOn();
          const found = await page;
          if (what === 'a page')
            assert.deepEqual(
              found.map(({ position }) => position),
              found.map((_, i) => i + 1),
            );
          else assert.ok(found.every(({ stream }) => stream === 'ord-1'));
          assert.ok(found.length < 13);
          await reader.close();
        });
      }
    }
  });

  test('tells of rows that are lost, of answers and of streams without an archive, too', async () => {
    const { path } = await newGround();
    await withLog(path, async (log) => {
      await log.append(P, [event('a', 1), event('a', 2, { key: 'k' }), event('a', 3), event('b', 1)]);
    });
    change(path, `DELETE FROM entries WHERE spot = (${P} << 38) + 2`);
    await withLog(path, async (log) => {
      const lost = isStorageFailure('position 2 of partition 33', 'bring the log');
      await assert.rejects(log.readPartition(P, 0, 9), lost);
      await assert.rejects(log.readPartition(P, 1, 1), lost);
      assert.equal((await log.readPartition(P, 2, 9)).length, 2);
      await assert.rejects(log.readStream(P, 'a', 1, 9), isStorageFailure("events of 'a' in partition 33"));
      await assert.rejects(log.readStream(P, 'a', 2, 9), isStorageFailure("events of 'a'"));
      assert.equal((await log.readStream(P, 'a', 3, 9)).length, 1);
      await assert.rejects(log.findAnswer(P, 'k'), isStorageFailure('position 2', 'a remembered answer'));
      await assert.rejects(all(log, P), lost);
    });
  });
});
