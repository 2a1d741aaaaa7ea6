import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Database } from '../../host/disk.ts';
import { realHost } from '../../host/real.ts';
import type { ProcessCheckpoint, Snapshot } from '../storage.ts';
import { memoryReader, openMemory } from './memory.ts';

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

test('what is saved is found beside the writer and after a restart', async () => {
  const path = newPath();
  const memory = openMemory(disk, path);
  await memory.saveSnapshot({ ...snapshot, version: 1 });
  await memory.saveSnapshot(snapshot);
  await memory.saveCheckpoint({ ...checkpoint, position: 1 });
  await memory.saveCheckpoint(checkpoint);
  const reader = memoryReader(disk, path);
  deepStrictEqual({ ...(await reader.findSnapshot(1, 'acc_1')) }, snapshot);
  deepStrictEqual({ ...(await reader.findCheckpoint('transfers', 1)) }, checkpoint);
  strictEqual(await reader.findSnapshot(2, 'acc_1'), null);
  strictEqual(await reader.findCheckpoint('transfers', 2), null);
  reader.close();
  memory.close();
  const again = await opened(path);
  deepStrictEqual({ ...again.snapshot }, snapshot);
  deepStrictEqual({ ...again.checkpoint }, checkpoint);
});

test('what is cleared is gone', async () => {
  const path = newPath();
  const memory = openMemory(disk, path);
  await memory.saveSnapshot(snapshot);
  await memory.saveCheckpoint(checkpoint);
  await memory.clear();
  const reader = memoryReader(disk, path);
  strictEqual(await reader.findSnapshot(1, 'acc_1'), null);
  strictEqual(await reader.findCheckpoint('transfers', 1), null);
  reader.close();
  memory.close();
});

/** As the next start finds it. */
async function opened(
  path: string,
): Promise<{ snapshot: Snapshot | null; checkpoint: ProcessCheckpoint | null }> {
  const memory = openMemory(disk, path);
  const reader = memoryReader(disk, path);
  const found = {
    snapshot: await reader.findSnapshot(1, 'acc_1'),
    checkpoint: await reader.findCheckpoint('transfers', 1),
  };
  reader.close();
  memory.close();
  return found;
}

test('a file from before revisions opens: its states are of the first revision', async () => {
  const path = newPath();
  const before = openBefore(path);
  before.prepare('INSERT INTO snapshots VALUES (?, ?, ?, ?, ?)').run(1, 'acc_1', 50, 2, bytes(1, 2));
  saveBefore(before, 5);
  before.close();
  for (const _ of ['upgrade', 'next start']) {
    const found = await opened(path);
    deepStrictEqual({ ...found.snapshot }, snapshot);
    deepStrictEqual({ ...found.checkpoint }, { ...checkpoint, revision: 1 });
  }
});

test('a return to the version before revisions meets no state that it cannot read, and leaves none behind', async () => {
  const path = newPath();
  const upgraded = openMemory(disk, path);
  await upgraded.saveCheckpoint(checkpoint);
  upgraded.close();

  let before = openBefore(path);
  deepStrictEqual(before.prepare('SELECT * FROM process_checkpoints').all(), []);
  saveBefore(before, 9);
  before.close();
  deepStrictEqual({ ...(await opened(path)).checkpoint }, { ...checkpoint, revision: 1, position: 9 });

  // It stopped before its first checkpoint, perhaps on another log: what stood here before it is not to be believed.
  before = openBefore(path);
  before.close();
  strictEqual((await opened(path)).checkpoint, null);
});
