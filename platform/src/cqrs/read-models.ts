/**
 * A shard's database of read models. It follows the log and the code: tables of a projection whose definition has
 * changed are made anew, and everything is when the log no longer has what the tables were folded from (a log that was
 * restored, or whose newest part was lost). The projector then fills them again.
 */
import type { Head } from '../events/log.ts';
import { transaction } from '../events/sqlite/transaction.ts';
import type { TailSource } from '../events/tail.ts';
import type { Database, Disk } from '../host/disk.ts';
import { createTable, quoted } from '../sharding/sql.ts';
import type { Table } from '../sharding/table.ts';
import type { Projection } from './projection.ts';

/** Nobody else writes here; somebody who does must not hold up every shard of the thread. */
const BUSY_MS_MAX = 500;

export interface ReadModels {
  readonly database: Database;
  /** They were empty, or had to be emptied: what else was derived from the log is not to be believed either. */
  readonly begunAgain: boolean;
}

export async function openReadModels(
  disk: Disk,
  path: string,
  projections: readonly Projection[],
  source: TailSource,
): Promise<ReadModels> {
  const database = disk.database(path, { busyTimeoutMs: BUSY_MS_MAX });
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
  const isNew = database.prepare('SELECT count(*) AS n FROM _checkpoints').get()?.n === 0;
  const stands = await standsOn(database, source);
  transaction(database, () => {
    if (!stands) {
      for (const table of tablesOf(projections)) drop(database, table);
      database.exec('DELETE FROM _checkpoints; DELETE FROM _projections');
    }
    register(database, projections);
  });
  return { database, begunAgain: isNew || !stands };
}

export function tablesOf(projections: readonly Projection[]): readonly Table[] {
  return projections.flatMap((projection) => projection.tables);
}

/** Whether the log holds, at each checkpoint, the entry that was folded last. */
async function standsOn(database: Database, source: TailSource): Promise<boolean> {
  const open = new Set(source.heads().map(({ partition }) => partition));
  const checkpoints = database
    .prepare('SELECT partition, epoch, position FROM _checkpoints')
    .all() as unknown;
  for (const { partition, epoch, position } of checkpoints as Omit<Head, 'lastEpoch' | 'checksum'>[]) {
    if (!open.has(partition) || position === 0) continue;
    const [entry] = await source.read(partition, position - 1, 1);
    if (entry?.epoch !== epoch) return false;
  }
  return true;
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

function drop(database: Database, table: Table): void {
  database.exec(`DROP TABLE IF EXISTS ${quoted(table.name)}`);
}
