/** What a region holds of others follows the topology's residency, also when it changes its mind half way. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import house from '../../../cardume.config.ts';
import { isCardumeError } from '../base/errors.ts';
import { accountId, host, openBank, places } from '../cqrs/bank-shard.fixture.ts';
import type { Shard } from '../cqrs/shard.ts';
import type { ShardMap } from '../sharding/shard-map.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import type { ServiceTopology, Topology } from '../topology/topology.ts';
import { guestsAsAllowed } from './guests.ts';

const engines = await homes(host);
after(engines.clear);

const [P, Q] = places.map(partitionKey) as [number, number];
/** Born in the region that `places` are of, as the house has it. */
const [HERE, BORN] = ['eu-west', Object.keys(house.regions)[0] as string];
const map: ShardMap = {
  version: 3,
  shards: [],
  homes: {},
  guests: { users: { [P]: 'users-0', [Q]: 'users-0' } },
  reshard: null,
};

function topology(elsewhere: 'nothing' | 'sealed' | null): Topology {
  const users = house.services['users'] as ServiceTopology;
  const residency = elsewhere === null ? {} : { [BORN]: { regions: [BORN], elsewhere } };
  return { ...house, services: { ...house.services, users: { ...users, residency } } };
}

for (const { name, skip, newHome } of engines.all) {
  describe(`copies of other regions on ${name}`, { skip }, () => {
    test('one that was cut off while it was deleted is deleted to the end, whatever is wanted by then', async () => {
      const bank = await openBank(await newHome());
      const saved: ShardMap[] = [];
      const reports: string[] = [];
      const allowed = (elsewhere: 'nothing' | 'sealed' | null, from: ShardMap, shard: Shard = bank.shard) =>
        guestsAsAllowed(
          {
            topology: topology(elsewhere),
            here: HERE,
            hosted: { holder: () => shard },
            save: (now) => void saved.push(now),
            report: (message) => void reports.push(message),
          },
          from,
        );
      const ana = accountId(0);
      await bank.send(ana, { type: 'Open', owner: 'Ana' });
      for (let i = 0; i < 5; i += 1) await bank.send(ana, { type: 'Deposit', amount: 7 });
      await bank.shard.moving.release(P);
      assert.equal(await allowed(null, map), map);
      assert.equal(saved.length, 0);

      const ends: Shard = {
        ...bank.shard,
        moving: {
          ...bank.shard.moving,
          async drop(partition) {
            await bank.shard.log.moving.drop(partition, 2);
            throw new Error('the process ended');
          },
        },
      };
      await assert.rejects(allowed('nothing', map, ends), /the process ended/);
      const [begun, ...more] = saved.splice(0);
      assert.deepEqual([begun?.held, begun?.version, more], [{ users: { [P]: 'dropping' } }, 4, []]);
      assert.equal(reports.length, 1, 'the other is at home here');

      // The next start reads a topology that lets it be held whole, as it did before.
      const whole = await allowed(null, begun as ShardMap);
      assert.deepEqual([whole.held, saved.at(-1)], [{ users: {} }, whole]);
      await assert.rejects(bank.shard.moving.follow(P), (error) => isCardumeError(error, 'conflict'));
      assert.deepEqual(await bank.shard.log.readPartition(P, 0, 10), []);
      assert.equal((await bank.shard.moving.begin(P)).position, 0);
      assert.equal(await allowed(null, whole), whole);

      const sealed = await allowed('sealed', whole);
      assert.deepEqual(sealed.held, { users: { [P]: 'sealed' } });
      await bank.close();
    });
  });
}
