/**
 * Snapshots of long aggregates and checkpoints of processes: derived from the log, kept so that a start or a cold
 * load reads a bounded number of entries. Values are V8's structured-clone bytes (they hold Maps, Sets, bigints); the
 * revision of the code that wrote them says whether today's can read them.
 */
import { SCHEMA_TABLE, type Schema } from '../../database/schema.ts';
import { migrate } from '../../database/sqlite/migrate.ts';
import type { Database, Disk } from '../../host/disk.ts';
import type { Memory, ProcessCheckpoint, Reading, Snapshot } from '../storage.ts';

const MEMORY: Schema = {
  of: 'memory',
  table: SCHEMA_TABLE,
  row: 'memory',
  sign: 'snapshots',
  released: 1,
  steps: [
    {
      what: 'snapshots and states of processes',
      statements: [
        `CREATE TABLE IF NOT EXISTS snapshots (
          partition INTEGER NOT NULL,
          stream TEXT NOT NULL,
          version INTEGER NOT NULL,
          revision INTEGER NOT NULL,
          state BLOB NOT NULL,
          PRIMARY KEY (partition, stream)
        ) WITHOUT ROWID`,
        `CREATE TABLE IF NOT EXISTS process_states (
          process TEXT NOT NULL,
          partition INTEGER NOT NULL,
          revision INTEGER NOT NULL,
          epoch INTEGER NOT NULL,
          position INTEGER NOT NULL,
          open BLOB NOT NULL,
          PRIMARY KEY (process, partition)
        ) WITHOUT ROWID`,
      ],
    },
    {
      what: 'nothing of the time when states of processes had no revision',
      statements: ['DROP TABLE IF EXISTS process_checkpoints'],
    },
    {
      what: 'snapshots that say which event they stand behind',
      // The version before passes it over, and goes on with its own, which is read no more.
      statements: [
        `CREATE TABLE IF NOT EXISTS placed_snapshots (
          partition INTEGER NOT NULL,
          stream TEXT NOT NULL,
          version INTEGER NOT NULL,
          epoch INTEGER NOT NULL,
          position INTEGER NOT NULL,
          revision INTEGER NOT NULL,
          state BLOB NOT NULL,
          PRIMARY KEY (partition, stream)
        ) WITHOUT ROWID`,
      ],
    },
  ],
};

export function openMemory(disk: Disk, path: string): Memory & { close(): void } {
  const database: Database = disk.database(path);
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  migrate(database, path, MEMORY);
  const saveSnapshot = database.prepare(
    `INSERT INTO placed_snapshots (partition, stream, version, epoch, position, revision, state)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET version = excluded.version, epoch = excluded.epoch, position = excluded.position,
        revision = excluded.revision, state = excluded.state`,
  );
  const saveCheckpoint = database.prepare(
    `INSERT INTO process_states (process, partition, revision, epoch, position, open) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET revision = excluded.revision, epoch = excluded.epoch, position = excluded.position,
        open = excluded.open`,
  );
  return {
    async saveSnapshot(one) {
      const { partition, stream, version, epoch, position, revision, state } = one;
      saveSnapshot.run(partition, stream, version, epoch, position, revision, state);
    },
    async saveCheckpoint(one) {
      saveCheckpoint.run(one.process, one.partition, one.revision, one.epoch, one.position, one.open);
    },
    async drop(partition) {
      for (const table of ['snapshots', 'placed_snapshots', 'process_states'])
        database.prepare(`DELETE FROM ${table} WHERE partition = ?`).run(partition);
    },
    async cut(partition, afterPosition) {
      // The version before cannot tell which of its own the log still has.
      database.prepare('DELETE FROM snapshots WHERE partition = ?').run(partition);
      for (const table of ['placed_snapshots', 'process_states'])
        database
          .prepare(`DELETE FROM ${table} WHERE partition = ? AND position > ?`)
          .run(partition, afterPosition);
    },
    clear: async () =>
      database.exec('DELETE FROM snapshots; DELETE FROM placed_snapshots; DELETE FROM process_states'),
    close: () => database.close(),
  };
}

export function memoryReader(
  disk: Disk,
  path: string,
): Pick<Reading, 'findSnapshot' | 'findCheckpoint'> & { close(): void } {
  const database = disk.database(path, { readOnly: true });
  const findSnapshot = database.prepare('SELECT * FROM placed_snapshots WHERE partition = ? AND stream = ?');
  const findCheckpoint = database.prepare('SELECT * FROM process_states WHERE process = ? AND partition = ?');
  return {
    findSnapshot: async (partition, stream) =>
      (findSnapshot.get(partition, stream) as Snapshot | undefined) ?? null,
    findCheckpoint: async (process, partition) =>
      (findCheckpoint.get(process, partition) as ProcessCheckpoint | undefined) ?? null,
    close: () => database.close(),
  };
}
