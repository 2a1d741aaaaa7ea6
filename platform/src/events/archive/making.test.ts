/** The bounds of a step, and what becomes of partitions beside each other. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { all, event, events, P, plain, Q } from '../../testing/log-conformance-case.ts';
import { sqlite } from '../sqlite/sqlite.ts';
import { verifyLog } from '../verify.ts';
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
  withLog,
} from './archive.fixture.ts';

describe('a step of archiving', () => {
  test('looks at one partition, if it has nothing to archive', async () => {
    const { path } = await newGround();
    const partitions = Array.from({ length: 40 }, (_, i) => i);
    await withLog(
      path,
      async (log) => {
        let steps = 0;
        while (await log.archive(ASKED)) steps += 1;
        assert.equal(steps, partitions.length);
      },
      { partitions },
    );
  });

  test('gathers about a megabyte, of entries that are large', async () => {
    const { path, archive: folder } = await newGround();
    await withLog(path, async (log) => {
      const data = JSON.stringify('x'.repeat(300_000));
      for (let i = 1; i <= 6; i += 1)
        await log.append(P, [event(`ord-${i}`, 1, { data }), event(`ord-${i}`, 2, { data, type: 'Ended' })]);
      await log.append(P, events('acc', 1));
      const entries = await all(log, P);
      await forget(log);
      let steps = 0;
      while (await log.archive({ ...ASKED, segmentEntriesMax: 12 })) steps += 1;
      assert.ok(steps > 12, `${steps} steps`);
      assert.deepEqual((await all(log, P)).map(plain), entries.map(plain));
    });
    const [name] = await host.disk.list(folder);
    const bytes = Buffer.from((await host.disk.read(join(folder, name as string))) as Uint8Array);
    const head = JSON.parse(bytes.toString('utf8', 4, 4 + bytes.readUInt32BE())) as {
      blocks: [first: number][];
    };
    assert.deepEqual(
      head.blocks.map(([first]) => first),
      [1, 5, 9],
    );
  });

  test('reads back a block at most before it deletes rows, also those of long ago', async () => {
    const { path } = await newGround();
    await withLog(path, async (log) => {
      // A stream that has an event in each of many segments, and ends in the last one.
      for (let i = 1; i <= 10; i += 1) await log.append(P, [event('ord-long', i), ...events(`acc-${i}`, 5)]);
      await log.append(P, events('acc', 1));
      await forget(log);
      await archive(log);
      assert.equal(rowsIn(path, 'SELECT count(*) FROM segments').at(0), 10);
      await log.append(P, [event('ord-long', 11, { type: 'Ended' }), ...events('acc-11', 6)]);
      await forget(log);
      const entries = await all(log, P);
      let steps = 0;
      let isHeld = true;
      while (await log.archive(ASKED)) {
        const [rows] = rowsIn(path, "SELECT count(*) FROM entries WHERE stream = 'ord-long'");
        if (isHeld && rows === 0) assert.ok(steps >= 10, `deleted after ${steps} steps`);
        isHeld = rows !== 0;
        steps += 1;
      }
      assert.equal(isHeld, false);
      assert.deepEqual((await all(log, P)).map(plain), entries.map(plain));
      assert.equal((await log.readStream(P, 'ord-long', 1, 99)).length, 11);
    });
    assert.deepEqual((await verifyLog(host, { path })).faults, []);
  });

  test('looks up a stream of many versions a part at a time', async () => {
    const { path } = await newGround();
    await withLog(path, async (log) => {
      for (let i = 0; i < 9; i += 1)
        await log.append(
          P,
          Array.from({ length: 900 }, (_, n) => event('ord-1', i * 900 + n + 1)),
        );
      await log.append(P, [event('ord-1', 8_101, { type: 'Ended' }), event('acc', 1)]);
      await forget(log);
      let steps = 0;
      while (await log.archive({ ...ASKED, segmentEntriesMax: 8_101 })) steps += 1;
      // 32 blocks are gathered and walked, versions are looked up by 2,000, and 256 rows are deleted a step.
      assert.ok(steps >= 32 + 32 + 5 + 32, `${steps} steps`);
      assert.equal((await log.readStream(P, 'ord-1', 8_000, 999)).length, 102);
    });
    assert.deepEqual(rowsIn(path, 'SELECT count(*) FROM entries'), [1]);
    assert.deepEqual(rowsIn(path, 'SELECT version FROM ended_streams'), [8_101]);
    assert.deepEqual((await verifyLog(host, { path })).faults, []);
  });
});

describe('partitions that cannot be archived', () => {
  test('are told when the round ends, and those behind them are archived', async () => {
    const { path } = await newGround();
    const partitions = [P - 1, P, Q];
    await withLog(
      path,
      async (log) => {
        for (const partition of partitions)
          await log.append(
            partition,
            [
              ...[1, 2, 3].flatMap((i) => [event(`ord-${i}`, 1), event(`ord-${i}`, 2, { type: 'Ended' })]),
              event('acc', 1),
            ].map((one) => ({ ...one, stream: `${one.stream}-${partition}` })),
          );
        await forget(log);
      },
      { partitions },
    );
    for (const partition of [P - 1, P])
      change(path, `UPDATE entries SET data = '[]' WHERE spot = (${partition} << 38) + 3`);
    await withLog(
      path,
      async (log) => {
        for (let round = 0; round < 2; round += 1)
          await assert.rejects(
            archive(log),
            isStorageFailure('is damaged', '(and 1 more partitions failed)'),
          );
        assert.equal((await log.readPartition(Q, 0, 50)).length, 7);
      },
      { partitions },
    );
    assert.deepEqual(rowsIn(path, 'SELECT partition FROM segments'), [Q]);
  });

  test('because another host has them by now are passed over', async () => {
    const { path } = await newGround();
    await withLog(path, trade);
    const start = { copies: [], isMapNew: false };
    const { engine: stale } = await sqlite.open(host, { path }, { ...start, partitions: [P, Q], opener: 1 });
    await stale.archive(ASKED);
    const { engine } = await sqlite.open(host, { path }, { ...start, partitions: [P], opener: 2 });
    await archive(stale);
    assert.deepEqual(rowsIn(path, 'SELECT last FROM segments'), []);
    await archive(engine);
    assert.deepEqual(rowsIn(path, 'SELECT last FROM segments'), [6, 12]);
    await Promise.all([engine.close(), stale.close()]);
  });
});
