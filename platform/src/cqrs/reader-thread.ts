/** A reader thread: runs plans on read-only connections to the shards' read models. */
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Port } from '../host/threads.ts';
import { type ShardReader, shardReader } from '../sharding/reader.ts';
import type { ScanReply, ScanRequest } from './readers.ts';

export function serve(host: Host, port: Port): void {
  const shards = new Map<string, ShardReader>();

  function readerOf(path: string): ShardReader {
    let reader = shards.get(path);
    if (reader === undefined) {
      reader = shardReader(host.disk.database(path, { readOnly: true }));
      shards.set(path, reader);
    }
    return reader;
  }

  port.onMessage(({ id, path, plan }: ScanRequest) => {
    let reply: ScanReply;
    try {
      reply = { id, rows: readerOf(path).read(plan) };
    } catch (error) {
      const code = error instanceof CardumeError ? error.code : 'internal';
      reply = { id, error: { code, detail: (error as Error).message } };
    }
    port.post(reply);
  });
}
