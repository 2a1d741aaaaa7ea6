import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Database } from '../host/disk.ts';
import { realHost } from '../host/real.ts';
import { openMemory, type ProcessCheckpoint, type Snapshot } from './memory.ts';

const { disk } = realHost();
const folder = mkdtempSync(join(tmpdir(), 'cardume-memory-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
function newPath(): string {
  files += 1;
  return join(folder, `${files}.memory.db`);
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const snapshot: Snapshot = { partition: 1, stream: 'acc_1', version: 50, revision: 2, state: bytes(1, 2) };
const checkpoint: ProcessCheckpoint = {
  process: 'transfers',
  partition: 1,
  revision: 3,
  epoch: 4,
  position: 5,
  open: bytes(6),
};

/** What the version did at its opening whose checkpoints had no revision. */
function openBefore(path: string): Database {
  const database = disk.database(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
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
  return database;
}

function saveBefore(database: Database, position: number): void {
  database
    .prepare('INSERT OR REPLACE INTO process_checkpoints VALUES (?, ?, ?, ?, ?)')
    .run('transfers', 1, 4, position, bytes(6));
}

test('what is saved is found, also by a reader beside the writer and after a restart', () => {
  const path = newPath();
  const memory = openMemory(disk, path);
  memory.saveSnapshot({ ...snapshot, version: 1 });
  memory.saveSnapshot(snapshot);
  memory.saveCheckpoint({ ...checkpoint, position: 1 });
  memory.saveCheckpoint(checkpoint);
  const reader = openMemory(disk, path, { readOnly: true });
  for (const one of [memory, reader]) {
    deepStrictEqual({ ...one.findSnapshot(1, 'acc_1') }, snapshot);
    deepStrictEqual({ ...one.findCheckpoint('transfers', 1) }, checkpoint);
    strictEqual(one.findSnapshot(2, 'acc_1'), null);
    strictEqual(one.findCheckpoint('transfers', 2), null);
    one.close();
  }
  const again = openMemory(disk, path);
  deepStrictEqual({ ...again.findCheckpoint('transfers', 1) }, checkpoint);
  again.clear();
  strictEqual(again.findSnapshot(1, 'acc_1'), null);
  strictEqual(again.findCheckpoint('transfers', 1), null);
  again.close();
});

test('a file from before revisions opens: its states are of the first revision', () => {
  const path = newPath();
  const before = openBefore(path);
  before.prepare('INSERT INTO snapshots VALUES (?, ?, ?, ?, ?)').run(1, 'acc_1', 50, 2, bytes(1, 2));
  saveBefore(before, 5);
  before.close();
  for (const _ of ['upgrade', 'next start']) {
    const memory = openMemory(disk, path);
    deepStrictEqual({ ...memory.findSnapshot(1, 'acc_1') }, snapshot);
    deepStrictEqual({ ...memory.findCheckpoint('transfers', 1) }, { ...checkpoint, revision: 1 });
    memory.close();
  }
});

test('a return to the version before revisions meets no state that it cannot read, and leaves none behind', () => {
  const path = newPath();
  const upgraded = openMemory(disk, path);
  upgraded.saveCheckpoint(checkpoint);
  upgraded.close();

  let before = openBefore(path);
  deepStrictEqual(before.prepare('SELECT * FROM process_checkpoints').all(), []);
  saveBefore(before, 9);
  before.close();
  let memory = openMemory(disk, path);
  deepStrictEqual({ ...memory.findCheckpoint('transfers', 1) }, { ...checkpoint, revision: 1, position: 9 });
  memory.close();

  // It stopped before its first checkpoint, perhaps on another log: what stood here before it is not to be believed.
  before = openBefore(path);
  before.close();
  memory = openMemory(disk, path);
  strictEqual(memory.findCheckpoint('transfers', 1), null);
  memory.close();
});
