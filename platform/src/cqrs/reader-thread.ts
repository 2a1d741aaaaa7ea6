/** A reader thread: runs plans and digests on read-only connections to the shards' read models. */
import { CardumeError } from '../base/errors.ts';
import type { Database } from '../host/disk.ts';
import type { Host } from '../host/host.ts';
import type { Port } from '../host/threads.ts';
import type { Plan } from '../sharding/plan.ts';
import { readTogether, type ShardReader, shardReader } from '../sharding/reader.ts';
import type { Value } from '../sharding/table.ts';
import type { ScanReply, ScanRequest } from './readers.ts';
import type { Floor } from './replica.ts';
import { digestIn } from './sqlite/digest.ts';
import { hasReached } from './sqlite/floor.ts';

export function serve(host: Host, port: Port): void {
  const shards = new Map<string, { readonly database: Database; readonly reader: ShardReader }>();

  function shardAt(path: string) {
    let shard = shards.get(path);
    if (shard === undefined) {
      const database = host.disk.database(path, { readOnly: true });
      shard = { database, reader: shardReader(database) };
      shards.set(path, shard);
    }
    return shard;
  }

  /** A replica's file, which may be another one the next time when it has not what is wanted. */
  function readAbove(path: string, plan: Plan, floor: Floor): Value[][] | null {
    const { database, reader } = shardAt(path);
    let rows: Value[][] | null = null;
    try {
      rows = reader.read(plan, () => hasReached(database, floor));
      return rows;
    } finally {
      if (rows === null) {
        shards.delete(path);
        database.close();
      }
    }
  }

  function read({ paths, work, floor }: ScanRequest) {
    if (floor !== undefined) return paths.map((path) => readAbove(path, work as Plan, floor));
    const found = paths.map(shardAt);
    if ('table' in work) {
      return readTogether(
        work,
        found.map(({ reader }) => reader),
      );
    }
    return found.map(({ database }) => digestIn(host, database, work));
  }

  port.onMessage((request: ScanRequest) => {
    const { id } = request;
    let reply: ScanReply;
    try {
      reply = { id, results: read(request) };
    } catch (error) {
      const code = error instanceof CardumeError ? error.code : 'internal';
      reply = { id, error: { code, detail: (error as Error).message } };
    }
    port.post(reply);
  });
}
