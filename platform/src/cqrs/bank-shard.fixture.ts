/** A shard of the bank on a real host, for tests: opened, with its processes begun. */
import { newId } from '../base/id.ts';
import { openWriterPool } from '../events/events.ts';
import { realHost } from '../host/real.ts';
import type { Home } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Bounds } from '../topology/topology.ts';
import type { Across } from './across.ts';
import { type AccountCommand, type AccountState, service } from './bank.fixture.ts';
import type { Bus, SendOptions } from './bus.ts';
import { openFeeder } from './feeder.ts';
import { openReaders } from './readers.ts';
import type { Service } from './service.ts';
import { openShard, type Shard } from './shard.ts';

export const host = realHost();
export const places = [0, 1, 2, 3].map((partition) => ({ scope: 1, partition }));
const bounds = {
  batchEntriesMax: 512,
  queueEntriesMax: 20_000,
  aggregatesCachedMax: 1_000,
  snapshotEveryEvents: 50,
  processesOpenMax: 1_000,
  idempotencyDays: 1,
} as Bounds;
const masterKey = host.random.bytes(32);

export interface OpenBank {
  readonly shard: Shard;
  readonly reports: string[];
  send(id: string, command: AccountCommand, options?: SendOptions): ReturnType<Shard['send']>;
  state(id: string): Promise<AccountState>;
  close(): Promise<void>;
}

export async function openBank(
  { place, partitions = places.map(partitionKey) }: Pick<Home, 'place'> & { readonly partitions?: number[] },
  ports: Record<string, unknown> = {},
  over: Partial<Bounds> = {},
  code: Service = service,
  across?: Across,
): Promise<OpenBank> {
  const pool = openWriterPool(host, { threadsMax: 1 });
  const readers = openReaders(host, { threadsMax: 1, deadlineMs: 5_000 });
  const feeder = openFeeder(host);
  const reports: string[] = [];
  let shard: Shard | undefined;
  const bus = {
    send: (to: { aggregate: string }, id: string, command: AccountCommand, options?: SendOptions) =>
      (shard as Shard).send(to.aggregate, id, command, options),
  } as unknown as Bus;
  shard = await openShard({
    host,
    service: code,
    place,
    partitions,
    pool,
    readers,
    feeder,
    bounds: { ...bounds, ...over },
    masterKey,
    ...(across === undefined ? {} : { across }),
    bus,
    ports,
    report: (message) => void reports.push(message),
  });
  await shard.recover();
  shard.begin();
  const opened = shard;
  return {
    shard: opened,
    reports,
    send: (id, command, options) => opened.send('account', id, command, options),
    state: async (id) => (await opened.load('account', id)).state as AccountState,
    async close() {
      await feeder.close();
      await opened.close();
      await readers.close();
      await pool.close();
    },
  };
}

export function accountId(n: number): string {
  return newId(
    'acc',
    places[n % places.length] as (typeof places)[number],
    host.clock.nowMs(),
    host.random.bytes(10),
  );
}
