/** What the disk of every host must do. */
import assert from 'node:assert/strict';
import { isCardumeError } from '../base/errors.ts';
import type { Database } from '../host/disk.ts';
import { type Cases, fails, text, throwsCode } from './host-case.ts';

export const files: Cases = {
  async 'what was written is read back, and the new replaces the old'({ disk }, folder) {
    const path = `${folder}/settings.json`;
    assert.equal(await disk.read(path), null);
    await disk.write(path, '{"a":1}', 0o600);
    assert.equal(text(await disk.read(path)), '{"a":1}');
    await disk.write(path, Uint8Array.of(0, 255, 10));
    assert.deepEqual([...((await disk.read(path)) ?? [])], [0, 255, 10]);
    assert.deepEqual(await disk.list(folder), ['settings.json']);
  },

  async 'of writes at the same time one wins as a whole, and nothing else is left'({ disk }, folder) {
    const path = `${folder}/contended`;
    const contents = Array.from({ length: 10 }, (_, i) => String(i).repeat(1 + i * 1_000));
    await Promise.all(contents.map((content) => disk.write(path, content)));
    assert.ok(contents.includes(text(await disk.read(path))), 'one of the writes, from start to end');
    assert.deepEqual(await disk.list(folder), ['contended']);
  },

  async 'folders are made with their parents, listed in order, and removed with what they hold'(
    { disk },
    folder,
  ) {
    assert.deepEqual(await disk.list(`${folder}/a/b`), []);
    await disk.makeFolder(`${folder}/a/b`);
    await disk.makeFolder(`${folder}/a/b`);
    for (const name of ['zebra', 'Ant', 'bee', '10', '9']) await disk.write(`${folder}/a/b/${name}`, name);
    assert.deepEqual(await disk.list(`${folder}/a/b`), ['10', '9', 'Ant', 'bee', 'zebra']);
    await disk.remove(`${folder}/a/b/bee`);
    await disk.remove(`${folder}/a/b/bee`);
    assert.deepEqual(await disk.list(`${folder}/a/b`), ['10', '9', 'Ant', 'zebra']);
    await disk.remove(`${folder}/a`);
    assert.deepEqual(await disk.list(`${folder}/a/b`), []);
    assert.equal(await disk.read(`${folder}/a/b/Ant`), null);
  },

  async 'a write into a folder that does not exist says so'({ disk }, folder) {
    await fails(
      disk.write(`${folder}/missing/file`, 'x'),
      'storage-failed',
      /missing\/file: the folder does not exist/,
    );
  },
};

