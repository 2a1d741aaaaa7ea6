/** Three programs, one after another and side by side, on one database. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { CardumeError } from '../base/errors.ts';
import type { SqlRow } from '../host/disk.ts';
import { realHost } from '../host/real.ts';
import type { SqlDatabase, SqlSession } from '../host/sql.ts';
import { serverNamed } from '../testing/servers.ts';
import * as mysql from './mysql/migrate.ts';
import { type Found, missingSteps, type Schema } from './schema.ts';
import * as sqlite from './sqlite/migrate.ts';

const host = realHost();
const mariadb = await serverNamed(host, 'mariadb');
const folder = mkdtempSync(join(tmpdir(), 'cardume-migrate-'));
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  if (mariadb.skip === false) await mariadb.server.admin.close();
});

const base = { of: 'test', table: 'versions', row: 'test', sign: 'notes' };
const first = {
  what: 'notes',
  statements: ['CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, old VARCHAR(20))'],
};
/** Expands: the program before writes rows without the new column. */
const second = {
  what: 'authors',
  statements: [
    'ALTER TABLE notes ADD COLUMN author VARCHAR(20)',
    'CREATE TABLE IF NOT EXISTS authors (id INTEGER PRIMARY KEY)',
  ],
};
/** Contracts: what the second program does not use any more. */
const third = { what: 'no old text', statements: ['ALTER TABLE notes DROP COLUMN old'], needs: 2 };
const programs: readonly Schema[] = [
  { ...base, steps: [first], released: 0 },
  { ...base, steps: [first, second], released: 1 },
  { ...base, steps: [first, second, third], released: 2, oldest: 2 },
];
const [one, two, three] = programs as [Schema, Schema, Schema];

const numbersOf = ({ needs, expanded }: Found): (number | null)[] => [needs, expanded];

interface Opened {
  readonly name: string;
  migrate(schema: Schema): Promise<void>;
  check(schema: Schema): Promise<void>;
  raiseNeeds(schema: Schema, needs: number): Promise<void>;
  numbers(): Promise<(number | null)[]>;
  rows(sql: string): Promise<SqlRow[]>;
  close(): Promise<void>;
}

let files = 0;
async function openSqlite(): Promise<Opened> {
  files += 1;
  const name = join(folder, `${files}.db`);
  const database = host.disk.database(name);
  return {
    name,
    migrate: async (schema) => sqlite.migrate(database, name, schema),
    check: async (schema) => sqlite.checkSchema(database, name, schema),
    raiseNeeds: async (schema, needs) => sqlite.raiseNeeds(database, schema, needs),
    numbers: async () => numbersOf(sqlite.foundIn(database, three)),
    rows: async (sql) => database.prepare(sql).all() as SqlRow[],
    close: async () => database.close(),
  };
}

async function newServerDatabase(): Promise<{ connect(): SqlDatabase; drop(): Promise<void> }> {
  assert.ok(mariadb.skip === false);
  const { address, drop } = await mariadb.server.newDatabase();
  const connect = (): SqlDatabase =>
    host.sql.database(address, { connectionsMax: 1, statementTimeoutMs: 10_000 });
  return { connect, drop };
}

async function openMysql(): Promise<Opened> {
  const { connect, drop } = await newServerDatabase();
  const database = connect();
  return {
    name: database.name,
    migrate: (schema) => mysql.migrate(host.clock, database, schema),
    check: (schema) => mysql.checkSchema(database, schema),
    raiseNeeds: (schema, needs) => mysql.raiseNeeds(database, schema, needs),
    numbers: async () => numbersOf(await mysql.foundIn(database, three)),
    rows: (sql) => database.rows(sql),
    async close() {
      await database.close();
      await drop();
    },
  };
}

const refused =
  (name: string, sentence: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof CardumeError, String(error));
    assert.deepEqual([error.code, error.message], ['storage-failed', `${name} has test schema ${sentence}`]);
    return true;
  };

