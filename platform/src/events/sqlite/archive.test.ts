/** What of an archive only its files and tables show; how it is read is in the conformance suite. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { Host } from '../../host/host.ts';
import { all, event, events, P, plain } from '../../testing/log-conformance-case.ts';
import { simulatedHost } from '../../testing/simulated/host.ts';
import {
  ASKED,
  archive,
  change,
  forget,
  host,
  isStorageFailure,
  newGround,
  rowsIn,
  trade,
  UNARCHIVED,
  withLog,
} from '../archive/archive.fixture.ts';
import { verifyLog } from '../verify.ts';

let path = '';
let folder = '';

beforeEach(async () => {
  ({ path, archive: folder } = await newGround());
});

const streamsWithRows = (): unknown[] => rowsIn(path, 'SELECT DISTINCT stream FROM entries ORDER BY stream');

describe('an archive beside a file of SQLite', () => {
  test('rows of ended streams and of answers go, those of others stay; the version of the schema is raised', async () => {
    await withLog(path, async (log) => {
      await trade(log);
      assert.deepEqual(rowsIn(path, "SELECT value FROM meta WHERE name = 'schema'"), [1]);
      await archive(log);
    });
    assert.deepEqual(streamsWithRows(), ['acc']);
    assert.deepEqual(rowsIn(path, 'SELECT count(*) FROM entries'), [6]);
    assert.deepEqual(rowsIn(path, 'SELECT last FROM segments'), [6, 12]);
    assert.deepEqual(rowsIn(path, "SELECT value FROM meta WHERE name = 'schema'"), [3]);
    assert.equal((await host.disk.list(folder)).length, 2);
    await withLog(path, (log) => log.moving.release(P));
    assert.deepEqual(rowsIn(path, "SELECT value FROM meta WHERE name = 'schema'"), [3]);
    await assert.rejects(
      withLog(path, async () => undefined, { isMapNew: true }),
      /has given partitions away/,
    );
  });

  test('a stream that ends late takes its rows of long ago with it', async () => {
    await withLog(path, async (log) => {
      await log.append(P, [event('ord-1', 1), ...events('acc', 6)]);
      await forget(log);
      await archive(log);
      assert.deepEqual(streamsWithRows(), ['acc', 'ord-1']);
      await log.append(P, [event('ord-1', 2, { type: 'Ended' }), ...events('acc-2', 6)]);
      await forget(log);
      await archive(log);
    });
    assert.deepEqual(streamsWithRows(), ['acc', 'acc-2']);
  });

  test('appends go on between the steps, also to streams that are about to be archived', async () => {
    await withLog(path, async (log) => {
      for (let i = 1; i <= 12; i += 1)
        await log.append(P, [event(`ord-${i}`, 1), event(`ord-${i}`, 2, { type: 'Ended' })]);
      await forget(log);
      for (let i = 1; i <= 12; i += 1) {
        await log.archive(ASKED);
        await log.append(P, [event(`ord-${i}`, 3)]);
        await assert.rejects(log.append(P, [event(`ord-${i}`, 2)]), /exists already/);
      }
      await archive(log);
      const entries = await all(log, P);
      assert.equal(entries.length, 36);
      for (let i = 1; i <= 12; i += 1) {
        const own = entries.filter(({ stream }) => stream === `ord-${i}`);
        assert.deepEqual((await log.readStream(P, `ord-${i}`, 1, 9)).map(plain), own.map(plain));
        assert.equal(own.length, 3);
      }
    });
    assert.deepEqual((await verifyLog(host, { path })).faults, []);
  });

  test('a long stream is deleted a part at a time', async () => {
    await withLog(path, async (log) => {
      await log.append(P, [...events('ord-1', 700), event('ord-1', 701, { type: 'Ended' }), event('acc', 1)]);
      const entries = await all(log, P);
      await forget(log);
      const asked = { ...ASKED, segmentEntriesMax: 701 };
      let parts = 0;
      for (let rows = 702; await log.archive(asked); ) {
        const [left] = rowsIn(path, 'SELECT count(*) FROM entries') as [number];
        assert.ok(rows - left <= 512, `${rows - left} rows at once`);
        if (left < rows) parts += 1;
        rows = left;
        assert.deepEqual((await all(log, P)).map(plain), entries.map(plain));
      }
      assert.ok(parts >= 2);
      assert.deepEqual(
        (await log.readStream(P, 'ord-1', 1, 900)).map(plain),
        entries.slice(0, 701).map(plain),
      );
    });
    assert.deepEqual(streamsWithRows(), ['acc']);
    assert.deepEqual((await verifyLog(host, { path })).faults, []);
  });

  test('what the disk does not give back as it was written never stands, and no row is deleted for it', async () => {
    const simulated = simulatedHost({ seed: 7 });
    const at = '/data/orders-0.log.db';
    await simulated.run(simulated.disk.makeFolder('/data'));
    const work = withLog(
      at,
      async (log) => {
        await trade(log);
        const entries = await all(log, P);
        assert.ok(await log.archive(ASKED)); // a block is gathered
        assert.ok(await log.archive(ASKED)); // and written
        const [name] = await simulated.disk.list('/data/orders-0.archive');
        assert.ok(name !== undefined);
        const end = simulated.failWrites({ code: 'ENOSPC', path: 'orders-0.archive', count: 1 });
        await archive(log).catch((error) => assert.ok(isStorageFailure('the disk is full')(error)));
        end();
        assert.deepEqual((await all(log, P)).map(plain), entries.map(plain));
        await archive(log);
        assert.deepEqual((await all(log, P)).map(plain), entries.map(plain));
      },
      { on: simulated },
    );
    await simulated.run(work);
    simulated.close();

    const garbled: Host = {
      ...host,
      disk: {
        ...host.disk,
        read: async (name) => {
          const bytes = await host.disk.read(name);
          return name.includes('.archive') ? (bytes?.subarray(0, bytes.length - 1) ?? null) : bytes;
        },
      },
    };
    const { sqlite } = await import('./sqlite.ts');
    await withLog(path, trade);
    const start = { partitions: [P], opener: 1, copies: [], isMapNew: false };
    const { engine } = await sqlite.open(garbled, { path }, start);
    const steps = async (): Promise<void> => {
      while (await engine.archive(ASKED));
    };
    await assert.rejects(steps(), isStorageFailure('orders-0.archive', 'positions 1 to 6 of partition 33'));
    await engine.close();
    assert.deepEqual(rowsIn(path, 'SELECT count(*) FROM entries'), [13]);
    assert.deepEqual(rowsIn(path, 'SELECT count(*) FROM segments'), [0]);
  });

  test('no row is deleted from the moment on when the file is lost that holds it', async () => {
    for (let before = 1; ; before += 1) {
      const { path: at, archive: files } = await newGround();
      const isDone = await withLog(at, async (log) => {
        await trade(log);
        for (let step = 0; step < before; step += 1) if (!(await log.archive(ASKED))) return true;
        if ((await host.disk.list(files)).length === 0) return false;
        await host.disk.remove(files);
        const rows = rowsIn(at, 'SELECT count(*) FROM entries');
        // Another file may be written, and stand: its rows are there.
        const lost = rowsIn(at, 'SELECT max(last) FROM segments')[0] ?? 0;
        await archive(log).catch(() => undefined);
        const left = rowsIn(at, `SELECT count(*) FROM entries WHERE spot <= (${P} << 38) + ${lost}`);
        const were = Number(rows[0]) - (13 - Number(lost));
        assert.ok(
          lost === 0 || Number(left[0]) >= were,
          `${left[0]} of ${were} rows, lost behind ${before} steps`,
        );
        return false;
      });
      if (isDone) return assert.ok(before > 4, `${before}`);
    }
  });

  test('a verification finds rows that do not say what they said, and files that nobody needs yet', async () => {
    await withLog(path, async (log) => {
      await trade(log);
      await archive(log);
    });
    assert.deepEqual((await verifyLog(host, { path })).faults, []);
    change(path, "UPDATE entries SET data = '{}', type = 'Other' WHERE stream = 'acc' AND version = 1");
    const { faults } = await verifyLog(host, { path });
    assert.ok(
      faults.some((fault) => /the row is not the entry in the archive/.test(fault)),
      faults.join('\n'),
    );

    const ground = await newGround();
    await withLog(ground.path, async (log) => {
      await log.append(P, events('acc', 13));
      await forget(log);
      await archive(log);
    });
    assert.deepEqual(rowsIn(ground.path, 'SELECT count(*) FROM entries'), [13]);
    await host.disk.remove(ground.archive);
    const missing = (await verifyLog(host, { path: ground.path })).faults;
    assert.equal(missing.filter((fault) => /is missing/.test(fault)).length, 2, missing.join('\n'));
  });

  test('a file that belongs to nobody does not keep a log closed when the disk has no room for it twice', async () => {
    const simulated = simulatedHost({ seed: 8 });
    const at = '/data/orders-0.log.db';
    await simulated.run(simulated.disk.makeFolder('/data'));
    const on = simulated;
    await simulated.run(
      (async () => {
        await withLog(
          at,
          async (log) => {
            await trade(log);
            await log.archive(ASKED);
            await log.archive(ASKED); // written, and known to no row
          },
          { on },
        );
        const end = simulated.failWrites({ code: 'ENOSPC', path: '.stray', count: 1_000 });
        const told: unknown[] = [];
        await withLog(at, (log) => log.append(P, [event('acc', 7)]), {
          on,
          report: (_, { files }) => told.push(...(files as unknown[])),
        });
        assert.match(String(told), /\.segment$/);
        end();
        await withLog(at, async () => undefined, {
          on,
          report: (_, { files }) => told.push(...(files as unknown[])),
        });
        assert.match(String(told), /\.segment\.stray$/);
      })(),
    );
    simulated.close();
  });

  test('a row that is damaged is not archived', async () => {
    await withLog(path, trade);
    change(path, `UPDATE entries SET data = '[]' WHERE spot = (${P} << 38) + 3`);
    await withLog(path, async (log) => {
      await assert.rejects(archive(log), isStorageFailure('is damaged'));
      assert.equal((await all(log, P)).length, 13);
    });
    assert.deepEqual(rowsIn(path, 'SELECT count(*) FROM entries'), [13]);
  });

  test('a file that is missing is named with what it should hold', async () => {
    await withLog(path, async (log) => {
      await trade(log);
      await archive(log);
    });
    await host.disk.remove(folder);
    const missing = isStorageFailure(
      'orders-0.archive/33-1-1-6-',
      'is missing',
      'positions 1 to 6 of partition 33',
    );
    await withLog(path, (log) => assert.rejects(log.readPartition(P, 0, 10), missing));
    const { faults, entries } = await verifyLog(host, { path });
    assert.ok(
      faults.some((fault) => /is missing: it should hold positions 1 to 6 of partition 33/.test(fault)),
      faults.join('\n'),
    );
    assert.ok(entries >= 1, 'it goes on behind what is missing');
  });

  test('a log of a program that knew no archives is read beside it, and takes them when it is opened', async () => {
    await withLog(path, trade);
    change(path, UNARCHIVED);
    assert.deepEqual((await verifyLog(host, { path })).faults, []);
    await withLog(path, async (log) => {
      await archive(log);
      assert.equal((await all(log, P)).length, 13);
    });
    assert.deepEqual(streamsWithRows(), ['acc']);
  });

  const damages: Readonly<Record<string, readonly [sql: string, ...faults: RegExp[]]>> = {
    'a row that is not what the archive says': [
      `UPDATE entries SET checksum = zeroblob(16) WHERE spot = (${P} << 38) + 2`,
      /position 2: the row is not the entry in the archive/,
    ],
    'a row that is lost of a stream that has not ended': [
      `DELETE FROM entries WHERE spot = (${P} << 38) + 2`,
      /position 2: 'acc' has not ended, and has no row/,
      /stream 'acc': version 2 follows nothing/,
    ],
    'an ended stream that is forgotten': [
      `DELETE FROM ended_streams WHERE stream = 'ord-1'`,
      /position 1: 'ord-1' has not ended, and has no row/,
      /position 3: 'ord-1' has not ended, and has no row/,
    ],
    'an ended stream that is said to stand elsewhere': [
      `UPDATE ended_streams SET positions = x'0103' WHERE stream = 'ord-1'`,
      /position 3: 'ord-1' has ended, and is said to have it at 4/,
      /streams that have ended name 6 events, and 5 are there/,
    ],
    'a segment that is forgotten': [
      'DELETE FROM segments WHERE last = 12',
      /streams that have ended name 6 events, and 4 are there/,
      /position 8: follows position 6/,
      /position 8: the checksum/,
      /position 11: follows position 8/,
      /position 11: the checksum/,
    ],
  };
  for (const [damage, [sql, ...faults]] of Object.entries(damages)) {
    test(`verifyLog finds ${damage}`, async () => {
      await withLog(path, async (log) => {
        await trade(log);
        await archive(log);
      });
      assert.deepEqual((await verifyLog(host, { path })).faults, []);
      change(path, sql);
      const found = (await verifyLog(host, { path })).faults;
      assert.equal(found.length, faults.length, found.join('\n'));
      for (const fault of faults)
        assert.ok(
          found.some((one) => fault.test(one)),
          `${fault} in ${found.join('\n')}`,
        );
    });
  }
});
