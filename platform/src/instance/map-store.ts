/**
 * Where a region's map of shards lives: a small file beside its data, written durably, each version once. It is the
 * embedded half of the coordinator; with several machines etcd will hold it behind the same two calls.
 */
import { CardumeError } from '../base/errors.ts';
import { makeDurable } from '../events/sqlite/durable.ts';
import type { Host } from '../host/host.ts';
import type { ShardMap } from '../sharding/shard-map.ts';

export interface MapStore {
  /** @returns the map that stands; the given one is stored when there is none yet */
  begin(first: ShardMap): ShardMap;
  /** @throws CardumeError `fenced` when another process has changed the map since */
  save(map: ShardMap): void;
  /** The map that stands, after a save whose outcome is not known. */
  settle(): ShardMap;
  close(): void;
}

export async function openMapStore(host: Host, folder: string): Promise<MapStore> {
  await host.disk.makeFolder(folder);
  const database = host.disk.database(`${folder}/map.db`);
  makeDurable(database);
  database.exec(
    `CREATE TABLE IF NOT EXISTS map (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      version INTEGER NOT NULL,
      map TEXT NOT NULL,
      settled INTEGER NOT NULL
    )`,
  );
  const select = database.prepare('SELECT map FROM map');
  const insert = database.prepare('INSERT INTO map VALUES (1, ?, ?, 0) ON CONFLICT DO NOTHING');
  const update = database.prepare('UPDATE map SET version = ?, map = ? WHERE version = ?');
  return {
    begin(first) {
      insert.run(first.version, JSON.stringify(first));
      return JSON.parse(select.get()?.['map'] as string) as ShardMap;
    },
    save(map) {
      if (update.run(map.version, JSON.stringify(map), map.version - 1).changes !== 1)
        throw new CardumeError('fenced', 'another process has changed the map of shards');
    },
    settle() {
      // A failed commit may have left its frames in the WAL, where a crash would revive them: this one overwrites them.
      database.exec('UPDATE map SET settled = settled + 1');
      return JSON.parse(select.get()?.['map'] as string) as ShardMap;
    },
    close: () => database.close(),
  };
}
