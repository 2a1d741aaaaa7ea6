/** Processes of a real shard on virtual time: what their effects answer, and what the operator hears of it. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, test } from 'node:test';
import { CardumeError } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { openWriterPool } from '../events/events.ts';
import { type SimulatedHost, simulatedHost } from '../testing/simulated/host.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Bounds } from '../topology/topology.ts';
import { type AccountCommand, type AccountEvent, account, service } from './bank.fixture.ts';
import type { Bus } from './bus.ts';
import { notYet, type Process, process } from './process.ts';
import { openReaders } from './readers.ts';
import { openShard, type Shard } from './shard.ts';

const place = { scope: 1, partition: 0 };
const bounds = {
  batchEntriesMax: 512,
  queueEntriesMax: 20_000,
  aggregatesCachedMax: 1_000,
  snapshotEveryEvents: 50,
  processesOpenMax: 1_000,
  idempotencyDays: 1,
} as Bounds;
const hosts: SimulatedHost[] = [];
after(() => {
  for (const host of hosts) host.close();
});

function newHost(): SimulatedHost {
  const host = simulatedHost({ seed: 7 });
  hosts.push(host);
  return host;
}

interface Open {
  readonly reports: Readonly<Record<string, unknown>>[];
  send(id: string, command: AccountCommand): Promise<void>;
  processesOpen(): number;
  close(): Promise<void>;
}

// biome-ignore lint/suspicious/noExplicitAny: definitions of different types stand in one list
async function openOn(host: SimulatedHost, processes: readonly Process<any, any, any>[]): Promise<Open> {
  const pool = openWriterPool(host, { threadsMax: 1 });
  const reports: Readonly<Record<string, unknown>>[] = [];
  let shard: Shard | undefined;
  const bus = {
    send: (to: { aggregate: string }, id: string, command: AccountCommand) =>
      (shard as Shard).send(to.aggregate, id, command),
  } as unknown as Bus;
  const opened = await host.run(
    openShard({
      host,
      service: { ...service, processes },
      place: { base: `${host.folder}/bank-0` },
      partitions: [partitionKey(place)],
      pool,
      readers: openReaders(host, { threadsMax: 1, deadlineMs: 1_000 }),
      bounds,
      masterKey: new Uint8Array(32),
      bus,
      ports: {},
      report: (message, fields) => void reports.push({ message, ...fields }),
    }),
  );
  shard = opened;
  await host.run(opened.recover());
  opened.begin();
  return {
    reports,
    send: async (id, command) => void (await host.run(opened.send('account', id, command))),
    processesOpen: opened.processesOpen,
    async close() {
      await host.run(opened.close());
      await host.run(pool.close());
    },
  };
}

const accountOn = (host: SimulatedHost): string =>
  newId('acc', place, host.clock.nowMs(), host.random.bytes(10));

/** Waits for a transfer's outcome by asking again and again. */
function settling(ask: () => Promise<AccountCommand | typeof notYet>) {
  return process<readonly number[], AccountEvent, AccountCommand>({
    name: 'settling',
    of: account,
    startsOn: ['TransferStarted'],
    initial: () => [],
    evolve(open, event) {
      if (event.type === 'TransferStarted') return [...open, event.transfer];
      return event.type === 'TransferDone' ? open.filter((one) => one !== event.transfer) : open;
    },
    ended: (open) => open.length === 0,
    react: (open) => open.map((transfer) => ({ key: `settle-${transfer}`, kind: 'work', run: ask })),
  });
}

async function startTransfer(bank: Open, id: string): Promise<void> {
  await bank.send(id, { type: 'Open', owner: 'Ana' });
  await bank.send(id, { type: 'Deposit', amount: 100 });
  await bank.send(id, { type: 'Transfer', to: id, amount: 1 });
}

