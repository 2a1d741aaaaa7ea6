/**
 * A reader thread's connections to shards' files. Shards that are asked together share connections, so that SQLite can
 * merge their rows: as many as it attaches to one.
 */
import { LRUCache } from 'lru-cache';
import type { Database, Disk } from '../host/disk.ts';
import { type ShardReader, shardReader } from './reader.ts';

/** A connection, and readers of its files. */
export interface ShardFiles {
  readonly database: Database;
  readonly reader: ShardReader;
}

/** SQLite attaches 10 to the one that a connection is opened with. */
const FILES_MAX = 11;
/** Over all connections; each may hold 2 MB of pages. */
const OPEN_MAX = 128;

const keyOf = (paths: readonly string[]): string => paths.join('\n');

export function openShardFiles(disk: Disk) {
  /** In no use any more; whoever asked for them may still be at work. */
  const ended: Database[] = [];
  const open = new LRUCache<string, ShardFiles>({
    maxSize: OPEN_MAX,
    sizeCalculation: ({ reader }) => reader.schemas.length,
    dispose: ({ database }) => void ended.push(database),
  });

  function connected(paths: readonly string[]): ShardFiles {
    const key = keyOf(paths);
    let found = open.get(key);
    if (found === undefined) {
      found = attached(disk, paths);
      open.set(key, found);
    }
    return found;
  }

  return {
    /** Together they have the paths' files in their order, until this is called again. */
    at(paths: readonly string[]): readonly ShardFiles[] {
      for (const database of ended.splice(0)) database.close();
      const count = Math.ceil(paths.length / FILES_MAX);
      const size = Math.ceil(paths.length / count);
      return Array.from({ length: count }, (_, i) => connected(paths.slice(i * size, (i + 1) * size)));
    },
    /** What was opened by this list of them is opened anew. */
    forget: (paths: readonly string[]): void => void open.delete(keyOf(paths)),
  };
}

function attached(disk: Disk, [path, ...others]: readonly string[]): ShardFiles {
  const database = disk.database(path as string, { readOnly: true, attached: others });
  return { database, reader: shardReader(database, ['main', ...others.map((_, i) => `file${i + 1}`)]) };
}