export const databases: Cases = {
  async 'files of one connection are read together, and each fails by its name'({ disk }, folder) {
    const paths = ['a', 'b', 'c'].map((name) => `${folder}/${name}.db`);
    for (const path of paths) {
      const database = disk.database(path);
      database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (path TEXT); INSERT INTO t VALUES ('')");
      database.prepare('UPDATE t SET path = ?').run(path);
      database.close();
    }
    const [first = '', ...others] = paths;
    const together = disk.database(first, { readOnly: true, attached: others });
    const read = 'SELECT path FROM t UNION ALL SELECT path FROM file1.t UNION ALL SELECT path FROM file2.t';
    assert.deepEqual(
      together
        .prepare(read)
        .all()
        .map(({ path }) => path),
      paths,
    );
    throwsCode(() => together.exec('DELETE FROM file2.t'), 'storage-failed', /read-only/);
    const writer = disk.database(`${folder}/c.db`);
    writer.exec("INSERT INTO t VALUES ('')"); // nobody holds a lock
    assert.equal(together.prepare('SELECT path FROM file2.t').all().length, 2);
    writer.close();
    together.close();
    throwsCode(
      () => disk.database(first, { readOnly: true, attached: [`${folder}/missing.db`] }),
      'storage-failed',
      /^[^,]*missing\.db: the file cannot be opened/,
    );
  },

  async 'rows come back as they were stored, also after the database was closed'({ disk }, folder) {
    const path = `${folder}/shop.db`;
    const first = disk.database(path);
    first.exec(
      'PRAGMA journal_mode = WAL; CREATE TABLE product (code TEXT PRIMARY KEY, stock INTEGER, picture BLOB)',
    );
    const insert = first.prepare('INSERT INTO product VALUES (?, ?, ?)');
    assert.equal(insert.run('b', 2, Uint8Array.of(1, 2)).changes, 1);
    assert.equal(insert.run('a', 2n ** 60n, null).changes, 1);
    first.close();

    const again = disk.database(path);
    const byCode = again.prepare('SELECT * FROM product WHERE code = ?').readBigInts();
    assert.deepEqual({ ...byCode.get('a') }, { code: 'a', stock: 2n ** 60n, picture: null });
    assert.equal(byCode.get('none'), undefined);
    assert.deepEqual(byCode.get('b')?.['picture'], Uint8Array.of(1, 2));
    const codes = again.prepare('SELECT code FROM product ORDER BY code');
    assert.deepEqual(
      codes.all().map(({ code }) => code),
      ['a', 'b'],
    );
    assert.deepEqual(
      [...codes.iterate()].map(({ code }) => code),
      ['a', 'b'],
    );
    assert.equal(again.prepare('UPDATE product SET stock = 0').run().changes, 2);
    again.close();
  },

  async 'a violated constraint is a conflict, and the database goes on'({ disk }, folder) {
    const database = disk.database(`${folder}/shop.db`);
    database.exec('CREATE TABLE claim (email TEXT PRIMARY KEY NOT NULL) STRICT');
    const insert = database.prepare('INSERT INTO claim VALUES (?)');
    insert.run('ana@example.com');
    throwsCode(() => insert.run('ana@example.com'), 'conflict', /claim\.email/);
    throwsCode(() => insert.run(null), 'conflict', /claim\.email/);
    assert.equal(insert.run('rui@example.com').changes, 1);
    throwsCode(
      () => database.exec("INSERT INTO claim VALUES ('rui@example.com')"),
      'conflict',
      /claim\.email/,
    );
    database.close();
  },

  async 'wrong SQL is a bug, not an expected failure'({ disk }, folder) {
    const database = disk.database(`${folder}/shop.db`);
    assert.throws(
      () => database.prepare('SELECT nothing FROM nowhere'),
      (error) => !isCardumeError(error),
    );
    database.close();
  },

  async 'a file that is no database is refused when it is opened'({ disk }, folder) {
    const path = `${folder}/letter.db`;
    await disk.write(path, 'Dear all, '.repeat(1_000));
    throwsCode(() => disk.database(path), 'storage-failed', /letter\.db: the file is not a database/);
  },

  async 'a damaged page is found when it is read'({ disk }, folder) {
    const path = `${folder}/damaged.db`;
    fill(disk.database(path), 2_000).close();
    const bytes = Uint8Array.from((await disk.read(path)) ?? []);
    for (let page = 2; page * 4_096 < bytes.length; page += 1)
      bytes.fill(0xff, page * 4_096, page * 4_096 + 64);
    await disk.write(path, bytes);

    const database = disk.database(path);
    const everything = database.prepare('SELECT id, body FROM note');
    throwsCode(() => everything.all(), 'storage-failed', /damaged\.db: the file is damaged/);
    throwsCode(() => [...everything.iterate()], 'storage-failed', /damaged\.db: the file is damaged/);
    database.close();
  },

  async 'a read-only database is read, not written'({ disk }, folder) {
    const path = `${folder}/notes.db`;
    throwsCode(
      () => disk.database(path, { readOnly: true }),
      'storage-failed',
      /notes\.db: the file cannot be opened/,
    );
    fill(disk.database(path), 10).close();
    const database = disk.database(path, { readOnly: true });
    assert.equal(database.prepare('SELECT count(*) AS notes FROM note').get()?.['notes'], 10);
    throwsCode(() => database.exec('DELETE FROM note'), 'storage-failed', /notes\.db: the file is read-only/);
    database.close();
  },

  async 'others see a transaction when it is committed, and not one that was closed open'({ disk }, folder) {
    const path = `${folder}/notes.db`;
    const writer = disk.database(path);
    writer.exec('PRAGMA journal_mode = WAL');
    fill(writer, 10);
    const reader = disk.database(path, { readOnly: true });
    const count = reader.prepare('SELECT count(*) AS notes FROM note');
    writer.exec('BEGIN; DELETE FROM note');
    assert.equal(count.get()?.['notes'], 10);
    writer.exec('COMMIT');
    assert.equal(count.get()?.['notes'], 0);
    fill(writer, 10);
    writer.exec('BEGIN; DELETE FROM note');
    writer.close();
    assert.equal(count.get()?.['notes'], 10);
    reader.close();
  },

  async 'a lock that another connection keeps is told'({ disk }, folder) {
    const path = `${folder}/notes.db`;
    const one = fill(disk.database(path), 1);
    const two = disk.database(path, { busyTimeoutMs: 1 });
    one.exec('BEGIN IMMEDIATE');
    throwsCode(
      () => two.exec('BEGIN IMMEDIATE'),
      'storage-failed',
      /notes\.db: another process holds the lock/,
    );
    one.exec('COMMIT');
    two.exec('BEGIN IMMEDIATE; COMMIT');
    one.close();
    two.close();
  },

  async 'a database in memory is its connection’s alone'({ disk }, folder) {
    const one = fill(disk.database(':memory:'), 3);
    const two = fill(disk.database(':memory:'), 5);
    assert.equal(one.prepare('SELECT count(*) AS notes FROM note').get()?.['notes'], 3);
    assert.equal(two.prepare('SELECT count(*) AS notes FROM note').get()?.['notes'], 5);
    one.close();
    two.close();
    assert.deepEqual(await disk.list(folder), []);
  },
};

function fill(database: Database, notes: number): Database {
  database.exec('CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, body TEXT)');
  const insert = database.prepare('INSERT INTO note (body) VALUES (?)');
  database.exec('BEGIN');
  for (let i = 0; i < notes; i += 1) insert.run(`note ${i} ${'.'.repeat(100)}`);
  database.exec('COMMIT');
  return database;
}
