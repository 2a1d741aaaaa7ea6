/**
 * The event log's face: `openLog` gives the log of one shard, `openWriterPool` the threads that write it.
 *
 *   const pool = openWriterPool(host, { threadsMax: 2 });
 *   const log = await openLog(host, { path, partitions: [1, 2], pool, bounds });
 *   const { epoch, position } = await log.append(1, [entry]);
 *   for await (const entry of log.subscribe(1, null)) …
 */
import { dirname } from 'node:path';
import type { Host } from '../host/host.ts';
import type { LogBounds } from './group-commit.ts';
import type { Log, PartitionKey } from './log.ts';
import { openSqliteLog } from './sqlite-log.ts';
import type { TailModule } from './tail.ts';
import { startWriterPool, type WriterPool } from './writer-pool.ts';

export interface LogOptions {
  /** The log's file; its folder is made. */
  readonly path: string;
  /** Partitions that this opener hosts: their epochs are raised, and whoever had them is fenced. */
  readonly partitions: readonly PartitionKey[];
  readonly pool: WriterPool;
  readonly bounds: LogBounds;
  /** Runs behind each commit, on the writer thread. */
  readonly tail?: TailModule;
}

/** @throws CardumeError `storage-failed` when the file is damaged, locked, or written by a newer program */
export async function openLog(host: Host, options: LogOptions): Promise<Log> {
  await host.disk.makeFolder(dirname(options.path));
  return openSqliteLog(host, options);
}

/** Threads start when shards need them; close the logs before the pool. */
export function openWriterPool(host: Host, bounds: { readonly threadsMax: number }): WriterPool {
  return startWriterPool(host, bounds.threadsMax);
}

export type { LogBounds, WriterPool };
