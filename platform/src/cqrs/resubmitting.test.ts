/** What was cut off a copy is appended at its home after all, where its commands would have come to the same; once. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Entry } from '../events/log.ts';
import type { WrappedKey } from '../privacy/key-store.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import { accountId, host, type OpenBank, openBank, places } from './bank-shard.fixture.ts';

const engines = await homes(host);
after(engines.clear);

const P = partitionKey(places[0] as (typeof places)[number]);
const keyed = (text: string) => ({ key: { text, fingerprint: `of ${text}` } });

/** All that stands behind the position is cut, and the rest goes on as the home. @returns what was cut */
async function cutBehind(bank: OpenBank, position: number): Promise<Entry[]> {
  const before = new Set((await quarantined(bank)).map(({ position: at, epoch }) => `${epoch}/${at}`));
  const { head } = await bank.shard.moving.release(P);
  await bank.shard.moving.cut(head, position);
  const { epoch } = await bank.shard.moving.follow(P);
  await bank.shard.moving.adopt(P, epoch);
  return (await quarantined(bank)).filter(({ position: at, epoch: of }) => !before.has(`${of}/${at}`));
}

const quarantined = async (bank: OpenBank): Promise<Entry[]> =>
  (await bank.shard.log.quarantine.list(null, 1_000)).map(({ entry }) => entry);

const positionOf = (bank: OpenBank): number => bank.shard.log.head(P)?.position ?? 0;

/** @param some which of the stream's entries, all of them when it is left out */
async function resubmit(bank: OpenBank, tail: readonly Entry[], stream: string, some = (_: Entry) => true) {
  const entries = tail.filter((entry) => entry.stream === stream && some(entry));
  const keys = await bank.shard.moving.keysFor(entries);
  return bank.shard.resubmit({ partition: P, stream, parted: tail[0] as Entry, entries, keys });
}