test('what is not yet decided is asked again with growing pauses, and nobody is told', async () => {
  const host = newHost();
  const askedMs: number[] = [];
  let decided = false;
  const bank = await openOn(host, [
    settling(async () => {
      askedMs.push(host.elapsedMs());
      return decided ? { type: 'FinishTransfer', transfer: 1 } : notYet;
    }),
  ]);
  await startTransfer(bank, accountOn(host));
  await host.advance(120_000);
  const pauses = askedMs.slice(1).map((ms, i) => ms - (askedMs[i] as number));
  ok(pauses.length >= 14, `${pauses.length} pauses`);
  for (const [i, pauseMs] of pauses.entries()) {
    const meanMs = Math.min(2_000, 50 * 2 ** i);
    ok(pauseMs >= 0.49 * meanMs && pauseMs <= 1.51 * meanMs + 1, `pause ${i} is ${pauseMs} ms`);
  }
  strictEqual(bank.processesOpen(), 1);
  decided = true;
  await host.run(() => bank.processesOpen() === 0);
  deepStrictEqual(bank.reports, []);
  await bank.close();
});

test('between answers of not yet only failures are counted, and each fifth is told', async () => {
  const host = newHost();
  let asked = 0;
  const bank = await openOn(host, [
    settling(async () => {
      asked += 1;
      if (asked % 3 === 2) throw new CardumeError('deadline-exceeded', 'nobody answers');
      return asked < 16 ? notYet : { type: 'FinishTransfer', transfer: 1 };
    }),
  ]);
  await startTransfer(bank, accountOn(host));
  await host.run(() => bank.processesOpen() === 0, 300_000);
  deepStrictEqual(
    bank.reports.map(({ message, attempts }) => [message, attempts]),
    [['an effect of a process failed and will be tried again', 14]],
  );
  await bank.close();
});

test('what is no longer wanted is not asked again', async () => {
  const host = newHost();
  let asked = 0;
  const bank = await openOn(host, [
    settling(async () => {
      asked += 1;
      return notYet;
    }),
  ]);
  const id = accountOn(host);
  await startTransfer(bank, id);
  await host.advance(1_000);
  ok(asked > 1);
  await bank.send(id, { type: 'FinishTransfer', transfer: 1 });
  const askedBefore = asked;
  await host.advance(60_000);
  deepStrictEqual([asked, bank.processesOpen()], [askedBefore, 0]);
  await bank.close();
});

interface Summed {
  /** Events that were folded. */
  folded: number;
  /** The states that were reacted to. */
  readonly states: string[];
}

function summing(told: Summed, revision: number | undefined) {
  return process<{ sum: number } | { total: number }, AccountEvent, AccountCommand>({
    name: 'summing',
    of: account,
    startsOn: ['TransferStarted'],
    ...(revision === undefined ? {} : { stateRevision: revision }),
    initial: () => (revision === 2 ? { total: 0 } : { sum: 0 }),
    evolve(state, event) {
      told.folded += 1;
      const amount = event.type === 'TransferStarted' ? event.amount : 0;
      return 'total' in state ? { total: state.total + amount } : { sum: state.sum + amount };
    },
    ended: () => false,
    react: (state) => [
      {
        key: JSON.stringify(state),
        kind: 'work',
        async run() {
          told.states.push(JSON.stringify(state));
          return null;
        },
      },
    ],
  });
}

test('a saved state of another revision is left aside: the log is folded again from its start', async () => {
  const host = newHost();
  const id = accountOn(host);
  const afterStart = async (revision: number | undefined): Promise<Summed> => {
    const told = { folded: 0, states: [] };
    const bank = await openOn(host, [summing(told, revision)]);
    await host.advance(100);
    deepStrictEqual(bank.reports, []);
    await bank.close();
    return told;
  };
  const bank = await openOn(host, [summing({ folded: 0, states: [] }, undefined)]);
  await startTransfer(bank, id);
  await bank.send(id, { type: 'Transfer', to: id, amount: 2 });
  await bank.close();

  deepStrictEqual(await afterStart(1), { folded: 0, states: ['{"sum":3}'] }, 'no revision is the first');
  deepStrictEqual(await afterStart(2), { folded: 2, states: ['{"total":3}'] });
  deepStrictEqual(await afterStart(2), { folded: 0, states: ['{"total":3}'] }, 'from the new checkpoint');
  deepStrictEqual(await afterStart(1), { folded: 2, states: ['{"sum":3}'] }, 'back to the version before');
});
