/**
 * The event log's face: `openLog` gives the log of one shard, `openWriterPool` the threads that write it.
 *
 *   const pool = openWriterPool(host, { threadsMax: 2 });
 *   const log = await openLog(host, { path: 'shard.db', partitions: [1, 2], pool, bounds }); // or { sql: address, … }
 *   const { epoch, position } = await log.append(1, [entry]);
 *   for await (const entry of log.subscribe(1, null)) …
 */
import { dirname } from 'node:path';
import type { Host } from '../host/host.ts';
import type { Floors, LogPlace } from './engine.ts';
import type { LogBounds } from './group-commit.ts';
import type { Log, PartitionKey } from './log.ts';
import { openShardLog, type Report } from './shard-log.ts';
import type { TailModule } from './tail.ts';
import { startWriterPool, type WriterPool, type WriterPoolOptions } from './writer-pool.ts';

export type LogOptions = LogPlace & {
  /** Partitions that this opener hosts: their epochs are raised, and whoever had them is fenced. */
  readonly partitions: readonly PartitionKey[];
  /** Partitions of which it follows a copy: see `Moving`. */
  readonly copies?: readonly PartitionKey[];
  /** The map by which it has them was made a moment ago: see `First`. */
  readonly isMapNew?: boolean;
  /** See `First`. */
  readonly floors?: Floors;
  /** See `First`. */
  readonly yielded?: readonly PartitionKey[];
  readonly pool: WriterPool;
  /**
   * Throws a CardumeError while this process must not serve its homes, as behind the end of a lease: it is asked before
   * anything is told of them.
   */
  readonly mayServe?: () => void;
  readonly bounds: LogBounds;
  /** Runs behind each commit, on the writer thread. */
  readonly tail?: TailModule;
  /** What the operator should know: files beside the log that it does not know. */
  readonly report?: Report;
};

/**
 * A log's file is made with its folder where it is missing, and the tables of a database.
 * @throws CardumeError `storage-failed` when it is damaged, locked, cannot be reached, or was written by a newer program
 */
export async function openLog(host: Host, options: LogOptions): Promise<Log> {
  const { partitions, copies = [], isMapNew = false, floors, yielded = [] } = options;
  const { pool, bounds, tail, report, mayServe } = options;
  const place = placeIn(options);
  if ('path' in place) await host.disk.makeFolder(dirname(place.path));
  const own = {
    ...(mayServe === undefined ? {} : { mayServe }),
    ...(tail === undefined ? {} : { tail }),
    ...(report === undefined ? {} : { report }),
  };
  return openShardLog(host, {
    place,
    partitions,
    copies,
    isMapNew,
    floors: floors ?? new Map(),
    yielded,
    pool,
    bounds,
    ...own,
  });
}

function placeIn(options: LogPlace): LogPlace {
  if ('path' in options) return { path: options.path };
  return 'sql' in options ? { sql: options.sql } : { module: options.module, at: options.at };
}

/** Threads start when shards need them; close the logs before the pool. */
export function openWriterPool(host: Host, options: WriterPoolOptions): WriterPool {
  return startWriterPool(host, options);
}

export type { LogBounds, LogPlace, WriterPool };
