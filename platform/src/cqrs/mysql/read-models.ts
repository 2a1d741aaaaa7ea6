/**
 * A shard's read models on a server, in a database of the shard's own. They follow the log: everything is begun again when
 * the log no longer has what the tables were folded from. The projector then fills them again.
 */
import { again } from '../../database/mysql/again.ts';
import { alone } from '../../database/mysql/alone.ts';
import { migrate } from '../../database/mysql/migrate.ts';
import { SCHEMA_TABLE, type Schema } from '../../database/schema.ts';
import type { TailSource } from '../../events/tail.ts';
import type { Clock, Host } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { createTable, quoted } from '../../sharding/mysql.ts';
import { PARTITION_COLUMN } from '../../sharding/table.ts';
import { type Build, buildsOf, isLong, type Opening, outdated, type StoredBuild } from '../builds.ts';
import { type KnownCheckpoints, knownCheckpoints } from '../known-checkpoints.ts';
import type { Projection } from '../projection.ts';
import type { Checkpoints, ReadModels } from '../storage.ts';
import { checkStands, counting, type StoredCheckpoint, standsOn, strays } from '../stored-checkpoint.ts';
import { mysqlFold } from './fold.ts';

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
          build VARBINARY(80) NOT NULL,
          partition_key INT UNSIGNED NOT NULL,
          epoch BIGINT UNSIGNED NOT NULL,
          position BIGINT UNSIGNED NOT NULL,
          PRIMARY KEY (build, partition_key)
        )`,
        `CREATE TABLE IF NOT EXISTS _builds (
          name VARBINARY(80) NOT NULL PRIMARY KEY,
          projection VARBINARY(80) NOT NULL,
          apart TINYINT NOT NULL,
          turn BIGINT UNSIGNED NOT NULL,
          tables LONGTEXT CHARACTER SET utf8mb4 NOT NULL
        )`,
      ],
    },
    {
      what: 'nothing of the time when tables had one definition at a time',
      statements: ['DROP TABLE IF EXISTS _projections', 'DROP TABLE IF EXISTS _checkpoints'],
    },
  ],
};

export async function openReadModels(
  { clock, crypto }: Pick<Host, 'clock' | 'crypto'>,
  database: SqlDatabase,
  projections: readonly Projection[],
  source: TailSource,
  opening: Opening = 'own',
): Promise<ReadModels> {
  await migrate(clock, database, VIEWS);
  const builds = buildsOf(crypto, projections);
  const stored = await storedIn(database);
  const stands = await standsOn(stored, source);
  if (opening === 'beside') checkStands(stands);
  const isNew = stored.length === 0 || !stands;
  const areApart = opening === 'beside' || !isNew || isLong(source);
  await alone(database, 'builds', async (session) => {
    if (!stands) await clear(session);
    await register(session, builds, areApart, opening);
  });
  const known = knownCheckpoints();
  const apart = new Set<string>();
  const fold = mysqlFold(clock, database, builds, known);
  const checkpoints = checkpointsOf(clock, database, known, apart, fold.forget);
  await checkpoints.refresh();
  return {
    builds,
    begunAgain: isNew,
    checkpoints,
    async begin() {
      fold.begin();
      return fold;
    },
    async drop(partition, rowsMax) {
      fold.forget();
      known.forgetPartition(partition);
      // First: what has rows without a checkpoint is folded anew.
      await again(clock, () => database.run('DELETE FROM _folded WHERE partition_key = ?', [partition]));
      let rows = 0;
      const all = await again(clock, () => storedBuilds(database));
      for (const table of all.flatMap(({ tables }) => tables)) {
        const left = rowsMax - rows;
        if (left === 0) break;
        const some = `DELETE FROM ${quoted(table)} WHERE ${quoted(PARTITION_COLUMN)} = ? LIMIT ?`;
        rows += (await again(clock, () => database.run(some, [partition, BigInt(left)]))).changes;
      }
      return rows;
    },
    async discard(partition, afterPosition, rowsMax) {
      fold.forget();
      const { rows, discarded } = await again(clock, () =>
        database.session((session) => discardRows(session, partition, afterPosition, rowsMax)),
      );
      for (const build of discarded) known.set(build, partition, 0);
      return rows;
    },
    settle: async () => true, // each commit is durable
  };
}

function checkpointsOf(
  clock: Clock,
  database: SqlDatabase,
  known: KnownCheckpoints,
  apart: Set<string>,
  /** Rows of before: whoever has moved a checkpoint has changed them. */
  forgetRows: () => void,
): Checkpoints {
  return {
    position: known.position,
    partitions: known.partitions,
    isApart: (build) => apart.has(build),
    async fork(shared, build) {
      if (apart.has(build)) return;
      await again(clock, () =>
        database.session(async (session) => {
          await session.exec('START TRANSACTION');
          known.checkAgrees(shared, await storedIn(session, ' FOR UPDATE'));
          await forkIn(session, build);
          await session.exec('COMMIT');
        }),
      );
      apart.add(build);
      known.copy(shared, build);
    },
    async join(build) {
      await again(clock, () =>
        database.session(async (session) => {
          await session.exec('START TRANSACTION');
          const stored = await storedIn(session, ' FOR UPDATE');
          known.checkAgrees('', stored);
          known.checkAgrees(build, stored);
          const tables = (await storedBuilds(session)).find(({ name }) => name === build)?.tables ?? [];
          for (const partition of strays(build, stored)) {
            for (const table of tables) {
              const all = `DELETE FROM ${quoted(table)} WHERE ${quoted(PARTITION_COLUMN)} = ?`;
              await session.run(all, [partition]);
            }
          }
          await session.run('UPDATE _builds SET apart = 0 WHERE name = ?', [Buffer.from(build)]);
          await session.run('DELETE FROM _folded WHERE build = ?', [Buffer.from(build)]);
          await session.exec('COMMIT');
        }),
      );
      apart.delete(build);
      known.forget(build);
    },
    async refresh() {
      const stored = await again(clock, () => storedIn(database));
      forgetRows();
      known.clear();
      for (const { build, partition, position } of stored) known.set(build, partition, position);
      const rows = await again(clock, () => database.rows('SELECT name FROM _builds WHERE apart = 1'));
      apart.clear();
      for (const { name } of rows) apart.add(String(name));
    },
  };
}

/** The build gets checkpoints of its own, where the shared ones are. */
async function forkIn(session: SqlSession, build: string): Promise<void> {
  await session.run('DELETE FROM _folded WHERE build = ?', [Buffer.from(build)]);
  await session.run(
    "INSERT INTO _folded (build, partition_key, epoch, position) SELECT ?, partition_key, epoch, position FROM _folded WHERE build = ''",
    [Buffer.from(build)],
  );
  await session.run('UPDATE _builds SET apart = 1 WHERE name = ?', [Buffer.from(build)]);
}

async function storedIn(session: SqlSession, lock = ''): Promise<StoredCheckpoint[]> {
  const rows = await session.rows(`SELECT build, partition_key, epoch, position FROM _folded${lock}`);
  return rows.map((row) =>
    counting({
      build: String(row['build']),
      partition: row['partition_key'] as number,
      epoch: row['epoch'] as number,
      position: row['position'] as number,
    }),
  );
}

/** @returns how many rows, and the checkpoints of which builds */
async function discardRows(
  session: SqlSession,
  partition: number,
  afterPosition: number,
  rowsMax: number,
): Promise<{ readonly rows: number; readonly discarded: readonly string[] }> {
  await session.exec('START TRANSACTION');
  await session.run('UPDATE _folded SET epoch = 0 WHERE partition_key = ? AND position > ?', [
    partition,
    Math.min(afterPosition, Number.MAX_SAFE_INTEGER),
  ]);
  const marked = await session.rows('SELECT build FROM _folded WHERE partition_key = ? AND epoch = 0', [
    partition,
  ]);
  const discarded = marked.map(({ build }) => String(build));
  let rows = 0;
  for (const { name, isApart, tables } of discarded.length === 0 ? [] : await storedBuilds(session)) {
    if (!discarded.includes(isApart ? name : '')) continue;
    for (const table of tables) {
      if (rows === rowsMax) break;
      const some = `DELETE FROM ${quoted(table)} WHERE ${quoted(PARTITION_COLUMN)} = ? LIMIT ?`;
      rows += (await session.run(some, [partition, BigInt(rowsMax - rows)])).changes;
    }
  }
  if (rows < rowsMax)
    await session.run('DELETE FROM _folded WHERE partition_key = ? AND epoch = 0', [partition]);
  await session.exec('COMMIT');
  return { rows, discarded };
}

async function storedBuilds(session: SqlSession): Promise<StoredBuild[]> {
  const rows = await session.rows('SELECT name, projection, apart, turn, tables FROM _builds');
  return rows.map((row) => ({
    name: String(row['name']),
    projection: String(row['projection']),
    isApart: row['apart'] === 1,
    turn: row['turn'] as number,
    tables: JSON.parse(String(row['tables'])) as string[],
  }));
}

async function register(
  session: SqlSession,
  builds: readonly Build[],
  areApart: boolean,
  opening: Opening,
): Promise<void> {
  const before = await storedBuilds(session);
  const turn = 1 + Math.max(0, ...before.map((build) => build.turn));
  for (const { name, projection, tables } of builds) {
    if (before.some((build) => build.name === name)) {
      await session.run('UPDATE _builds SET turn = ? WHERE name = ?', [turn, Buffer.from(name)]);
      continue;
    }
    // Before its row: what is cut off in between is nobody's, and is made anew.
    for (const { stored } of tables) {
      await drop(session, stored.name);
      await session.exec(createTable(stored));
    }
    const names = JSON.stringify(tables.map(({ stored }) => stored.name));
    const row = [Buffer.from(name), Buffer.from(projection), areApart ? 1 : 0, turn, names];
    await session.run(
      'INSERT INTO _builds (name, projection, apart, turn, tables) VALUES (?, ?, ?, ?, ?)',
      row,
    );
  }
  if (opening === 'beside') return;
  // Nobody folds into them from now on: they keep their places, for a program that goes back.
  for (const { name, isApart } of before) {
    if (isApart || builds.some((build) => build.name === name)) continue;
    await session.exec('START TRANSACTION');
    await forkIn(session, name);
    await session.exec('COMMIT');
  }
  for (const build of outdated(await storedBuilds(session), builds)) await dropBuild(session, build);
}

async function clear(session: SqlSession): Promise<void> {
  for (const build of await storedBuilds(session)) await dropBuild(session, build);
  await session.exec('DELETE FROM _folded');
}

/** Its rows go first: tables that are left behind are nobody's. */
async function dropBuild(session: SqlSession, { name, tables }: StoredBuild): Promise<void> {
  await session.exec('START TRANSACTION');
  await session.run('DELETE FROM _builds WHERE name = ?', [Buffer.from(name)]);
  await session.run('DELETE FROM _folded WHERE build = ?', [Buffer.from(name)]);
  await session.exec('COMMIT');
  for (const table of tables) await drop(session, table);
}

async function drop(session: SqlSession, table: string): Promise<void> {
  await session.exec(`DROP TABLE IF EXISTS ${quoted(table)}`);
}
