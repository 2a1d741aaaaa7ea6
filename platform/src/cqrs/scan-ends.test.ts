/** A scan that nobody waits for, or that outlives its query's deadline, is ended where it runs; on each engine. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { unbounded, type Within } from '../sharding/deadline.ts';
import { planQuery } from '../sharding/plan.ts';
import type { Table } from '../sharding/table.ts';
import { serverNamed } from '../testing/servers.ts';
import { homes } from '../testing/shard-homes.ts';
import { openReading, openStores } from './engines.ts';
import { openReaders } from './readers.ts';
import type { Fold, ShardPlace } from './storage.ts';

const host = realHost();
const engines = await homes(host);
after(engines.clear);
const readers = openReaders(host, { threadsMax: 1, deadlineMs: 30_000 });
after(readers.close);
const found = await serverNamed(host, 'mariadb');
after(async () => {
  if (found.skip === false) await found.server.admin.close();
});

const table: Table = {
  name: 'things',
  columns: { id: 'text', owner: 'text' },
  key: ['id'],
  indexes: [],
  shardedBy: 'owner',
};
const source = { heads: () => [], read: async () => [] };
const ROWS = 5_000;
const tableOf = (): Table => table;
/** Pairs of all rows with all: seconds of work. */
const { plan: endless } = planQuery(
  {
    service: 'test',
    table: 'things',
    join: [{ type: 'inner', table: 'things', as: 'others', on: [{ left: 'owner', right: 'owner' }] }],
    aggregate: { groupBy: [], columns: { pairs: { count: '*' } } },
  },
  tableOf,
);
const { plan: quick } = planQuery({ service: 'test', table: 'things', limit: 1 }, tableOf);
const OWNER = 'acc_000_00000000000000000000000000';

const projections = [{ name: 'things', tables: [table], on: {} }];

async function fill(fold: Fold): Promise<void> {
  const rows = fold.rows(table);
  rows.at(0);
  for (let i = 0; i < ROWS; i += 1) rows.put({ id: `thing ${i}`, owner: OWNER });
  await fold.commit([{ build: '', partition: 0, from: 0, epoch: 1, to: 1 }]);
}

/** Scans on the shard's server. */
async function running(place: ShardPlace): Promise<number> {
  if (!('sql' in place) || found.skip !== false) return 0;
  const { database } = place.sql;
  return (await found.server.running()).filter(
    (one) => one.database === database && /^SELECT.*AS `others`/.test(one.statement),
  ).length;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const endMs = host.clock.monotonicMs() + 20_000;
  while (!(await condition())) {
    assert.ok(host.clock.monotonicMs() < endMs, 'in time');
    await host.clock.sleep(20);
  }
}

for (const { name, skip, newHome } of engines.all) {
  describe(`a scan on ${name}`, { skip }, () => {
    it('ends when nobody waits for it, and behind what is left of the deadline', async () => {
      const { place } = await newHome();
      if ('base' in place) await host.disk.makeFolder(place.base.slice(0, place.base.lastIndexOf('/')));
      const stores = await openStores(host, place, projections, source);
      await fill(await stores.readModels.begin());
      const reading = await openReading(host, place, projections, readers);
      const isOnServer = !('base' in place);

      const asker = new AbortController();
      const within: Within = { leftMs: () => 30_000, signal: asker.signal };
      const left = reading.scan(endless, within);
      if (isOnServer) await until(async () => (await running(place)) === 1);
      else await host.clock.sleep(200);
      asker.abort(new CardumeError('deadline-exceeded', 'nobody waits'));
      await assert.rejects(left, /nobody waits/);
      await until(async () => (await running(place)) === 0);
      // There is one thread: a scan behind it is answered since it was stopped.
      assert.equal((await reading.scan(quick, unbounded)).length, 2);

      const late = reading.scan(endless, { ...unbounded, leftMs: () => 300 });
      await assert.rejects(late, (error) => isCardumeError(error, 'deadline-exceeded'));
      await until(async () => (await running(place)) === 0);
      assert.equal((await reading.scan(quick, unbounded)).length, 2);

      const gone: Within = { leftMs: () => 30_000, signal: asker.signal };
      await assert.rejects(reading.scan(quick, gone), /nobody waits/);
      await reading.close();
      await stores.close();
    });
  });
}
