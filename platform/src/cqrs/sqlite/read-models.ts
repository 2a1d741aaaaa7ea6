/**
 * A shard's read models in SQLite, in a file of their own with `synchronous = NORMAL`: a power loss may take its newest
 * transactions, which are then folded again from the log.
 *
 * The file follows the log: everything is begun again when the log no longer has what the tables were folded from (a log
 * that was restored, or whose newest part was lost). The projector then fills them again.
 */
import { CardumeError } from '../../base/errors.ts';
import { SCHEMA_TABLE, type Schema } from '../../database/schema.ts';
import { migrate } from '../../database/sqlite/migrate.ts';
import { rollBack, transaction } from '../../database/sqlite/transaction.ts';
import type { TailSource } from '../../events/tail.ts';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { createTable, quoted } from '../../sharding/sqlite.ts';
import { PARTITION_COLUMN } from '../../sharding/table.ts';
import { type Build, buildsOf, isLong, type Opening, outdated, type StoredBuild } from '../builds.ts';
import { type KnownCheckpoints, knownCheckpoints, refusedMove } from '../known-checkpoints.ts';
import type { Projection } from '../projection.ts';
import type { CheckpointMove, Checkpoints, Fold, PartitionRows, ReadModels } from '../storage.ts';
import {
  builtSince,
  checkStands,
  counting,
  type StoredCheckpoint,
  standsOn,
  strays,
} from '../stored-checkpoint.ts';
import { tableRows } from './rows.ts';

/** Nobody else writes here for long; somebody who does must not hold up every shard of the thread. */
const BUSY_MS_MAX = 500;
/** For scans that are under way; the thread's shards wait meanwhile. */
const SETTLE_MS_MAX = 50;
/** Behind the writer thread of whoever is at work. */
const BUSY_BESIDE_MS_MAX = 30_000;

const VIEWS: Schema = {
  of: 'read model',
  table: SCHEMA_TABLE,
  row: 'views',
  sign: '_folded',
  released: 1,
  steps: [
    {
      what: 'builds and their checkpoints',
      statements: [
        `CREATE TABLE IF NOT EXISTS _folded (
          build TEXT NOT NULL,
          partition INTEGER NOT NULL,
          epoch INTEGER NOT NULL,
          position INTEGER NOT NULL,
          PRIMARY KEY (build, partition)
        ) WITHOUT ROWID`,
        `CREATE TABLE IF NOT EXISTS _builds (
          name TEXT PRIMARY KEY,
          projection TEXT NOT NULL,
          apart INTEGER NOT NULL,
          turn INTEGER NOT NULL,
          tables TEXT NOT NULL
        ) WITHOUT ROWID`,
      ],
    },
    {
      what: 'nothing of the time when tables had one definition at a time',
      statements: ['DROP TABLE IF EXISTS _projections', 'DROP TABLE IF EXISTS _checkpoints'],
    },
  ],
};
const CHECKPOINTS = 'SELECT build, partition, epoch, position FROM _folded';
const FORK =
  "INSERT INTO _folded (build, partition, epoch, position) SELECT ?, partition, epoch, position FROM _folded WHERE build = ''";
const FORGET = 'DELETE FROM _folded WHERE build = ?';
const SET_APART = 'UPDATE _builds SET apart = ? WHERE name = ?';

export interface SqliteReadModels extends ReadModels {
  close(): void;
}

