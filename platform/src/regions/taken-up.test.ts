/** Copies are taken up in files that another process of the region may have by now. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import { accountId, host, openBank, places } from '../cqrs/bank-shard.fixture.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import { takenUp } from './taken-up.ts';

const engines = await homes(host);
after(engines.clear);

const [P] = places.map(partitionKey) as [number];
const isConflict = (error: unknown): boolean => isCardumeError(error, 'conflict');
const isFenced = (error: unknown): boolean => isCardumeError(error, 'fenced');
const own = (): void => undefined;
const fenced = (): never => {
  throw new CardumeError('fenced', 'another process has the region');
};
const ROWS_MAX = 1_000;

for (const { name, skip, newHome } of engines.all) {
  describe(`a copy on ${name}`, { skip }, () => {
    test('that a successor has dropped is not begun anew by who was replaced', async () => {
      const bank = await openBank(await newHome());
      const { shard } = bank;
      await bank.send(accountId(0), { type: 'Open', owner: 'Ana' });
      await shard.moving.release(P);
      while ((await shard.moving.drop(P, ROWS_MAX)) === ROWS_MAX);
      await assert.rejects(
        takenUp(shard, P, 0, fenced, async () => undefined),
        isFenced,
      );
      await assert.rejects(shard.moving.follow(P), isConflict); // nothing was begun

      assert.equal((await takenUp(shard, P, 0, own, async () => undefined)).position, 0);
      assert.equal((await shard.moving.follow(P)).position, 0);
      await bank.close();
    });

    test('is taken from a process that was replaced, and not by one that was', async () => {
      const home = await newHome();
      const ana = accountId(0);
      const before = await openBank(home);
      await before.send(ana, { type: 'Open', owner: 'Ana' });
      const after = await openBank({ ...home, partitions: [] });
      await assert.rejects(
        takenUp(after.shard, P, 0, own, async () => fenced()),
        isFenced,
      );
      await before.send(ana, { type: 'Deposit', amount: 5 });

      const { position } = await takenUp(after.shard, P, 0, own, async () => undefined);
      assert.equal(position, 2);
      await assert.rejects(before.send(ana, { type: 'Deposit', amount: 5 }), isFenced);
      await after.close();
      await before.close();
    });

    test('is not taken up where the partition is at home', async () => {
      const bank = await openBank(await newHome());
      await assert.rejects(
        takenUp(bank.shard, P, 0, own, async () => undefined),
        isConflict,
      );
      await bank.close();
    });
  });
}
