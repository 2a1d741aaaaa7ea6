/** Partitions come and go while a copy of them may be taken up: by whoever follows, and by whoever fences. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import { accountId, host, openBank, places } from './bank-shard.fixture.ts';

const engines = await homes(host);
after(engines.clear);

const [P] = places.map(partitionKey) as [number];
const isConflict = (error: unknown): boolean => isCardumeError(error, 'conflict');

for (const { name, skip, newHome } of engines.all) {
  describe(`a partition that comes home on ${name}`, { skip }, () => {
    test('is not taken from the process that adopts it, by that very process', async () => {
      const bank = await openBank(await newHome());
      const { moving } = bank.shard;
      const ana = accountId(0);
      await bank.send(ana, { type: 'Open', owner: 'Ana' });
      const { head } = await moving.release(P);
      // The files say that it is a home, and the log does not know it yet.
      const [adopted, ...unseated] = await Promise.allSettled([
        moving.adopt(P, head.epoch),
        moving.unseat(P),
        moving.begin(P),
      ]);
      assert.equal(adopted.status, 'fulfilled');
      for (const one of unseated)
        assert.ok(one.status === 'rejected' && isConflict(one.reason), `${one.status}`);
      await assert.rejects(moving.unseat(P), isConflict);
      await bank.send(ana, { type: 'Deposit', amount: 5 });
      assert.equal((await bank.state(ana)).balance, 5);
      await bank.close();
    });
  });
}
