/**
 * The other process of crash.test.ts: opens the shard and appends, on orders that come as lines of standard input.
 *
 *   load          appends without end over 16 streams
 *   append NAME   appends one event
 *
 * It writes `open`, then for each acknowledged event `ack PARTITION POSITION STREAM VERSION`, or `refused CODE`.
 */
import { createInterface } from 'node:readline';
import { writeSync } from 'node:fs';
import { isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { openLog, openWriterPool } from './events.ts';

const STREAMS = 16;
const PARTITIONS = [1, 2, 3];
const [path, round] = process.argv.slice(2) as [string, string];
const host = realHost();
const pool = openWriterPool(host, { threadsMax: 1 });
const bounds = { batchEntriesMax: 32, queueEntriesMax: 1_000 };
const log = await openLog(host, { path, partitions: PARTITIONS, pool, bounds });
writeSync(1, 'open\n');

async function append(partition: number, stream: string, version: number): Promise<void> {
  const entry = { stream, version, type: 'Loaded', data: `{"of":"${stream}"}`, meta: null, key: `${stream}/${version}`, atMs: 1 };
  const { position } = await log.append(partition, [entry]);
  writeSync(1, `ack ${partition} ${position} ${stream} ${version}\n`);
}

async function load(writer: number): Promise<never> {
  for (let version = 1; ; version += 1) {
    await append(PARTITIONS[writer % PARTITIONS.length] as number, `round-${round}-${writer}`, version);
  }
}

createInterface(process.stdin).on('line', (line) => {
  const [order, name] = line.split(' ');
  if (order === 'load') for (let writer = 0; writer < STREAMS; writer += 1) void load(writer);
  else {
    append(1, name as string, 1).catch((error) => {
      writeSync(1, `refused ${isCardumeError(error) ? error.code : error}\n`);
    });
  }
});
