/** A copy is cut: what was derived from the entries that go is discarded before them, and made again from what is left. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { serialize } from 'node:v8';
import { type ErrorCode, isCardumeError } from '../base/errors.ts';
import type { Head, NewEntry } from '../events/log.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import { accountId, host, type OpenBank, openBank, places } from './bank-shard.fixture.ts';

const engines = await homes(host);
after(engines.clear);

const [P, Q] = places.map(partitionKey) as [number, number];
const EVENTS = 3_000;
const TRIES_MAX = 200;
const never = { beforeDeposit: () => new Promise(() => undefined) };

/** Behind the back of the pipeline. */
async function grow(bank: OpenBank, stream: string, from: number, events: number): Promise<void> {
  const more = { type: 'Deposited', data: '{"amount":1}', meta: null, key: null, atMs: 1 };
  for (let at = from; at < from + events; at += 500) {
    const entries = Array.from({ length: Math.min(500, from + events - at) }, (_, i): NewEntry => {
      return { ...more, stream, version: at + i };
    });
    await bank.shard.log.append(P, entries);
  }
}

const positionOf = (bank: OpenBank, partition: number): number =>
  bank.shard.log.heads().find((head) => head.partition === partition)?.position ?? 0;

async function balanceIn(bank: OpenBank, partition: number, id: string): Promise<unknown> {
  const row = await bank.shard.row('balances', partition, { id });
  return row === null ? null : [Number(row['balance']), Number(row['deposits'])];
}

/** @returns what came behind those that were refused, which is counted */
async function insist<T>(ask: () => Promise<T>, code: ErrorCode): Promise<{ came: T; refused: number }> {
  for (let refused = 0; ; refused += 1) {
    try {
      return { came: await ask(), refused };
    } catch (error) {
      if (!isCardumeError(error, code) || refused === TRIES_MAX) throw error;
      await host.clock.sleep(20);
    }
  }
}

for (const { name, skip, newHome } of engines.all) {
  describe(`a cut on ${name}`, { skip }, () => {
    test('read models, snapshots and processes are those of what is left, and others are read meanwhile', async () => {
      const home = await newHome();
      let bank = await openBank(home, never);
      const [ana, bob] = [accountId(0), accountId(1)];
      await bank.send(ana, { type: 'Open', owner: 'Ana' });
      await bank.send(bob, { type: 'Open', owner: 'Bob' });
      await grow(bank, ana, 2, EVENTS);
      await bank.close();
      bank = await openBank(home, never); // which has not seen it
      await bank.send(ana, { type: 'Transfer', to: bob, amount: 10 });
      const cutAt = positionOf(bank, P);
      await bank.send(ana, { type: 'Deposit', amount: 500 });
      await bank.send(ana, { type: 'Transfer', to: bob, amount: 20 });
      await grow(bank, ana, EVENTS + 5, 100); // a snapshot is due
      await bank.close();
      bank = await openBank(home, never); // its processes are saved
      assert.equal((await bank.state(ana)).balance, EVENTS + 570);
      assert.deepEqual(await balanceIn(bank, P, ana), [EVENTS + 570, EVENTS + 101]);
      const atHome = bank.shard.log.head(P) as Head;
      await assert.rejects(bank.shard.moving.cut(atHome, cutAt), (error) =>
        isCardumeError(error, 'conflict'),
      );

      const { head: seen } = await bank.shard.moving.release(P);
      const cutting = bank.shard.moving.cut(seen, cutAt);
      const page = { partition: P, homeEpoch: null, entries: [] };
      const [copied] = await bank.shard.moving.copy([page]);
      assert.ok(copied !== undefined && 'refused' in copied, 'nothing is copied meanwhile');
      await cutting;
      const { epoch, position } = await bank.shard.moving.follow(P);
      assert.deepEqual([seen.position - position, position], [102, cutAt]);
      await bank.shard.moving.adopt(P, epoch);
      await assert.rejects(balanceIn(bank, P, ana), (error) => isCardumeError(error, 'read-model-building'));
      assert.deepEqual(await balanceIn(bank, Q, bob), [0, 0]);
      // What is decided meanwhile is folded behind what was there.
      await bank.send(ana, { type: 'Deposit', amount: 1 });
      const { came, refused } = await insist(() => balanceIn(bank, P, ana), 'read-model-building');
      assert.deepEqual(came, [EVENTS - 9, EVENTS + 1]);
      assert.ok(refused > 0);
      const state = await bank.state(ana);
      assert.deepEqual([state.balance, state.owner, [...state.open]], [EVENTS - 9, 'Ana', [1]]);
      assert.equal(bank.shard.processesOpen(), 1);
      assert.equal((await bank.shard.log.quarantine.list(null, 1_000)).length, 102);
      await bank.close();

      bank = await openBank(home, never);
      assert.deepEqual(await balanceIn(bank, P, ana), [EVENTS - 9, EVENTS + 1]);
      assert.equal((await bank.state(ana)).balance, EVENTS - 9);
      await bank.close();
    });

    test('one that is cut off leaves nothing half done, and is asked for again', async () => {
      const home = await newHome();
      let bank = await openBank(home);
      const ids = [0, 4, 8].map(accountId);
      for (const id of ids) await bank.send(id, { type: 'Open', owner: 'Ana' });
      const cutAt = positionOf(bank, P);
      for (const id of ids) await bank.send(id, { type: 'Deposit', amount: 7 });
      await bank.shard.moving.release(P);
      const discard = { kind: 'discard', partition: P, afterPosition: cutAt, rowsMax: 2 };
      await bank.shard.log.moving.tend(P, discard);
      await bank.close();
      bank = await openBank(home);
      for (const id of ids) assert.deepEqual(await balanceIn(bank, P, id), [7, 1]);
      const { head: whole } = await bank.shard.moving.release(P);
      await bank.shard.log.moving.tend(P, { ...discard, rowsMax: 100 });
      await bank.shard.moving.cut(whole, cutAt);
      const left = await bank.shard.moving.follow(P);
      assert.deepEqual([whole.position - left.position, left.position], [3, cutAt]);
      await bank.shard.moving.cut(left, cutAt);
      await bank.shard.moving.adopt(P, left.epoch);
      for (const id of ids)
        assert.deepEqual((await insist(() => balanceIn(bank, P, id), 'read-model-building')).came, [0, 0]);
      // Where nothing was folded beyond, nothing is folded again.
      const { head } = await bank.shard.moving.release(P);
      await bank.shard.moving.cut(head, cutAt);
      await bank.shard.moving.adopt(P, head.epoch);
      for (const id of ids) assert.deepEqual(await balanceIn(bank, P, id), [0, 0]);
      await bank.close();
    });

    test('what a process is said to have folded is not believed of another history', async () => {
      const home = await newHome();
      let bank = await openBank(home, never);
      const ana = accountId(0);
      await bank.send(ana, { type: 'Open', owner: 'Ana' });
      await bank.send(ana, { type: 'Deposit', amount: 100 });
      await bank.send(ana, { type: 'Transfer', to: ana, amount: 1 });
      const position = positionOf(bank, P);
      await bank.close();
      for (const [epoch, open] of [
        [2, 1],
        [1, 0],
      ] as const) {
        bank = await openBank({ ...home, partitions: [Q] });
        const states = { process: 'transfers', partition: P, revision: 1, open: serialize(new Map()) };
        await bank.shard.log.askTail({ kind: 'checkpoint', checkpoint: { ...states, epoch, position } });
        await bank.close();
        bank = await openBank(home, never);
        assert.equal(bank.shard.processesOpen(), open);
        await bank.close();
      }
    });
  });
}
