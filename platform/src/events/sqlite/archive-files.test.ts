/** Files of an archive that the log does not know: they are moved aside and told, whoever finds them and when. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { all, events, P, plain } from '../../testing/log-conformance-case.ts';
import {
  ASKED,
  archive,
  forget,
  host,
  isStorageFailure,
  newGround,
  standingStill,
  trade,
  withLog,
} from '../archive/archive.fixture.ts';
import type { Report } from '../shard-log.ts';
import { verifyLog } from '../verify.ts';
import { sqlite } from './sqlite.ts';

const nothing = async (): Promise<void> => undefined;
const opening = (opener: number) => ({ partitions: [P], opener, copies: [], isMapNew: false });

/** Leaves a segment that was written and does not stand. */
async function cutOff(path: string): Promise<void> {
  await withLog(path, async (log) => {
    await trade(log);
    assert.ok(await log.archive(ASKED)); // partition P has nothing to clear: a block is gathered
    assert.ok(await log.archive(ASKED)); // and written
  });
}

describe('files of an archive that no row knows', () => {
  test('are moved aside at the next opening and told once; those of other partitions, and others, stay', async () => {
    const { path, archive: folder } = await newGround();
    await cutOff(path);
    const [stray] = await host.disk.list(folder);
    assert.match(stray as string, new RegExp(`^${P}-1-1-6-`));
    await withLog(path, archive); // made again in the next epoch
    const stand = (await host.disk.list(folder)).filter((name) => name.endsWith('.segment'));
    assert.equal(stand.length, 2);
    const others = ['7-1-1-6-00.segment', 'notes.txt'];
    for (const name of [`${P}-1-7-12-00.segment`, `${stand[0]}.1a2b.tmp`, ...others])
      await host.disk.write(join(folder, name), 'cut off');
    const told: unknown[] = [];
    const report: Report = (_message, fields) => void told.push(fields['files']);
    await withLog(path, nothing, { report });
    const aside = [`${P}-1-7-12-00.segment.stray`, `${stand[0]}.1a2b.tmp.stray`];
    assert.deepEqual(await host.disk.list(folder), [...stand, ...others, ...aside, `${stray}.stray`].sort());
    assert.deepEqual(told, [aside.map((name) => `${folder}/${name}`)]);
    await withLog(path, nothing, { report });
    assert.equal(told.length, 1);
    // A name that is found once more hides nothing that was moved before.
    await host.disk.write(join(folder, `${P}-1-7-12-00.segment`), 'again');
    await withLog(path, nothing);
    assert.ok((await host.disk.list(folder)).includes(`${P}-1-7-12-00.segment.2.stray`));
  });

  test('are not moved by one who stood still, when its successor has made them again', async () => {
    const { path, archive: folder } = await newGround();
    await cutOff(path);
    for (const operation of ['read', 'remove'] as const) {
      const still = standingStill(operation);
      const first = sqlite.open(still.on, { path }, opening(1));
      await still.reached;
      const { engine } = await sqlite.open(host, { path }, opening(2));
      await archive(engine);
      const stand = (await host.disk.list(folder)).filter((name) => name.endsWith('.segment'));
      assert.ok(stand.length >= 2);
      still.goOn();
      await (await first).engine.close();
      for (const name of stand.slice(-2)) assert.ok((await host.disk.list(folder)).includes(name));
      assert.equal((await engine.reader.readPartition(P, 0, 50)).length, 13);
      await engine.close();
      await host.disk.write(join(folder, `${P}-1-1-6-00.segment`), 'one more'); // for the other operation
    }
    assert.deepEqual((await verifyLog(host, { path })).faults, []);
  });

  test('of a later opening stay, whoever opened before and looks late', async () => {
    const { path, archive: folder } = await newGround();
    await withLog(path, trade);
    const later = `${P}-9-1-6-00.segment`;
    await host.disk.makeFolder(folder);
    await host.disk.write(join(folder, later), 'about to stand');
    await withLog(path, nothing);
    assert.deepEqual(await host.disk.list(folder), [later]);
  });

  test('come back with the log that knows them', async () => {
    const { path, archive: folder } = await newGround();
    await withLog(path, async (log) => {
      await trade(log);
    });
    const older = (await host.disk.read(path)) as Uint8Array;
    const entries = await withLog(path, async (log) => {
      await archive(log);
      return all(log, P);
    });
    const newer = (await host.disk.read(path)) as Uint8Array;
    const stand = await host.disk.list(folder);
    for (const [log, seen] of [
      [older, stand.map((name) => `${name}.stray`)],
      [newer, stand],
    ] as const) {
      await host.disk.remove(path);
      await host.disk.write(path, log);
      for (let i = 0; i < 3; i += 1) await withLog(path, nothing); // its epochs grow beyond the files'
      assert.deepEqual(await host.disk.list(folder), seen);
    }
    await withLog(path, async (log) => assert.deepEqual((await log.readStream(P, 'ord-1', 1, 9)).length, 2));
    await withLog(path, async (log) => assert.deepEqual((await all(log, P)).map(plain), entries.map(plain)));
  });

  test('of a longer log refuse the start of an older one, or a new one, and stay', async () => {
    const { path, archive: folder } = await newGround();
    await withLog(path, trade);
    const older = (await host.disk.read(path)) as Uint8Array;
    await withLog(path, async (log) => {
      await log.append(P, events('ord-4', 12));
      await forget(log);
      await archive(log);
    });
    const stand = await host.disk.list(folder);
    assert.equal(stand.length, 4);
    const refused = isStorageFailure('orders-0.archive/33-', 'of a longer log than', 'from the same backup');
    for (const log of [older, null]) {
      await host.disk.remove(path);
      if (log !== null) await host.disk.write(path, log);
      await assert.rejects(withLog(path, nothing), refused);
      assert.deepEqual(await host.disk.list(folder), stand);
    }
  });

  test('do not hold up a copy that is dropped, which removes its own alone', async () => {
    const { path, archive: folder } = await newGround();
    await withLog(path, async (log) => {
      await trade(log);
      await archive(log);
      const entries = await all(log, P);
      const names = await host.disk.list(folder);
      const bytes = await Promise.all(names.map((name) => host.disk.read(join(folder, name))));
      await log.moving.release(P);
      while ((await log.moving.drop(P, 100)) === 100);
      assert.deepEqual(await host.disk.list(folder), []);
      // As after a failure of power that took the removal back.
      for (const [i, name] of names.entries())
        await host.disk.write(join(folder, name), bytes[i] as Uint8Array);
      await log.moving.begin(P);
      await log.moving.copy([{ partition: P, homeEpoch: null, entries: entries.slice(0, 3) }]);
      assert.equal(await log.moving.drop(P, 100), 3);
      assert.deepEqual(await host.disk.list(folder), names);
      await log.moving.begin(P);
      await log.moving.copy([{ partition: P, homeEpoch: null, entries: entries }]);
      await log.moving.adopt(P, entries.at(-1)?.epoch as number);
      await archive(log);
      await forget(log);
      await archive(log);
      assert.deepEqual((await all(log, P)).map(plain), entries.map(plain));
    });
    await withLog(path, (log) => all(log, P));
    assert.deepEqual((await verifyLog(host, { path })).faults, []);
  });
});
