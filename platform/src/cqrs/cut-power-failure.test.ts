/** The power fails at every write and sync of a cut, one after another: read models are those of the log that is there. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { openWriterPool } from '../events/events.ts';
import type { Log } from '../events/log.ts';
import { verifyLog } from '../events/verify.ts';
import { type SimulatedHost, simulatedHost } from '../testing/simulated/host.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Bounds } from '../topology/topology.ts';
import { type AccountCommand, service } from './bank.fixture.ts';
import type { Bus } from './bus.ts';
import { openReaders } from './readers.ts';
import { openShard, type Shard } from './shard.ts';

const places = [0, 1].map((partition) => ({ scope: 1, partition }));
const [P, Q] = places.map(partitionKey) as [number, number];
const ACCOUNTS = 3;
const OPERATIONS_MAX = 200;
const EVERY_OPERATIONS = 2;
const bounds = {
  batchEntriesMax: 512,
  queueEntriesMax: 20_000,
  aggregatesCachedMax: 1_000,
  snapshotEveryEvents: 3,
  processesOpenMax: 1_000,
  idempotencyDays: 1,
} as Bounds;

async function open(host: SimulatedHost, partitions: number[], copies: number[] = []): Promise<Shard> {
  const shard = await openShard({
    host,
    service,
    place: { base: `${host.folder}/bank-0` },
    partitions,
    copies,
    pool: openWriterPool(host, { threadsMax: 1 }),
    readers: openReaders(host, { threadsMax: 1, deadlineMs: 1_000 }),
    bounds,
    masterKey: new Uint8Array(32),
    bus: {} as Bus,
    ports: {},
    report: () => undefined,
  });
  await shard.recover();
  return shard;
}

/** Balances as the log has them. */
async function folded(log: Log): Promise<ReadonlyMap<string, number>> {
  const balances = new Map<string, number>();
  for (const { stream, type, data } of await log.readPartition(P, 0, 1_000)) {
    const { amount = 0 } = JSON.parse(data) as { amount?: number };
    balances.set(stream, (balances.get(stream) ?? 0) + (type === 'Deposited' ? amount : 0));
  }
  return balances;
}

async function checkRows(host: SimulatedHost, shard: Shard): Promise<number> {
  await shard.moving.adopt(P, (await shard.moving.follow(P)).epoch);
  const balances = await folded(shard.log);
  for (const [id, balance] of balances) {
    const row = await settled(host, () => shard.row('balances', P, { id }));
    deepStrictEqual(
      [Number(row?.['balance']), (await shard.load('account', id)).version > 0],
      [balance, true],
    );
    deepStrictEqual(((await shard.load('account', id)).state as { balance: number }).balance, balance);
  }
  return balances.size;
}

async function settled<T>(host: SimulatedHost, ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!isCardumeError(error, 'read-model-building') || tries === 100) throw error;
      await host.clock.sleep(50);
    }
  }
}

/** @returns whether the power failed before the cut was done */
async function failAfter(operations: number): Promise<boolean> {
  const host = simulatedHost({ seed: 1 + operations });
  try {
    await host.run(host.disk.makeFolder(host.folder));
    const shard = await host.run(open(host, [P, Q]));
    let cutAt = 0;
    const seen = await host.run(
      (async () => {
        const ids = Array.from({ length: ACCOUNTS }, () =>
          newId('acc', places[0] as (typeof places)[0], host.clock.nowMs(), host.random.bytes(10)),
        );
        const send = (id: string, command: AccountCommand) => shard.send('account', id, command);
        for (const id of ids) await send(id, { type: 'Open', owner: 'Ana' });
        for (const id of ids) await send(id, { type: 'Deposit', amount: 5 });
        cutAt = shard.log.heads().find(({ partition }) => partition === P)?.position ?? 0;
        for (const id of ids) await send(id, { type: 'Deposit', amount: 7 });
        return (await shard.moving.release(P)).head;
      })(),
    );
    host.failPowerAfter(operations);
    const isWhole = await host.run(shard.moving.cut(seen, cutAt)).then(
      () => true,
      () => false,
    );
    host.crash();
    const again = await host.run(open(host, [Q], [P]));
    await host.run(
      (async () => {
        // Half of them are asked for again.
        if (operations % (2 * EVERY_OPERATIONS) === 0) {
          await again.moving.cut(await again.moving.follow(P), cutAt);
          deepStrictEqual((await again.log.quarantine.list(null, 100)).length, ACCOUNTS);
          deepStrictEqual((await again.moving.follow(P)).position, cutAt);
        }
        deepStrictEqual(await checkRows(host, again), ACCOUNTS);
        await again.close();
        const { faults } = await verifyLog(host, { path: `${host.folder}/bank-0.log.db` });
        deepStrictEqual(faults, []);
      })(),
    );
    return !isWhole;
  } finally {
    host.close();
  }
}

test('a power failure in a cut leaves read models of another log nowhere', { timeout: 120_000 }, async () => {
  let operations = 0;
  while (operations < OPERATIONS_MAX && (await failAfter(operations))) operations += EVERY_OPERATIONS;
  ok(operations > 0 && operations < OPERATIONS_MAX, `${operations} operations`);
});