for (const { name, skip, newHome } of engines.all) {
  describe(`entries are submitted again on ${name}`, { skip }, () => {
    test('to a stream that stands where it stood: all of it, with its answers, and once however often it is asked', async () => {
      const bank = await openBank(await newHome());
      const [ana, bob, eva] = [0, 4, 8].map(accountId) as [string, string, string];
      await bank.send(ana, { type: 'Open', owner: 'Ana' });
      await bank.send(bob, { type: 'Open', owner: 'Bob' });
      const cutAt = positionOf(bank);
      const deposited = await bank.send(ana, { type: 'Deposit', amount: 100 }, keyed('deposit'));
      const broke = keyed('broke');
      await assert.rejects(bank.send(ana, { type: 'Withdraw', amount: 500 }, broke), /the balance is 100/);
      await bank.send(eva, { type: 'Open', owner: 'Eva' }, keyed('eva'));
      await bank.send(ana, { type: 'Transfer', to: bob, amount: 30 });
      const tail = await cutBehind(bank, cutAt);
      assert.equal((await bank.state(ana)).balance, 0);

      const twice = await Promise.all([resubmit(bank, tail, ana), resubmit(bank, tail, ana)]);
      assert.deepEqual(twice, [null, null]);
      assert.equal(await resubmit(bank, tail, ana), null);
      assert.equal(await resubmit(bank, tail, eva), null);
      // Its processes go on, and what is decided next rests on it.
      for (let i = 0; (await bank.state(bob)).balance < 30 && i < 500; i += 1) await host.clock.sleep(5);
      await bank.send(ana, { type: 'Withdraw', amount: 70 });
      const { balance, owner } = await bank.state(ana);
      assert.deepEqual([balance, owner, (await bank.state(bob)).balance], [0, 'Ana', 30]);
      assert.equal((await bank.state(eva)).owner, 'Eva');

      const again = await bank.send(ana, { type: 'Deposit', amount: 100 }, keyed('deposit'));
      assert.deepEqual([again.replayed, again.version, again.result], [true, 2, deposited.result]);
      await assert.rejects(bank.send(ana, { type: 'Withdraw', amount: 500 }, broke), /the balance is 100/);
      const own = (await bank.shard.log.readPartition(P, cutAt, 1_000)).filter(({ meta }) =>
        meta?.includes('quarantined'),
      );
      assert.equal(own.length, 4);
      assert.ok(own.every(({ atMs }, i) => atMs >= (tail[i] as Entry).atMs));
      await bank.close();
    });

    test('not to a stream that has gone on, nor under a key that has another answer; others are not concerned', async () => {
      const bank = await openBank(await newHome());
      const [ana, bob, eva] = [0, 4, 8].map(accountId) as [string, string, string];
      for (const id of [ana, bob, eva]) await bank.send(id, { type: 'Open', owner: 'A' });
      const cutAt = positionOf(bank);
      for (const id of [ana, bob, eva])
        await bank.send(id, { type: 'Deposit', amount: 5 }, keyed(`key-${id}`));
      const tail = await cutBehind(bank, cutAt);
      await bank.send(ana, { type: 'Deposit', amount: 7 });
      await assert.rejects(bank.send(bob, { type: 'Withdraw', amount: 9 }, keyed(`key-${bob}`)));
      const position = positionOf(bank);
      assert.match((await resubmit(bank, tail, ana)) ?? '', /gone on without it/);
      assert.match((await resubmit(bank, tail, bob)) ?? '', /key has another answer/);
      assert.equal(positionOf(bank), position);
      assert.equal(await resubmit(bank, tail, eva), null);
      assert.deepEqual(
        await Promise.all([ana, bob, eva].map(async (id) => (await bank.state(id)).balance)),
        [7, 0, 5],
      );
      await bank.close();
    });

    test('a part of a stream only behind what it rests on, in this history', async () => {
      const bank = await openBank(await newHome());
      const [ana, bob] = [0, 4].map(accountId) as [string, string];
      for (const id of [ana, bob]) await bank.send(id, { type: 'Open', owner: 'A' });
      const cutAt = positionOf(bank);
      for (const id of [ana, bob])
        for (const amount of [1, 2, 4]) await bank.send(id, { type: 'Deposit', amount });
      const tail = await cutBehind(bank, cutAt);
      assert.match((await resubmit(bank, tail, ana, ({ version }) => version === 3)) ?? '', /version 2/);
      assert.match((await resubmit(bank, tail, ana, ({ version }) => version !== 3)) ?? '', /version 3/);
      assert.equal(await resubmit(bank, tail, ana, ({ version }) => version === 2), null);
      assert.equal(await resubmit(bank, tail, ana), null);
      assert.equal((await bank.state(ana)).balance, 7);

      // Its version would fit, and what it rests on is another event by now.
      await bank.send(bob, { type: 'Deposit', amount: 100 });
      assert.match((await resubmit(bank, tail, bob, ({ version }) => version === 3)) ?? '', /gone on/);
      assert.equal((await bank.state(bob)).balance, 100);
      await bank.close();
    });

    test('a second tail is not taken for the first, nor the log for one that it is not', async () => {
      const bank = await openBank(await newHome());
      const ana = accountId(0);
      await bank.send(ana, { type: 'Open', owner: 'A' });
      const cutAt = positionOf(bank);
      await bank.send(ana, { type: 'Deposit', amount: 1 });
      const first = await cutBehind(bank, cutAt);
      await bank.send(ana, { type: 'Deposit', amount: 10 });
      const between = positionOf(bank);
      await bank.send(ana, { type: 'Deposit', amount: 100 });
      const second = await cutBehind(bank, between);
      assert.match(
        (await resubmit(bank, [...first, ...second], ana, ({ version }) => version === 3)) ?? '',
        /gone/,
      );
      assert.equal(await resubmit(bank, second, ana), null);
      assert.match((await resubmit(bank, first, ana)) ?? '', /gone on/);
      assert.equal((await bank.state(ana)).balance, 110);
      await bank.close();
    });

    test('personal fields come with their key; where there is another, or it was destroyed, they do not come', async () => {
      const lost = await openBank(await newHome());
      const home = await openBank(await newHome());
      const [ana, bob] = [0, 4].map(accountId) as [string, string];
      await lost.send(ana, { type: 'Open', owner: 'Ana' });
      await lost.send(bob, { type: 'Open', owner: 'Bob' });
      const tail = await lost.shard.log.readPartition(P, 0, 10);
      const keys = await lost.shard.moving.keysFor(tail);
      const asked = (stream: string, given = keys) => {
        const entries = tail.filter((entry) => entry.stream === stream);
        return home.shard.resubmit({ partition: P, stream, parted: tail[0] as Entry, entries, keys: given });
      };
      assert.match((await asked(ana, [])) ?? '', /destroyed/);
      assert.equal(await asked(ana), null);
      assert.equal((await home.state(ana)).owner, 'Ana');

      // Somebody has asked again for Bob, and his key was made anew.
      const made = await openBank(await newHome());
      await made.send(bob, { type: 'Open', owner: 'Bob' });
      const [other] = await made.shard.moving.keysFor(await made.shard.log.readPartition(P, 0, 1));
      await home.shard.log.askTail({ kind: 'ensure-key', ...other });
      assert.match((await asked(bob)) ?? '', /under a key that its subject has no more/);

      // Eva's stand in the log already, and nobody can open them: she was erased.
      const eva = accountId(8);
      const opened = { stream: eva, type: 'Opened', data: '{"owner":"x"}', meta: null, key: null, atMs: 1 };
      await home.shard.log.append(P, [{ ...opened, version: 1 }]);
      const cutAt = positionOf(home);
      await home.shard.log.append(P, [{ ...opened, version: 2 }]);
      const [cut] = (await cutBehind(home, cutAt)) as [Entry];
      const hers = [{ partition: P, subject: eva, wrapped: (other as WrappedKey).wrapped }];
      const asks = { partition: P, stream: eva, parted: cut, entries: [cut], keys: hers };
      assert.match((await home.shard.resubmit(asks)) ?? '', /destroyed/);
      for (const bank of [lost, home, made]) await bank.close();
    });

    test('not those of an aggregate that this version does not know', async () => {
      const bank = await openBank(await newHome());
      await bank.send(accountId(0), { type: 'Open', owner: 'A' });
      const [entry] = (await bank.shard.log.readPartition(P, 0, 1)) as [Entry];
      const strange = { ...entry, stream: 'xyz_1' };
      const asked = { partition: P, stream: 'xyz_1', parted: strange, entries: [strange], keys: [] };
      assert.match((await bank.shard.resubmit(asked)) ?? '', /knows no aggregates of 'xyz'/);
      assert.deepEqual(bank.shard.shown(entry), { owner: '(sealed)' });
      await bank.close();
    });
  });
}
