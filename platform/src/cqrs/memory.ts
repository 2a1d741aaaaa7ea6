/**
 * Snapshots of long aggregates and checkpoints of processes: derived from the log, kept so that a start or a cold
 * load reads a bounded number of entries. Values are V8's structured-clone bytes (they hold Maps, Sets, bigints).
 */
import type { Database, Disk } from '../host/disk.ts';

export interface Snapshot {
  readonly partition: number;
  readonly stream: string;
  readonly version: number;
  readonly revision: number;
  readonly state: Uint8Array;
}

export interface ProcessCheckpoint {
  readonly process: string;
  readonly partition: number;
  readonly epoch: number;
  readonly position: number;
  /** Open instances: id → state. */
  readonly open: Uint8Array;
}

export interface Memory {
  saveSnapshot(snapshot: Snapshot): void;
  saveCheckpoint(checkpoint: ProcessCheckpoint): void;
  findSnapshot(partition: number, stream: string): Snapshot | null;
  findCheckpoint(process: string, partition: number): ProcessCheckpoint | null;
  /** Forgets everything: the log is another one. */
  clear(): void;
  close(): void;
}

export function openMemory(disk: Disk, path: string, options: { readonly readOnly?: boolean } = {}): Memory {
  const database: Database = disk.database(path, options);
  if (options.readOnly !== true) {
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS snapshots (
        partition INTEGER NOT NULL,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (partition, stream)
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS process_checkpoints (
        process TEXT NOT NULL,
        partition INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        position INTEGER NOT NULL,
        open BLOB NOT NULL,
        PRIMARY KEY (process, partition)
      ) WITHOUT ROWID`);
  }
  const saveSnapshot = database.prepare('INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)');
  const saveCheckpoint = database.prepare(
    'INSERT OR REPLACE INTO process_checkpoints VALUES (?, ?, ?, ?, ?)',
  );
  const findSnapshot = database.prepare('SELECT * FROM snapshots WHERE partition = ? AND stream = ?');
  const findCheckpoint = database.prepare(
    'SELECT * FROM process_checkpoints WHERE process = ? AND partition = ?',
  );
  return {
    saveSnapshot: (one) =>
      void saveSnapshot.run(one.partition, one.stream, one.version, one.revision, one.state),
    saveCheckpoint: (one) =>
      void saveCheckpoint.run(one.process, one.partition, one.epoch, one.position, one.open),
    findSnapshot: (partition, stream) =>
      (findSnapshot.get(partition, stream) as Snapshot | undefined) ?? null,
    findCheckpoint: (process, partition) =>
      (findCheckpoint.get(process, partition) as ProcessCheckpoint | undefined) ?? null,
    clear: () => database.exec('DELETE FROM snapshots; DELETE FROM process_checkpoints'),
    close: () => database.close(),
  };
}
