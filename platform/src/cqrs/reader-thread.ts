/** A reader thread: runs plans and digests on read-only connections to the shards' read models. */
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Port } from '../host/threads.ts';
import type { Plan } from '../sharding/plan.ts';
import { openShardFiles, type ShardFiles } from '../sharding/shard-files.ts';
import type { Value } from '../sharding/table.ts';
import { readTogether } from '../sharding/together.ts';
import type { ScanReply, ScanRequest } from './readers.ts';
import type { Floor } from './replica.ts';
import { digestIn } from './sqlite/digest.ts';
import { hasReached } from './sqlite/floor.ts';

export function serve(host: Host, port: Port): void {
  const files = openShardFiles(host.disk);
  const each = <T>(paths: readonly string[], read: (one: ShardFiles) => T): T[] =>
    paths.flatMap((path) => files.at([path]).map(read));

  /** A replica's file, which may be another one the next time when it has not what is wanted. */
  function readAbove(path: string, plan: Plan, floor: Floor): Value[][] | null {
    let rows: Value[][] | null = null;
    try {
      const [{ database, reader }] = files.at([path]) as [ShardFiles];
      rows = reader.snapshot(() => (hasReached(database, floor) ? reader.read(plan) : null));
      return rows;
    } finally {
      if (rows === null) files.forget([path]);
    }
  }

  function read({ paths, work, floor }: ScanRequest) {
    if (!('table' in work)) return each(paths, ({ database }) => digestIn(host, database, work));
    if (floor !== undefined) return paths.map((path) => readAbove(path, work, floor));
    return readTogether(
      work,
      files.at(paths).map(({ reader }) => reader),
    );
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
