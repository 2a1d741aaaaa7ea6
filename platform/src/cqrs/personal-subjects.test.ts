/** Whoever copies a log has the keys of its personal fields before the entries. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Entry } from '../events/log.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import { accountId, host, openBank, places } from './bank-shard.fixture.ts';

const engines = await homes(host);
after(engines.clear);

const ACCOUNTS = 250;

for (const { name, skip, newHome } of engines.all) {
  describe(`keys with entries on ${name}`, { skip }, () => {
    test('those of the subjects of a page are found at once, each once, and none for nothing', async () => {
      const home = await newHome();
      const bank = await openBank(home);
      const ids = Array.from({ length: ACCOUNTS }, (_, i) => accountId(i));
      await Promise.all(ids.map((id) => bank.send(id, { type: 'Open', owner: 'Ana' })));
      await Promise.all(ids.map((id) => bank.send(id, { type: 'Deposit', amount: 1 })));
      const { log, moving } = bank.shard;
      const partitions = places.map(partitionKey);
      const pages = await Promise.all(partitions.map((one) => log.readPartition(one, 0, 1_000)));
      const entries = pages.flat();
      assert.equal(entries.length, 2 * ACCOUNTS);

      let asked = 0;
      const { askTail } = log;
      Object.assign(log, {
        askTail(message: unknown) {
          asked += 1;
          return askTail(message);
        },
      });
      const keys = await moving.keysFor([...entries, ...entries]);
      assert.equal(asked, 1);
      const listed = await Promise.all(partitions.map((one) => moving.listKeys(one, '', 1_000)));
      const text = (all: typeof keys): string[] =>
        all
          .map(
            ({ partition, subject, wrapped }) =>
              `${partition} ${subject} ${Buffer.from(wrapped).toString('hex')}`,
          )
          .toSorted();
      assert.deepEqual(text(keys), text(listed.flat()));
      assert.equal(keys.length, ACCOUNTS);

      asked = 0;
      const [opened, deposited] = ['Opened', 'Deposited'].map((type) =>
        entries.find((one) => one.type === type),
      );
      assert.deepEqual(await moving.keysFor([deposited as Entry]), []);
      assert.equal(asked, 0);
      const erased = { ...(opened as Entry), stream: accountId(0) };
      assert.deepEqual(await moving.keysFor([erased]), []);
      const [one] = await moving.keysFor([erased, opened as Entry, deposited as Entry]);
      assert.equal(one?.subject, opened?.stream);
      await bank.close();
    });
  });
}
