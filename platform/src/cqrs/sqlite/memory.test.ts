import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
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
const snapshot: Snapshot = {
  ...{ partition: 1, stream: 'acc_1', version: 50, epoch: 4, position: 70 },
  ...{ revision: 2, state: bytes(1, 2) },
};
const checkpoint: ProcessCheckpoint = {
  process: 'transfers',
  partition: 1,
  revision: 3,
  epoch: 4,
  position: 5,
  open: bytes(6),
};

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

test('a cut takes what rests on entries behind it, of its partition', async () => {
  const path = newPath();
  const memory = openMemory(disk, path);
  await memory.saveSnapshot(snapshot);
  await memory.saveSnapshot({ ...snapshot, stream: 'acc_2', position: 71 });
  await memory.saveSnapshot({ ...snapshot, partition: 2, position: 71 });
  await memory.saveCheckpoint(checkpoint);
  await memory.saveCheckpoint({ ...checkpoint, process: 'others', position: 71 });
  await memory.cut(1, 70);
  const reader = memoryReader(disk, path);
  deepStrictEqual({ ...(await reader.findSnapshot(1, 'acc_1')) }, snapshot);
  strictEqual(await reader.findSnapshot(1, 'acc_2'), null);
  strictEqual((await reader.findSnapshot(2, 'acc_1'))?.position, 71);
  strictEqual((await reader.findCheckpoint('transfers', 1))?.position, 5);
  strictEqual(await reader.findCheckpoint('others', 1), null);
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