export async function openReadModels(
  { disk, crypto }: Pick<Host, 'disk' | 'crypto'>,
  path: string,
  projections: readonly Projection[],
  source: TailSource,
  opening: Opening = 'own',
  /** In every transaction that writes: throws when it may not. */
  check: (database: Database) => void = () => undefined,
): Promise<SqliteReadModels> {
  const busyTimeoutMs = opening === 'own' ? BUSY_MS_MAX : BUSY_BESIDE_MS_MAX;
  const database = disk.database(path, { busyTimeoutMs });
  try {
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA wal_autocheckpoint = 4000;
      PRAGMA cache_size = -16384`);
    migrate(database, path, VIEWS);
    const builds = buildsOf(crypto, projections);
    const stored = storedIn(database);
    const stands = await standsOn(stored, source);
    const isNew = stored.length === 0 || !stands;
    const areApart = opening === 'beside' || !isNew || isLong(source);
    if (opening === 'beside') checkStands(stands);
    const write: Write = (work) =>
      transaction(database, () => {
        check(database);
        return work();
      });
    write(() => {
      if (!stands) clear(database);
      register(database, builds, areApart, opening);
    });
    return { ...over(database, builds, write, () => check(database)), builds, begunAgain: isNew };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** In one transaction. */
type Write = <T>(work: () => T) => T;

function over(
  database: Database,
  builds: readonly Build[],
  write: Write,
  check: () => void,
): Omit<SqliteReadModels, 'begunAgain' | 'builds'> {
  const apart = database.prepare('SELECT 1 FROM _builds WHERE name = ? AND apart = 1');
  const known = knownCheckpoints();
  const advance = database.prepare(
    'UPDATE _folded SET epoch = ?, position = ? WHERE build = ? AND partition = ? AND position = ?',
  );
  const begin = database.prepare(
    'INSERT INTO _folded (build, partition, epoch, position) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const tables = new Map<string, PartitionRows>();
  for (const { name, stored } of builds.flatMap((build) => build.tables))
    tables.set(name, tableRows(database, stored));

  function move(one: CheckpointMove): void {
    const { build, partition, from, epoch, to } = one;
    const { changes } = advance.run(epoch, to, build, partition, from);
    if (changes === 1 || (from === 0 && begin.run(build, partition, epoch, to).changes === 1)) return;
    throw new CardumeError('fenced', refusedMove(one));
  }

  const fold: Fold = {
    rows: ({ name }) => tables.get(name) as PartitionRows,
    isWanting: false,
    load: async () => undefined,
    async commit(moves) {
      check();
      for (const one of moves) {
        // A build that follows the others has no place of its own any more, for whoever prepared it.
        if (one.build !== '' && apart.get(one.build) === undefined) throw builtSince();
        move(one);
      }
      database.exec('COMMIT');
      known.moved(moves);
    },
    undo: async () => rollBack(database),
  };
  return {
    checkpoints: checkpointsOf(database, known, write),
    async begin() {
      database.exec('BEGIN IMMEDIATE');
      return fold;
    },
    async drop(partition, rowsMax) {
      try {
        return write(() => {
          // First: what has rows without a checkpoint is folded anew.
          database.prepare('DELETE FROM _folded WHERE partition = ?').run(partition);
          let rows = 0;
          for (const table of storedBuilds(database).flatMap((build) => build.tables))
            rows += dropRows(database, table, partition, rowsMax - rows);
          return rows;
        });
      } finally {
        known.forgetPartition(partition);
      }
    },
    async discard(partition, afterPosition, rowsMax) {
      const { rows, discarded } = write(() => discardRows(database, partition, afterPosition, rowsMax));
      for (const build of discarded) known.set(build, partition, 0);
      return rows;
    },
    settle: async () => settle(database),
    close: () => database.close(),
  };
}

function checkpointsOf(database: Database, known: KnownCheckpoints, write: Write): Checkpoints {
  const apart = database.prepare('SELECT apart FROM _builds WHERE name = ?');
  const setApart = database.prepare(SET_APART);
  const copy = database.prepare(FORK);
  const forget = database.prepare(FORGET);

  function refresh(): void {
    known.clear();
    for (const { build, partition, position } of storedIn(database)) known.set(build, partition, position);
  }

  refresh();
  return {
    position: known.position,
    partitions: known.partitions,
    isApart: (build) => apart.get(build)?.apart === 1,
    async fork(shared, build) {
      if (apart.get(build)?.apart === 1) return;
      write(() => {
        known.checkAgrees(shared, storedIn(database));
        forget.run(build);
        copy.run(build);
        setApart.run(1, build);
      });
      known.copy(shared, build);
    },
    async join(build) {
      write(() => {
        const stored = storedIn(database);
        known.checkAgrees('', stored);
        known.checkAgrees(build, stored);
        const tables = storedBuilds(database).find(({ name }) => name === build)?.tables ?? [];
        for (const partition of strays(build, stored))
          for (const table of tables) dropRows(database, table, partition, Number.MAX_SAFE_INTEGER);
        setApart.run(0, build);
        forget.run(build);
      });
      known.forget(build);
    },
    refresh: async () => refresh(),
  };
}

const storedIn = (database: Database): StoredCheckpoint[] =>
  (database.prepare(CHECKPOINTS).all() as unknown as StoredCheckpoint[]).map(counting);

function storedBuilds(database: Database): StoredBuild[] {
  const rows = database.prepare('SELECT name, projection, apart, turn, tables FROM _builds').all();
  return rows.map((row) => ({
    name: row['name'] as string,
    projection: row['projection'] as string,
    isApart: row['apart'] === 1,
    turn: row['turn'] as number,
    tables: JSON.parse(row['tables'] as string) as string[],
  }));
}

function register(database: Database, builds: readonly Build[], areApart: boolean, opening: Opening): void {
  const before = storedBuilds(database);
  const turn = 1 + Math.max(0, ...before.map((build) => build.turn));
  const insert = database.prepare(
    'INSERT INTO _builds (name, projection, apart, turn, tables) VALUES (?, ?, ?, ?, ?)',
  );
  const use = database.prepare('UPDATE _builds SET turn = ? WHERE name = ?');
  for (const { name, projection, tables } of builds) {
    if (before.some((build) => build.name === name)) {
      use.run(turn, name);
      continue;
    }
    for (const statement of tables.flatMap(({ stored }) => createTable(stored))) database.exec(statement);
    const names = JSON.stringify(tables.map(({ stored }) => stored.name));
    insert.run(name, projection, areApart ? 1 : 0, turn, names);
  }
  if (opening === 'beside') return;
  // Nobody folds into them from now on: they keep their places, for a program that goes back.
  for (const { name, isApart } of before) {
    if (isApart || builds.some((build) => build.name === name)) continue;
    database.prepare(FORGET).run(name);
    database.prepare(FORK).run(name);
    database.prepare(SET_APART).run(1, name);
  }
  for (const build of outdated(storedBuilds(database), builds)) dropBuild(database, build);
}

function dropRows(database: Database, table: string, partition: number, rowsMax: number): number {
  const [name, column] = [quoted(table), quoted(PARTITION_COLUMN)];
  const some = `SELECT rowid FROM ${name} WHERE ${column} = ? LIMIT ? + 0`;
  return database.prepare(`DELETE FROM ${name} WHERE rowid IN (${some})`).run(partition, rowsMax).changes;
}

/** @returns how many rows, and the checkpoints of which builds */
function discardRows(
  database: Database,
  partition: number,
  afterPosition: number,
  rowsMax: number,
): { readonly rows: number; readonly discarded: readonly string[] } {
  database
    .prepare('UPDATE _folded SET epoch = 0 WHERE partition = ? AND position > ?')
    .run(partition, Math.min(afterPosition, Number.MAX_SAFE_INTEGER));
  const marked = database
    .prepare('SELECT build FROM _folded WHERE partition = ? AND epoch = 0')
    .all(partition);
  const discarded = marked.map((row) => row['build'] as string);
  let rows = 0;
  for (const { name, isApart, tables } of discarded.length === 0 ? [] : storedBuilds(database)) {
    if (!discarded.includes(isApart ? name : '')) continue;
    for (const table of tables) rows += dropRows(database, table, partition, rowsMax - rows);
  }
  if (rows < rowsMax)
    database.prepare('DELETE FROM _folded WHERE partition = ? AND epoch = 0').run(partition);
  return { rows, discarded };
}

/**
 * A sync of the write-ahead log is not enough, since an earlier one may have failed and been forgotten
 * (database/sqlite/durable.ts): all of it goes into the tables, and an empty one is begun.
 */
function settle(database: Database): boolean {
  database.exec(`PRAGMA busy_timeout = ${SETTLE_MS_MAX}`);
  try {
    return database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.['busy'] === 0;
  } finally {
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS_MAX}`);
  }
}

function clear(database: Database): void {
  for (const build of storedBuilds(database)) dropBuild(database, build);
  database.exec('DELETE FROM _folded');
}

function dropBuild(database: Database, { name, tables }: StoredBuild): void {
  for (const table of tables) database.exec(`DROP TABLE IF EXISTS ${quoted(table)}`);
  database.prepare('DELETE FROM _folded WHERE build = ?').run(name);
  database.prepare('DELETE FROM _builds WHERE name = ?').run(name);
}
