/** Loading an aggregate reads a bounded number of events, however long its stream is. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { serialize } from 'node:v8';
import type { NewEntry } from '../events/log.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import { account, service } from './bank.fixture.ts';
import { accountId, host, type OpenBank, openBank, places } from './bank-shard.fixture.ts';
import type { Service } from './service.ts';

const EVENTS = 100_000;
const APPEND_ENTRIES = 500;
const snapshotEveryEvents = 256;

const engines = await homes(host);
after(engines.clear);

const partition = partitionKey(places[0] as (typeof places)[number]);
const withRevision = (stateRevision: number): Service => ({
  ...service,
  aggregates: [{ ...account, stateRevision }],
});

/** Behind the back of the pipeline: nothing makes a snapshot. */
async function grow(bank: OpenBank, stream: string, from: number, events: number): Promise<void> {
  const under: Promise<unknown>[] = [];
  for (let version = from; version < from + events; version += APPEND_ENTRIES) {
    const count = Math.min(APPEND_ENTRIES, from + events - version);
    const entries = Array.from(
      { length: count },
      (_, i): NewEntry => ({
        stream,
        version: version + i,
        type: 'Deposited',
        data: '{"amount":1}',
        meta: null,
        key: null,
        atMs: 1,
      }),
    );
    under.push(bank.shard.log.append(partition, entries));
    if (under.length === 8) await Promise.all(under.splice(0));
  }
  await Promise.all(under);
}

/** Loads it in a shard that was opened a moment ago. @returns the balance, and how many events were read */
async function coldLoad(bank: OpenBank, id: string): Promise<{ balance: number; read: number }> {
  let read = 0;
  const { readStream } = bank.shard.log;
  Object.assign(bank.shard.log, {
    async readStream(...args: Parameters<typeof readStream>) {
      const entries = await readStream(...args);
      read += entries.length;
      return entries;
    },
  });
  const { balance } = await bank.state(id);
  Object.assign(bank.shard.log, { readStream });
  return { balance, read };
}

for (const { name, skip, newHome } of engines.all) {
  describe(`the load of a long stream on ${name}`, { skip }, () => {
    test('is bounded after 100,000 events: after a restart, after a load without a snapshot, and after one under newer code', async () => {
      const home = await newHome();
      const id = accountId(0);
      const open = (code = service) => openBank(home, {}, { snapshotEveryEvents }, code);
      const reopened = async (bank: OpenBank, code = service): Promise<OpenBank> => {
        await bank.close();
        return open(code);
      };
      let bank = await open();
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await grow(bank, id, 2, EVENTS);

      bank = await reopened(bank);
      const first = await coldLoad(bank, id);
      assert.deepEqual(first, { balance: EVENTS, read: EVENTS + 1 }, 'without a snapshot all are read, once');
      bank = await reopened(bank);
      assert.deepEqual(await coldLoad(bank, id), { balance: EVENTS, read: 1 });

      for (let i = 1; i <= 2 * snapshotEveryEvents + 10; i += 1)
        await bank.send(id, { type: 'Deposit', amount: 1 });
      bank = await reopened(bank);
      const later = await coldLoad(bank, id);
      assert.equal(later.balance, EVENTS + 2 * snapshotEveryEvents + 10);
      assert.ok(later.read <= snapshotEveryEvents, `${later.read} events were read`);

      // Other code, whose states have another shape.
      bank = await reopened(bank, withRevision(2));
      assert.equal((await coldLoad(bank, id)).read, EVENTS + 1 + 2 * snapshotEveryEvents + 10);
      bank = await reopened(bank, withRevision(2));
      assert.equal((await coldLoad(bank, id)).read, 1);
      await bank.close();
    });

    test('is bounded when nothing of the stream is personal, and right when something is later', async () => {
      const home = await newHome();
      const id = accountId(0);
      const over = { snapshotEveryEvents };
      let bank = await openBank(home, {}, over);
      await grow(bank, id, 1, 1_000);
      await bank.close();
      for (const read of [1_000, 1]) {
        bank = await openBank(home, {}, over);
        assert.deepEqual(await coldLoad(bank, id), { balance: 1_000, read });
        await bank.close();
      }

      bank = await openBank(home, {}, over);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await bank.close();
      for (const read of [1_001, 1]) {
        bank = await openBank(home, {}, over);
        assert.deepEqual(await coldLoad(bank, id), { balance: 1_000, read });
        assert.equal((await bank.shard.load('account', id)).version, 1_001);
        await bank.close();
      }
      assert.equal((await home.bytes()).includes('Ana'), false);
    });

    test('leaves a snapshot aside that does not open, or stands behind an event that the log does not have', async () => {
      const home = await newHome();
      const id = accountId(0);
      const over = { snapshotEveryEvents };
      let bank = await openBank(home, {}, over);
      await grow(bank, id, 1, 1_000);
      await bank.state(id);
      const state = serialize({ ...account.initial(), balance: 2_000 });
      const damaged = { version: 1_000, epoch: 1, position: 1_000, state: new Uint8Array(100).fill(7) };
      const ahead = { version: 2_000, epoch: 1, position: 2_000, state };
      const elsewhere = { version: 1_000, epoch: 1, position: 999, state };
      const otherwise = { version: 1_000, epoch: 2, position: 1_000, state };
      for (const [one, looked] of [
        [damaged, 0],
        [ahead, 0],
        [elsewhere, 1],
        [otherwise, 1],
      ] as const) {
        // Of the bank's first revision, folded without a key.
        const snapshot = { partition, stream: id, revision: 2 ** 31 + 1, ...one };
        await bank.shard.log.askTail({ kind: 'snapshot', snapshot });
        await bank.close();
        bank = await openBank(home, {}, over);
        assert.deepEqual(await coldLoad(bank, id), { balance: 1_000, read: 1_000 + looked });
        await bank.close();
        bank = await openBank(home, {}, over);
        assert.deepEqual(await coldLoad(bank, id), { balance: 1_000, read: 1 }, 'another was made');
      }
      await bank.close();
    });
  });
}
