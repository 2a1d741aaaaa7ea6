import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { simulatedHost, simulation } from './host.ts';

const failed = (why: RegExp) => (error: unknown) =>
  isCardumeError(error, 'storage-failed') && why.test(error.message);

function openNumbers(host: Pick<Host, 'disk'>, synchronous: 'FULL' | 'NORMAL'): Database {
  const database = host.disk.database('/numbers.db');
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
  database.exec('CREATE TABLE IF NOT EXISTS number (n INTEGER PRIMARY KEY, body TEXT)');
  return database;
}

const add = (database: Database, from: number, to: number): void => {
  const insert = database.prepare('INSERT INTO number VALUES (?, ?)');
  for (let n = from; n <= to; n += 1) insert.run(n, `number ${n} ${'.'.repeat(n * 7)}`);
};

const numbers = (database: Database): readonly number[] =>
  database
    .prepare('SELECT n FROM number ORDER BY n')
    .all()
    .map(({ n }) => Number(n));

const upTo = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i + 1);

test('a crash keeps every commit that was synced, and undoes the open transaction', () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const host = simulatedHost({ seed });
    const database = openNumbers(host, 'FULL');
    add(database, 1, 60);
    database.exec('BEGIN');
    add(database, 61, 70);
    host.crash();
    assert.throws(() => numbers(database), /not open|finalized/);
    assert.deepEqual(numbers(host.disk.database('/numbers.db')), upTo(60));
    host.close();
  }
});

test('without a sync per commit a crash loses the last commits, and only those', () => {
  const kept = new Set<number>();
  for (let seed = 1; seed <= 30; seed += 1) {
    const host = simulatedHost({ seed });
    const database = openNumbers(host, 'NORMAL');
    add(database, 1, 40);
    if (seed % 2 === 0) {
      const reader = openNumbers(host, 'NORMAL');
      reader.exec('BEGIN');
      numbers(reader); // while it reads, the log grows behind what was checkpointed instead of starting anew
    }
    database.exec('PRAGMA wal_checkpoint(PASSIVE)');
    if (seed % 3 !== 0) add(database, 41, 100);
    host.crash();

    const again = openNumbers(host, 'NORMAL');
    const left = numbers(again);
    assert.ok(left.length >= 40, `what the checkpoint synced is there: ${left.length}`);
    assert.deepEqual(left, upTo(left.length));
    assert.equal(again.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
    add(again, left.length + 1, 120);
    again.close();
    assert.deepEqual(numbers(host.disk.database('/numbers.db')), upTo(120));
    kept.add(left.length);
    host.close();
  }
  assert.ok(kept.size > 5, `30 crashes kept ${[...kept].join(', ')}`);
});

test('a log that a killed process made and never synced gets its name with the next commit', () => {
  const { machine, close } = simulation({ seed: 1 });
  const host = machine('one');
  openNumbers(host.process(), 'FULL').close();
  assert.deepEqual(numbers(host.process().disk.database('/numbers.db')), []);
  host.kill();
  add(openNumbers(host.process(), 'FULL'), 1, 10);
  host.crash();
  assert.deepEqual(numbers(openNumbers(host.process(), 'FULL')), upTo(10));
  close();
});

test('a database that was closed is synced', () => {
  const host = simulatedHost({ seed: 1 });
  const database = openNumbers(host, 'NORMAL');
  add(database, 1, 100);
  database.close();
  host.crash();
  assert.deepEqual(numbers(host.disk.database('/numbers.db')), upTo(100));
  host.close();
});

test('a file that was being written holds the old or the new after a crash', async () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 20; seed += 1) {
    const host = simulatedHost({ seed });
    await host.run(host.disk.write('/file', 'old'));
    let told = false;
    void host.disk.write('/file', 'new').then(() => {
      told = true;
    });
    host.crash();
    seen.add(String(await host.run(host.disk.read('/file'))));
    assert.deepEqual(await host.run(host.disk.list('/')), ['file']);
    assert.equal(told, false, 'the code that waited is gone');
    await host.run(host.disk.write('/file', 'newer'));
    host.crash();
    assert.equal(String(await host.run(host.disk.read('/file'))), 'newer');
    host.close();
  }
  assert.deepEqual([...seen].sort(), ['new', 'old']);
});

test('a write fails as often as the fault says, and changes nothing', async () => {
  const host = simulatedHost({ seed: 1 });
  await host.run(host.disk.write('/file', 'old'));
  host.failWrites({ code: 'ENOSPC', count: 2, path: 'file' });
  await host.run(host.disk.write('/other', 'x'));
  for (let i = 0; i < 2; i += 1) {
    await assert.rejects(host.run(host.disk.write('/file', 'new')), failed(/^\/file: the disk is full$/));
  }
  assert.equal(String(await host.run(host.disk.read('/file'))), 'old');
  await host.run(host.disk.write('/file', 'new'));
  assert.equal(String(await host.run(host.disk.read('/file'))), 'new');

  host.failWrites({ code: 'EIO', count: Number.POSITIVE_INFINITY });
  for (let i = 0; i < 5; i += 1)
    await assert.rejects(host.run(host.disk.write('/file', 'x')), failed(/input\/output/));
  host.mendDisk();
  await host.run(host.disk.write('/file', 'mended'));
  host.close();
});

test('a commit that fails leaves nothing: SQLite has undone the transaction', () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const host = simulatedHost({ seed });
    const database = openNumbers(host, 'FULL');
    add(database, 1, 3);
    host.failWrites({ code: 'ENOSPC' });
    database.exec('BEGIN');
    add(database, 4, 5); // into SQLite's cache
    assert.throws(() => database.exec('COMMIT'), failed(/^\/numbers\.db: the disk is full$/));
    assert.throws(() => database.exec('ROLLBACK'), /no transaction is active/);
    assert.deepEqual(numbers(database), upTo(3));
    host.failWrites({ code: 'EIO' });
    assert.throws(() => add(database, 4, 4), failed(/input\/output/));
    add(database, 4, 4);
    assert.deepEqual(numbers(database), upTo(4));
    host.close();
  }
});

test('a failure may be reported of a commit that stands', () => {
  const host = simulatedHost({ seed: 1 });
  const database = openNumbers(host, 'FULL');
  host.failWrites({ code: 'EIO', written: true });
  database.exec('BEGIN');
  add(database, 1, 2);
  assert.throws(() => database.exec('COMMIT'), failed(/input\/output/));
  host.crash();
  assert.deepEqual(numbers(host.disk.database('/numbers.db')), upTo(2));
  host.close();
});

test('a bad sector is found', () => {
  const host = simulatedHost({ seed: 1 });
  const database = openNumbers(host, 'FULL');
  add(database, 1, 100);
  database.close();
  host.damage('/numbers.db', 4_096, 8_192);
  assert.throws(
    () => numbers(host.disk.database('/numbers.db')),
    failed(/^\/numbers\.db: the file is damaged$/),
  );
  host.close();
});

test('SQL finds files under the machine’s folder', async () => {
  const host = simulatedHost({ seed: 1 });
  const database = openNumbers(host, 'FULL');
  add(database, 1, 10);
  database.exec(`VACUUM INTO '${host.folder}/copy.db'`);
  assert.deepEqual(numbers(host.disk.database('/copy.db')), upTo(10));
  assert.deepEqual(numbers(host.disk.database(`${host.folder}/copy.db`)), upTo(10));
  host.close();
});
