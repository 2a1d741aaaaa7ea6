import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { answer, event, events, P, Q } from '../testing/log-conformance-case.ts';
import { openLog, openWriterPool } from './events.ts';
import { FAULTS_MAX, verifyLog } from './verify.ts';

const host = realHost();
const P_3 = `spot = (${P} << 38) + 3`;

describe('verifyLog', () => {
  let folder: string;
  let sound: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cardume-verify-'));
    sound = join(folder, 'sound.db');
    const pool = openWriterPool(host, { threadsMax: 1 });
    const log = await openLog(host, {
      path: sound,
      partitions: [P, Q],
      pool,
      bounds: { batchEntriesMax: 8, queueEntriesMax: 99 },
    });
    await log.append(P, [...events('s', 4), answer('s', 'k'), event('s', 5, { key: 'l' })]);
    await log.append(Q, events('t', 2));
    await log.close();
    await pool.close();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('finds nothing in a sound log', async () => {
    const { entries, faults, heads } = await verifyLog(host, { path: sound });
    assert.deepEqual([entries, faults], [8, []]);
    assert.deepEqual(
      heads.map(({ partition, position, epoch }) => [partition, position, epoch]),
      [
        [P, 6, 1],
        [Q, 2, 1],
      ],
    );
  });

  const damages: Readonly<Record<string, readonly [sql: string, ...faults: RegExp[]]>> = {
    'a changed byte': [`UPDATE entries SET data = '[]' WHERE ${P_3}`, /position 3: the checksum/],
    'a lost entry': [
      `DELETE FROM entries WHERE ${P_3}`,
      /position 4: follows position 2/,
      /position 4: the checksum/,
      /stream 's': version 4 follows 2/,
    ],
    'a lost tail': [
      `DELETE FROM entries WHERE spot = (${P} << 38) + 6`,
      /the head is at 6, the last entry at 5/,
      /another key/,
    ],
    'an epoch that goes back': [
      `UPDATE entries SET epoch = 2 WHERE ${P_3}`,
      /position 3: the checksum/,
      /position 4: epoch 1 after 2/,
    ],
    'a moved answer': [
      `UPDATE answers SET position = 3 WHERE key = 'k'`,
      /position 3, which has another key/,
    ],
    'a changed head': [
      `UPDATE heads SET checksum = zeroblob(16) WHERE partition = ${Q}`,
      /partition 34: the head/,
    ],
    'a lost head': [`DELETE FROM heads WHERE partition = ${Q}`, /partition 34: has entries and no head/],
  };
  for (const [damage, [sql, ...faults]] of Object.entries(damages)) {
    test(`finds ${damage}`, async () => {
      const path = join(folder, `${damage}.db`);
      await host.disk.write(path, (await host.disk.read(sound)) as Uint8Array);
      const database = host.disk.database(path);
      database.exec(sql);
      database.close();
      const found = (await verifyLog(host, { path })).faults;
      assert.equal(found.length, faults.length, found.join('\n'));
      for (const [i, fault] of faults.entries()) assert.match(found[i] as string, fault);
    });
  }

  test('names a bounded number of faults', async () => {
    const path = join(folder, 'many.db');
    const pool = openWriterPool(host, { threadsMax: 1 });
    const log = await openLog(host, {
      path,
      partitions: [P],
      pool,
      bounds: { batchEntriesMax: 999, queueEntriesMax: 999 },
    });
    await log.append(P, events('s', FAULTS_MAX * 2));
    await log.close();
    await pool.close();
    const database = host.disk.database(path);
    database.exec("UPDATE entries SET data = '[]'");
    database.close();
    assert.equal((await verifyLog(host, { path })).faults.length, FAULTS_MAX);
  });

  test('refuses a log of a newer program', async () => {
    const path = join(folder, 'newer.db');
    await host.disk.write(path, (await host.disk.read(sound)) as Uint8Array);
    const database = host.disk.database(path);
    database.exec("UPDATE meta SET value = 99 WHERE name = 'schema'");
    database.close();
    const newer = (error: unknown): boolean =>
      isCardumeError(error, 'storage-failed') &&
      /schema 99, and this program knows up to/.test(error.message);
    await assert.rejects(verifyLog(host, { path }), newer);
    const pool = openWriterPool(host, { threadsMax: 1 });
    const bounds = { batchEntriesMax: 8, queueEntriesMax: 99 };
    await assert.rejects(openLog(host, { path, partitions: [P], pool, bounds }), newer);
    await pool.close();
  });
});
