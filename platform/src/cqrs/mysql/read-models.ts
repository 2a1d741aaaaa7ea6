/**
 * A shard's read models on a server, in a database of the shard's own. They follow the log and the code: tables of a
 * projection whose definition has changed are made anew, and everything is when the log no longer has what the tables
 * were folded from. The projector then fills them again.
 */
import { again } from '../../events/mysql/again.ts';
import type { TailSource } from '../../events/tail.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { createTable, quoted } from '../../sharding/mysql.ts';
import { PARTITION_COLUMN } from '../../sharding/sql.ts';
import type { Table } from '../../sharding/table.ts';
import { type KnownCheckpoints, knownCheckpoints } from '../known-checkpoints.ts';
import { type Projection, tablesOf } from '../projection.ts';
import type { Checkpoints, ReadModels } from '../storage.ts';
import { type StoredCheckpoint, standsOn } from '../stored-checkpoint.ts';
import { mysqlFold } from './fold.ts';

const TABLES = [
  `CREATE TABLE IF NOT EXISTS _checkpoints (
    projection VARBINARY(80) NOT NULL,
    partition_key INT UNSIGNED NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (projection, partition_key)
  )`,
  `CREATE TABLE IF NOT EXISTS _projections (
    name VARBINARY(80) NOT NULL PRIMARY KEY,
    apart TINYINT NOT NULL,
    definition LONGTEXT CHARACTER SET utf8mb4 NOT NULL
  )`,
];

export async function openReadModels(
  clock: Clock,
  database: SqlDatabase,
  projections: readonly Projection[],
  source: TailSource,
): Promise<ReadModels> {
  for (const table of TABLES) await database.exec(table);
  const stored = await storedIn(database);
  const stands = await standsOn(stored, source);
  if (!stands) {
    for (const table of tablesOf(projections)) await drop(database, table);
    await database.exec('DELETE FROM _checkpoints');
    await database.exec('DELETE FROM _projections');
  }
  const isNew = stored.length === 0 || !stands;
  await register(database, projections, isNew);
  const known = knownCheckpoints();
  const apart = new Set<string>();
  const fold = mysqlFold(clock, database, tablesOf(projections), known);
  const checkpoints = checkpointsOf(clock, database, known, apart, fold.forget);
  await checkpoints.refresh();
  return {
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
      await again(clock, () => database.run('DELETE FROM _checkpoints WHERE partition_key = ?', [partition]));
      let rows = 0;
      for (const table of tablesOf(projections)) {
        const left = rowsMax - rows;
        if (left === 0) break;
        const some = `DELETE FROM ${quoted(table.name)} WHERE ${quoted(PARTITION_COLUMN)} = ? LIMIT ?`;
        rows += (await again(clock, () => database.run(some, [partition, BigInt(left)]))).changes;
      }
      return rows;
    },
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
    isApart: (projection) => apart.has(projection),
    async fork(shared, projection) {
      if (apart.has(projection)) return;
      await again(clock, () =>
        database.session(async (session) => {
          await session.exec('START TRANSACTION');
          known.checkAgrees(shared, await storedIn(session, ' FOR UPDATE'));
          await session.run(
            `INSERT IGNORE INTO _checkpoints
              SELECT ?, partition_key, epoch, position FROM _checkpoints WHERE projection = ?`,
            [Buffer.from(projection), Buffer.from(shared)],
          );
          await session.run('UPDATE _projections SET apart = 1 WHERE name = ?', [Buffer.from(projection)]);
          await session.exec('COMMIT');
        }),
      );
      apart.add(projection);
      known.copy(shared, projection);
    },
    async join(projection) {
      await again(clock, () =>
        database.session(async (session) => {
          await session.exec('START TRANSACTION');
          const stored = await storedIn(session, ' FOR UPDATE');
          known.checkAgrees('', stored);
          known.checkAgrees(projection, stored);
          await session.run('UPDATE _projections SET apart = 0 WHERE name = ?', [Buffer.from(projection)]);
          await session.run('DELETE FROM _checkpoints WHERE projection = ?', [Buffer.from(projection)]);
          await session.exec('COMMIT');
        }),
      );
      apart.delete(projection);
      known.forget(projection);
    },
    async refresh() {
      const stored = await again(clock, () => storedIn(database));
      forgetRows();
      known.clear();
      for (const { projection, partition, position } of stored) known.set(projection, partition, position);
      const rows = await again(clock, () => database.rows('SELECT name FROM _projections WHERE apart = 1'));
      apart.clear();
      for (const { name } of rows) apart.add(String(name));
    },
  };
}

async function storedIn(session: SqlSession, lock = ''): Promise<StoredCheckpoint[]> {
  const rows = await session.rows(
    `SELECT projection, partition_key, epoch, position FROM _checkpoints${lock}`,
  );
  return rows.map((row) => ({
    projection: String(row['projection']),
    partition: row['partition_key'] as number,
    epoch: row['epoch'] as number,
    position: row['position'] as number,
  }));
}

async function register(
  database: SqlDatabase,
  projections: readonly Projection[],
  isNew: boolean,
): Promise<void> {
  for (const { name, tables } of projections) {
    const key = Buffer.from(name);
    const definition = JSON.stringify(tables);
    const [row] = await database.rows('SELECT definition FROM _projections WHERE name = ?', [key]);
    if (row?.['definition'] !== definition) {
      // Definitions commit by themselves. What is cut off in between has no definition, so the next opening, of whatever
      // version, makes the tables anew.
      await database.session(async (session) => {
        await session.exec('START TRANSACTION');
        await session.run('DELETE FROM _checkpoints WHERE projection = ?', [key]);
        await session.run(
          `INSERT INTO _projections VALUES (?, ?, '')
            ON DUPLICATE KEY UPDATE apart = VALUES(apart), definition = VALUES(definition)`,
          [key, isNew ? 0 : 1],
        );
        await session.exec('COMMIT');
      });
      if (row !== undefined) for (const table of tables) await drop(database, table);
      for (const table of tables) await database.exec(createTable(table));
      await database.run('UPDATE _projections SET definition = ? WHERE name = ?', [definition, key]);
    } else for (const table of tables) await database.exec(createTable(table));
  }
}

async function drop(database: SqlDatabase, table: Table): Promise<void> {
  await database.exec(`DROP TABLE IF EXISTS ${quoted(table.name)}`);
}
