/**
 * Where a region's map of shards lives: a small file beside its data, written durably, each version once. Whoever opens
 * it begins a reign: a process that was replaced can save nothing any more. It is the embedded half of the coordinator;
 * with several machines etcd will hold it behind the same calls.
 */
import { CardumeError } from '../base/errors.ts';
import { SCHEMA_TABLE, type Schema } from '../database/schema.ts';
import { makeDurable } from '../database/sqlite/durable.ts';
import { checkSchema, migrate } from '../database/sqlite/migrate.ts';
import { transaction } from '../database/sqlite/transaction.ts';
import type { Host } from '../host/host.ts';
import type { ShardMap } from '../sharding/shard-map.ts';
import { HOUSE_ENGINES } from '../topology/engines.ts';

export interface MapStore {
  /** Before any log is opened. @returns the map that stands; the given one is stored when there is none yet */
  begin(first: ShardMap): ShardMap;
  /** @throws CardumeError `fenced` when another process has begun to reign since */
  check(): void;
  /** @throws CardumeError `fenced` when another process has begun to reign since */
  save(map: ShardMap): void;
  /** The map that stands, after a save whose outcome is not known. */
  settle(): ShardMap;
  close(): void;
}

/**
 * The version before takes an engine that it does not know for a server, and would begin with an empty database there. It
 * counts its reign by one, this one by two: so it is stopped with a sentence.
 */
const TRAP = `CREATE TRIGGER IF NOT EXISTS engines_of_others BEFORE UPDATE OF reign ON map WHEN NEW.reign = OLD.reign + 1
  BEGIN SELECT RAISE(ABORT, 'the region has shards of an engine that this program does not know: run the newer version of it'); END`;

const hasOthers = ({ shards }: ShardMap): boolean =>
  shards.some(({ engine }) => !HOUSE_ENGINES.includes(engine));

/** The map of a region that does not run; null where there is none. */
export function readMap({ disk }: Pick<Host, 'disk'>, folder: string): ShardMap | null {
  const path = fileIn(folder);
  const database = disk.database(path, { readOnly: true });
  try {
    checkSchema(database, path, MAP);
    const row = database.prepare('SELECT map FROM map').get();
    return row === undefined ? null : (JSON.parse(row['map'] as string) as ShardMap);
  } finally {
    database.close();
  }
}

const fileIn = (folder: string): string => `${folder}/map.db`;

const MAP: Schema = {
  of: 'map',
  table: SCHEMA_TABLE,
  row: 'map',
  sign: 'map',
  released: 1,
  steps: [
    {
      what: 'the map that stands, and who may change it',
      statements: [
        `CREATE TABLE IF NOT EXISTS map (
          one INTEGER PRIMARY KEY CHECK (one = 1),
          version INTEGER NOT NULL,
          map TEXT NOT NULL,
          settled INTEGER NOT NULL,
          reign INTEGER NOT NULL
        )`,
      ],
    },
  ],
};

export async function openMapStore(host: Host, folder: string): Promise<MapStore> {
  await host.disk.makeFolder(folder);
  const path = fileIn(folder);
  const database = host.disk.database(path);
  makeDurable(database);
  migrate(database, path, MAP);
  const select = database.prepare('SELECT map FROM map');
  const insert = database.prepare(
    'INSERT INTO map (one, version, map, settled, reign) VALUES (1, ?, ?, 0, 0) ON CONFLICT DO NOTHING',
  );
  const update = database.prepare('UPDATE map SET version = ?, map = ? WHERE version = ? AND reign = ?');
  const reigns = database.prepare('SELECT reign FROM map');
  const read = (): ShardMap => JSON.parse(select.get()?.['map'] as string) as ShardMap;
  const reignNow = (): number => reigns.get()?.['reign'] as number;
  const fenced = (): CardumeError =>
    new CardumeError('fenced', 'another process has taken over the map of shards');
  let reign = 0;
  return {
    begin(first) {
      return transaction(database, () => {
        insert.run(first.version, JSON.stringify(first));
        database.exec('UPDATE map SET reign = reign + 2');
        reign = reignNow();
        const map = read();
        if (hasOthers(map)) database.exec(TRAP);
        return map;
      });
    },
    check() {
      if (reignNow() !== reign) throw fenced();
    },
    save(map) {
      if (hasOthers(map)) database.exec(TRAP);
      if (update.run(map.version, JSON.stringify(map), map.version - 1, reign).changes !== 1) throw fenced();
    },
    settle() {
      // A failed commit may have left its frames in the WAL, where a crash would revive them: this one overwrites them.
      database.exec('UPDATE map SET settled = settled + 1');
      return read();
    },
    close: () => database.close(),
  };
}