function schemaCases(engine: string, open: () => Promise<Opened>, skip: string | false = false): void {
  const using = (body: (opened: Opened) => Promise<void>) => async () => {
    const opened = await open();
    try {
      await body(opened);
    } finally {
      await opened.close();
    }
  };
  describe(`schemas with ${engine}`, { skip }, () => {
    test(
      'the program before opens what this one has expanded, and writes there',
      using(async ({ migrate, rows }) => {
        await migrate(one);
        await rows("INSERT INTO notes (id, old) VALUES (1, 'a')");
        await migrate(two);
        await migrate(one);
        await rows("INSERT INTO notes (id, old) VALUES (2, 'b')");
        await migrate(two);
        const found = (await rows('SELECT id, old, author FROM notes ORDER BY id')).map((row) => ({
          ...row,
        }));
        assert.deepEqual(found, [
          { id: 1, old: 'a', author: null },
          { id: 2, old: 'b', author: null },
        ]);
      }),
    );

    test(
      'what this one takes away, the program before does not miss; one before that is refused',
      using(async (opened) => {
        const { name, migrate, check, rows } = opened;
        await migrate(two);
        await migrate(three);
        await migrate(two);
        await rows("INSERT INTO notes (id, author) VALUES (1, 'a')");
        await migrate(three);
        const newer = refused(name, '2, and this program knows up to 1: run the newer version of it');
        await assert.rejects(migrate(one), newer);
        await assert.rejects(check(one), newer);
      }),
    );

    test(
      'from too far back there is no way: the program in between is asked for, and is enough',
      using(async (opened) => {
        const { name, migrate } = opened;
        await migrate(one);
        await assert.rejects(
          migrate(three),
          refused(name, '1, and this program begins with 2: run the version before it once'),
        );
        await migrate(two);
        await migrate(three);
      }),
    );

    test(
      'a new database gets all steps, whatever is the oldest',
      using(async ({ migrate, numbers }) => {
        await migrate(three);
        assert.deepEqual(await numbers(), [2, 3]);
      }),
    );

    test(
      'use that a program before could not live with shuts it out, for good',
      using(async (opened) => {
        const { name, migrate, raiseNeeds, numbers } = opened;
        await migrate(two);
        await raiseNeeds(two, 2);
        await raiseNeeds(two, 1);
        assert.deepEqual(await numbers(), [2, 2]);
        await assert.rejects(
          migrate(one),
          refused(name, '2, and this program knows up to 1: run the newer version of it'),
        );
        await migrate(two);
      }),
    );
  });
}

schemaCases('SQLite', openSqlite);
schemaCases(mariadb.name, openMysql, mariadb.skip);

test('a step that would shut out the program before is a bug', () => {
  const schema = { ...base, steps: [first, { ...second, needs: 2 }], released: 1 };
  assert.throws(
    () => missingSteps(schema, { expanded: 1, needs: 1, isNew: false }),
    /step 2 of the schema of a test \(authors\) would shut out the version before/,
  );
});

test('a step that fails half way leaves nothing in a file', async () => {
  const opened = await openSqlite();
  await opened.migrate(one);
  const broken = {
    ...two,
    steps: [first, { ...second, statements: [...second.statements, 'CREATE nonsense'] }],
  };
  await assert.rejects(opened.migrate(broken));
  assert.deepEqual(await opened.rows("SELECT 1 FROM pragma_table_info('notes') WHERE name = 'author'"), []);
  await opened.migrate(two);
  await opened.close();
});

test('eight connections at once bring a new database on a server to the schema', {
  skip: mariadb.skip,
}, async () => {
  const { connect, drop } = await newServerDatabase();
  const databases = Array.from({ length: 8 }, connect);
  await Promise.all(databases.map((database) => mysql.migrate(host.clock, database, three)));
  await Promise.all(databases.map((database) => mysql.migrate(host.clock, database, two)));
  const [database] = databases as [SqlDatabase];
  assert.deepEqual(await columnsOf(database), ['author', 'id']);
  assert.deepEqual(numbersOf(await mysql.foundIn(database, three)), [2, 3]);
  for (const each of databases) await each.close();
  await drop();
});

describe('cut off behind any statement, migration on a server is taken up by the next process', {
  skip: mariadb.skip,
}, () => {
  /** @returns whether all was done before the cut */
  async function tried(before: Schema | null, schema: Schema, statements: number): Promise<boolean> {
    const { connect, drop } = await newServerDatabase();
    const database = connect();
    if (before !== null) await mysql.migrate(host.clock, database, before);
    const isDone = await mysql.migrate(host.clock, cutOff(database, statements), schema).then(
      () => true,
      (error: Error) => {
        assert.equal(error.message, 'cut off');
        return false;
      },
    );
    await mysql.migrate(host.clock, database, schema);
    assert.deepEqual(
      await columnsOf(database),
      schema === three ? ['author', 'id'] : ['author', 'id', 'old'],
    );
    const { length } = schema.steps;
    assert.deepEqual(numbersOf(await mysql.foundIn(database, schema)), [length === 3 ? 2 : 1, length]);
    await database.close();
    await drop();
    return isDone;
  }

  for (const [what, before, schema, whole] of [
    ['a new one', null, three, 7],
    ['one that is expanded', one, two, 6],
    ['one that is contracted', two, three, 5],
  ] as const) {
    test(what, async () => {
      let statements = 0;
      while (!(await tried(before, schema, statements))) statements += 1;
      assert.equal(statements, whole);
    });
  }
});

async function columnsOf(database: SqlDatabase): Promise<unknown[]> {
  const rows = await database.rows(
    "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'notes' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

/** Does so many statements that change something, and none from then on. */
function cutOff(database: SqlDatabase, statements: number): SqlDatabase {
  let left = statements;
  const counted = <T>(work: () => Promise<T>): Promise<T> => {
    left -= 1;
    return left < 0 ? Promise.reject(new Error('cut off')) : work();
  };
  const counting = (session: SqlSession): SqlSession => ({
    rows: session.rows,
    run: (sql, values) => counted(() => session.run(sql, values)),
    exec: (sql) => counted(() => session.exec(sql)),
  });
  const all = (own: SqlDatabase): SqlDatabase => ({
    ...own,
    ...counting(own),
    another: (bounds) => all(own.another(bounds)),
    session: (work) => own.session((session) => work(counting(session))),
  });
  return all(database);
}
