/**
 * A shard's read models in SQLite, in a file of their own with `synchronous = NORMAL`: a power loss may take its newest
 * transactions, which are then folded again from the log.
 *
 * The file follows the log and the code: tables of a projection whose definition has changed are made anew, and
 * everything is when the log no longer has what the tables were folded from (a log that was restored, or whose newest
 * part was lost). The projector then fills them again.
 */
import { CardumeError } from '../../base/errors.ts';
import { rollBack, transaction } from '../../events/sqlite/transaction.ts';
import type { TailSource } from '../../events/tail.ts';
import type { Database, Disk } from '../../host/disk.ts';
import { PARTITION_COLUMN } from '../../sharding/sql.ts';
import { createTable, quoted } from '../../sharding/sqlite.ts';
import type { Table } from '../../sharding/table.ts';
import { type KnownCheckpoints, knownCheckpoints, refusedMove } from '../known-checkpoints.ts';
import { type Projection, tablesOf } from '../projection.ts';
import type { CheckpointMove, Checkpoints, Fold, PartitionRows, ReadModels } from '../storage.ts';
import { type StoredCheckpoint, standsOn } from '../stored-checkpoint.ts';
import { tableRows } from './rows.ts';

/** Nobody else writes here; somebody who does must not hold up every shard of the thread. */
const BUSY_MS_MAX = 500;

export interface SqliteReadModels extends ReadModels {
  close(): void;
}

export async function openReadModels(
  disk: Disk,
  path: string,
  projections: readonly Projection[],
  source: TailSource,
): Promise<SqliteReadModels> {
  const database = disk.database(path, { busyTimeoutMs: BUSY_MS_MAX });
  try {
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA wal_autocheckpoint = 4000;
      PRAGMA cache_size = -16384;
      CREATE TABLE IF NOT EXISTS _checkpoints (
        projection TEXT NOT NULL,
        partition INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (projection, partition)
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS _projections (
        name TEXT PRIMARY KEY,
        apart INTEGER NOT NULL,
        definition TEXT NOT NULL
      ) WITHOUT ROWID`);
    const stored = database
      .prepare('SELECT projection, partition, epoch, position FROM _checkpoints')
      .all() as unknown as StoredCheckpoint[];
    const stands = await standsOn(stored, source);
    transaction(database, () => {
      if (!stands) {
        for (const table of tablesOf(projections)) drop(database, table);
        database.exec('DELETE FROM _checkpoints; DELETE FROM _projections');
      }
      register(database, projections);
    });
    return { ...over(database, projections), begunAgain: stored.length === 0 || !stands };
  } catch (error) {
    database.close();
    throw error;
  }
}

function over(database: Database, projections: readonly Projection[]): Omit<SqliteReadModels, 'begunAgain'> {
  const known = knownCheckpoints();
  const advance = database.prepare(
    'UPDATE _checkpoints SET epoch = ?, position = ? WHERE projection = ? AND partition = ? AND position = ?',
  );
  const begin = database.prepare('INSERT INTO _checkpoints VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
  const tables = new Map<Table, PartitionRows>();
  for (const table of tablesOf(projections)) tables.set(table, tableRows(database, table));

  function move(one: CheckpointMove): void {
    const { projection, partition, from, epoch, to } = one;
    const { changes } = advance.run(epoch, to, projection, partition, from);
    if (changes === 1 || (from === 0 && begin.run(projection, partition, epoch, to).changes === 1)) return;
    throw new CardumeError('fenced', refusedMove(one));
  }

  const fold: Fold = {
    rows: (table) => tables.get(table) as PartitionRows,
    isWanting: false,
    load: async () => undefined,
    async commit(moves) {
      for (const one of moves) move(one);
      database.exec('COMMIT');
      known.moved(moves);
    },
    undo: async () => rollBack(database),
  };
  return {
    checkpoints: checkpointsOf(database, known),
    async begin() {
      database.exec('BEGIN IMMEDIATE');
      return fold;
    },
    async drop(partition, rowsMax) {
      // The log's entries go next: rows that a loss of power brought back could not be told from others any more.
      database.exec('PRAGMA synchronous = FULL');
      try {
        return transaction(database, () => {
          // First: what has rows without a checkpoint is folded anew.
          database.prepare('DELETE FROM _checkpoints WHERE partition = ?').run(partition);
          let rows = 0;
          for (const table of tables.keys()) rows += dropRows(database, table, partition, rowsMax - rows);
          return rows;
        });
      } finally {
        known.forgetPartition(partition);
        database.exec('PRAGMA synchronous = NORMAL');
      }
    },
    close: () => database.close(),
  };
}

function checkpointsOf(database: Database, known: KnownCheckpoints): Checkpoints {
  const all = database.prepare('SELECT projection, partition, epoch, position FROM _checkpoints');
  const stored = (): StoredCheckpoint[] => all.all() as unknown as StoredCheckpoint[];
  const apart = database.prepare('SELECT apart FROM _projections WHERE name = ?');
  const setApart = database.prepare('UPDATE _projections SET apart = ? WHERE name = ?');
  const copy = database.prepare(`INSERT INTO _checkpoints
    SELECT ?, partition, epoch, position FROM _checkpoints WHERE projection = ?
    ON CONFLICT (projection, partition) DO NOTHING`);
  const forget = database.prepare('DELETE FROM _checkpoints WHERE projection = ?');

  function refresh(): void {
    known.clear();
    for (const { projection, partition, position } of stored()) known.set(projection, partition, position);
  }

  refresh();
  return {
    position: known.position,
    isApart: (projection) => apart.get(projection)?.apart === 1,
    async fork(shared, projection) {
      if (apart.get(projection)?.apart === 1) return;
      transaction(database, () => {
        known.checkAgrees(shared, stored());
        copy.run(projection, shared);
        setApart.run(1, projection);
      });
      known.copy(shared, projection);
    },
    async join(projection) {
      transaction(database, () => {
        known.checkAgrees('', stored());
        known.checkAgrees(projection, stored());
        setApart.run(0, projection);
        forget.run(projection);
      });
      known.forget(projection);
    },
    refresh: async () => refresh(),
  };
}

function register(database: Database, projections: readonly Projection[]): void {
  const isNew = database.prepare('SELECT count(*) AS n FROM _checkpoints').get()?.n === 0;
  const known = database.prepare('SELECT definition FROM _projections WHERE name = ?');
  const save = database.prepare('INSERT OR REPLACE INTO _projections VALUES (?, ?, ?)');
  const forget = database.prepare('DELETE FROM _checkpoints WHERE projection = ?');
  for (const { name, tables } of projections) {
    const definition = JSON.stringify(tables);
    const row = known.get(name);
    if (row?.definition !== definition) {
      if (row !== undefined) for (const table of tables) drop(database, table);
      forget.run(name);
      save.run(name, isNew ? 0 : 1, definition);
    }
    for (const statement of tables.flatMap(createTable)) database.exec(statement);
  }
}

function dropRows(database: Database, table: Table, partition: number, rowsMax: number): number {
  const [name, column] = [quoted(table.name), quoted(PARTITION_COLUMN)];
  const some = `SELECT rowid FROM ${name} WHERE ${column} = ? LIMIT ?`;
  return database.prepare(`DELETE FROM ${name} WHERE rowid IN (${some})`).run(partition, rowsMax).changes;
}

function drop(database: Database, table: Table): void {
  database.exec(`DROP TABLE IF EXISTS ${quoted(table.name)}`);
}
