/** A shard's stores in SQLite: three files beside its log. */
import type { TailSource } from '../../events/tail.ts';
import type { Host } from '../../host/host.ts';
import { openKeyStore } from '../../privacy/key-store.ts';
import { type Build, storedPlan, storedTables } from '../builds.ts';
import type { Projection } from '../projection.ts';
import type { Readers } from '../readers.ts';
import type { Reading, Stores } from '../storage.ts';
import { memoryReader, openMemory } from './memory.ts';
import { openReadModels } from './read-models.ts';
import { rowsIn } from './rows-in.ts';

const viewsPath = (base: string): string => `${base}.views.db`;
const memoryPath = (base: string): string => `${base}.memory.db`;
const keysPath = (base: string): string => `${base}.keys.db`;

export async function openSqliteStores(
  host: Host,
  base: string,
  projections: readonly Projection[],
  source: TailSource,
): Promise<Stores> {
  const { disk } = host;
  const opened: { close(): void }[] = [];
  const kept = <Store extends { close(): void }>(store: Store): Store => {
    opened.push(store);
    return store;
  };
  const close = async (): Promise<void> => {
    for (const store of opened) store.close();
  };
  try {
    const readModels = kept(await openReadModels(host, viewsPath(base), projections, source));
    const memory = kept(openMemory(disk, memoryPath(base)));
    const keys = kept(openKeyStore(disk, keysPath(base)));
    return { readModels, memory, keys, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export async function openSqliteBeside(
  host: Host,
  base: string,
  projections: readonly Projection[],
  source: TailSource,
) {
  const readModels = await openReadModels(host, viewsPath(base), projections, source, 'beside');
  return { readModels, close: async () => readModels.close() };
}

/** When the writer thread has made the files. */
export function openSqliteReading(
  { disk }: Host,
  base: string,
  builds: readonly Build[],
  readers: Readers,
): Reading {
  const tables = storedTables(builds);
  const memory = memoryReader(disk, memoryPath(base));
  const views = disk.database(viewsPath(base), { readOnly: true });
  const rows = rowsIn(views, tables);
  return {
    row: async (...asked) => rows(...asked),
    scan: (plan, within) => readers.scan(viewsPath(base), storedPlan(tables, plan), within),
    digest: (partition) => readers.digest(viewsPath(base), { partition, builds }),
    findSnapshot: memory.findSnapshot,
    findCheckpoint: memory.findCheckpoint,
    async close() {
      // Before the writer's: the last connection to close folds the WAL into its file, and a read-only one cannot.
      views.close();
      memory.close();
    },
  };
}
