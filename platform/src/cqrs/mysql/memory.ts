/** Snapshots and checkpoints of processes on a server: see sqlite/memory.ts. */

import { again } from '../../database/mysql/again.ts';
import { migrate } from '../../database/mysql/migrate.ts';
import { SCHEMA_TABLE, type Schema } from '../../database/schema.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase } from '../../host/sql.ts';
import type { Memory, Reading, Snapshot } from '../storage.ts';

const MEMORY: Schema = {
  of: 'memory',
  table: SCHEMA_TABLE,
  row: 'memory',
  sign: '_snapshots',
  released: 1,
  steps: [
    {
      what: 'snapshots and states of processes',
      statements: [
        `CREATE TABLE IF NOT EXISTS _snapshots (
          partition_key INT UNSIGNED NOT NULL,
          stream VARBINARY(80) NOT NULL,
          version INT UNSIGNED NOT NULL,
          revision INT UNSIGNED NOT NULL,
          state LONGBLOB NOT NULL,
          PRIMARY KEY (partition_key, stream)
        )`,
        `CREATE TABLE IF NOT EXISTS _process_states (
          process VARBINARY(80) NOT NULL,
          partition_key INT UNSIGNED NOT NULL,
          revision INT UNSIGNED NOT NULL,
          epoch BIGINT UNSIGNED NOT NULL,
          position BIGINT UNSIGNED NOT NULL,
          open LONGBLOB NOT NULL,
          PRIMARY KEY (process, partition_key)
        )`,
      ],
    },
    {
      what: 'snapshots that say which event they stand behind',
      // The version before passes it over, and goes on with its own, which is read no more.
      statements: [
        `CREATE TABLE IF NOT EXISTS _placed_snapshots (
          partition_key INT UNSIGNED NOT NULL,
          stream VARBINARY(80) NOT NULL,
          version INT UNSIGNED NOT NULL,
          epoch BIGINT UNSIGNED NOT NULL,
          position BIGINT UNSIGNED NOT NULL,
          revision INT UNSIGNED NOT NULL,
          state LONGBLOB NOT NULL,
          PRIMARY KEY (partition_key, stream)
        )`,
      ],
    },
  ],
};

export async function openMemory(clock: Clock, database: SqlDatabase): Promise<Memory> {
  await migrate(clock, database, MEMORY);
  const run = async (sql: string, values: readonly (string | number | Uint8Array)[]): Promise<void> =>
    void (await again(clock, () => database.run(sql, values)));
  return {
    saveSnapshot: ({ partition, stream, version, epoch, position, revision, state }) =>
      run(
        `INSERT INTO _placed_snapshots (partition_key, stream, version, epoch, position, revision, state)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        ON DUPLICATE KEY UPDATE version = VALUES(version), epoch = VALUES(epoch), position = VALUES(position),
          revision = VALUES(revision), state = VALUES(state)`,
        [partition, Buffer.from(stream), version, epoch, position, revision, state],
      ),
    saveCheckpoint: ({ process, partition, revision, epoch, position, open }) =>
      run(
        `INSERT INTO _process_states (process, partition_key, revision, epoch, position, open) VALUES (?, ?, ?, ?, ?, ?)
        ON DUPLICATE KEY UPDATE revision = VALUES(revision), epoch = VALUES(epoch), position = VALUES(position),
          open = VALUES(open)`,
        [Buffer.from(process), partition, revision, epoch, position, open],
      ),
    async drop(partition) {
      for (const table of ['_snapshots', '_placed_snapshots', '_process_states'])
        await run(`DELETE FROM ${table} WHERE partition_key = ?`, [partition]);
    },
    async cut(partition, afterPosition) {
      // The version before cannot tell which of its own the log still has.
      await run('DELETE FROM _snapshots WHERE partition_key = ?', [partition]);
      for (const table of ['_placed_snapshots', '_process_states'])
        await run(`DELETE FROM ${table} WHERE partition_key = ? AND position > ?`, [
          partition,
          afterPosition,
        ]);
    },
    async clear() {
      await database.exec('DELETE FROM _snapshots');
      await database.exec('DELETE FROM _placed_snapshots');
      await database.exec('DELETE FROM _process_states');
    },
  };
}

export function memoryReader(
  clock: Clock,
  database: SqlDatabase,
): Pick<Reading, 'findSnapshot' | 'findCheckpoint'> {
  return {
    async findSnapshot(partition, stream) {
      const [row] = await again(clock, () =>
        database.rows(
          `SELECT version, epoch, position, revision, state FROM _placed_snapshots
            WHERE partition_key = ? AND stream = ?`,
          [partition, Buffer.from(stream)],
        ),
      );
      if (row === undefined) return null;
      const { version, epoch, position, revision, state } = row as unknown as Snapshot;
      return { partition, stream, version, epoch, position, revision, state };
    },
    async findCheckpoint(process, partition) {
      const [row] = await again(clock, () =>
        database.rows(
          'SELECT revision, epoch, position, open FROM _process_states WHERE process = ? AND partition_key = ?',
          [Buffer.from(process), partition],
        ),
      );
      if (row === undefined) return null;
      const { revision, epoch, position, open } = row as {
        revision: number;
        epoch: number;
        position: number;
        open: Uint8Array;
      };
      return { process, partition, revision, epoch, position, open };
    },
  };
}
