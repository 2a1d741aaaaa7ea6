/** Reads that may be old, of a shard with a replica: on files that are fed from the log, and on servers that replicate. */
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { after, describe, test } from 'node:test';
import { unbounded } from '../sharding/deadline.ts';
import { planQuery } from '../sharding/plan.ts';
import type { Freshness } from '../sharding/query.ts';
import { replicatedHomes } from '../testing/replica-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import { balances, owners, service } from './bank.fixture.ts';
import { service as changed } from './bank-changed.fixture.ts';
import { accountId, host, type OpenBank, openBank, places } from './bank-shard.fixture.ts';
import { openFeeder } from './feeder.ts';
import { openPast } from './freshness.ts';

const engines = await replicatedHomes(host);
after(engines.clear);

const MINUTE: Freshness = { maxStalenessMs: 60_000 };
const partitions = places.map(partitionKey);
const partitionOf = (n: number): number => partitions[n % partitions.length] as number;
const { plan } = planQuery({ service: 'bank', table: 'balances' }, () => balances);

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within 20 s: ${what}`);
    await host.clock.sleep(5);
  }
}

async function balanceOf(bank: OpenBank, n: number, id: string, freshness?: Freshness): Promise<unknown> {
  return (await bank.shard.row('balances', partitionOf(n), { id }, freshness))?.['balance'];
}

async function total(bank: OpenBank, freshness?: Freshness, of = partitions): Promise<number> {
  // As whoever knows where partitions are at home asks a shard that may hold others.
  const asked = freshness === undefined ? { ...plan, partitions: of } : plan;
  const rows = await bank.shard.scan(asked, of, unbounded, freshness);
  return rows.reduce((sum, row) => sum + Number(row[plan.columns.indexOf('balance')]), 0);
}

const statusOf = (bank: OpenBank) => bank.shard.replicas()[0] as ReturnType<typeof bank.shard.replicas>[0];
const readsOf = (bank: OpenBank): number => statusOf(bank).reads;

/** Looks until the replica answers. */
async function answers(bank: OpenBank, freshness = MINUTE): Promise<void> {
  const before = readsOf(bank);
  await until(async () => {
    await balanceOf(bank, 0, 'nobody', freshness);
    return readsOf(bank) > before;
  }, 'the replica answers');
}

async function opened(bank: OpenBank, n: number): Promise<string> {
  const id = accountId(n);
  await bank.send(id, { type: 'Open', owner: 'Ana' });
  return id;
}

for (const { name, skip, newHome } of engines.all) {
  describe(`a replica on ${name}`, { skip }, () => {
    test('answers what may be old, and nothing else', async () => {
      const bank = await openBank(await newHome());
      const ids = [await opened(bank, 0), await opened(bank, 1)] as const;
      await bank.send(ids[1], { type: 'Deposit', amount: 7 });
      await answers(bank);
      const reads = readsOf(bank);
      assert.equal(await total(bank), 7);
      assert.equal(await balanceOf(bank, 1, ids[1], { maxStalenessMs: 0 }), 7);
      assert.equal(readsOf(bank), reads, 'the shard has answered');
      assert.equal(await balanceOf(bank, 1, ids[1], MINUTE), 7);
      assert.equal(await bank.shard.row('balances', partitionOf(0), { id: 'nobody' }, MINUTE), null);
      assert.equal(await total(bank, MINUTE), 7);
      assert.equal(readsOf(bank), reads + 3);
      assert.deepEqual(bank.reports, []);
      await bank.close();
    });

    test('lags: who wants more than it has is answered by the shard, and it comes back by itself', async () => {
      const home = await newHome();
      const bank = await openBank(home);
      const id = await opened(bank, 2);
      await bank.send(id, { type: 'Deposit', amount: 1 });
      await answers(bank);
      const letGo = await home.hold();
      await host.clock.sleep(200);
      const { token } = await bank.send(id, { type: 'Deposit', amount: 1 });
      assert.equal(await balanceOf(bank, 2, id, { ...MINUTE, seen: { service: 'bank', token } }), 2);
      assert.equal(await balanceOf(bank, 2, id), 2);
      await host.clock.sleep(200);
      assert.equal(await total(bank, { maxStalenessMs: 100 }), 2, 'longer ago than 100 ms');
      await letGo();
      await answers(bank, { maxStalenessMs: 100, seen: { service: 'bank', token } });
      assert.equal(await balanceOf(bank, 2, id, { ...MINUTE, seen: { service: 'bank', token } }), 2);
      await bank.close();
    });

    test('may tell the past while it lags, never longer ago than is allowed', async () => {
      const home = await newHome();
      const bank = await openBank(home);
      const id = await opened(bank, 3);
      await answers(bank);
      const told: { readonly atMs: number; readonly balance: number }[] = [];
      let isOver = false;
      const writing = (async () => {
        for (let balance = 1; !isOver; balance += 1) {
          await bank.send(id, { type: 'Deposit', amount: 1 });
          told.push({ atMs: performance.now(), balance });
          await host.clock.sleep(3);
        }
      })();
      const holding = (async () => {
        while (!isOver) {
          const letGo = await home.hold();
          await host.clock.sleep(150);
          await letGo();
          await host.clock.sleep(250);
        }
      })();
      let old = 0;
      for (const endMs = performance.now() + 3_000; performance.now() < endMs; ) {
        for (const maxStalenessMs of [20, 100, 400]) {
          const sinceMs = performance.now() - maxStalenessMs;
          const least = told.findLast(({ atMs }) => atMs <= sinceMs)?.balance ?? 0;
          const newest = told.at(-1)?.balance ?? 0;
          const seen = await balanceOf(bank, 3, id, { maxStalenessMs });
          assert.ok((seen as number) >= least, `${seen}, and ${least} stood ${maxStalenessMs} ms ago`);
          if ((seen as number) < newest) old += 1;
        }
        await host.clock.sleep(2);
      }
      isOver = true;
      await Promise.all([writing, holding]);
      assert.ok(readsOf(bank) > 20 && old > 0, `${readsOf(bank)} reads of the replica, ${old} of them old`);
      await bank.close();
    });

    test('fails: it is left out, the shard answers, and it comes back by itself', async () => {
      const home = await newHome();
      const bank = await openBank(home);
      const id = await opened(bank, 0);
      await answers(bank);
      const bringBack = await home.stop();
      assert.equal(await total(bank, MINUTE), 0);
      await until(async () => {
        assert.equal(await balanceOf(bank, 0, id, MINUTE), 0);
        return statusOf(bank).trouble !== null;
      }, 'it is left out');
      assert.ok(bank.reports.includes('a replica is left out, and will be tried again'));
      await bringBack();
      await answers(bank);
      assert.equal(statusOf(bank).trouble, null);
      assert.ok(bank.reports.includes('a replica is back'));
      await bank.close();
    });

    test('has what stood before it was there, and what came while nobody looked', async () => {
      const home = await newHome();
      let bank = await openBank({ place: { ...home.place, replicas: undefined } as never });
      const id = await opened(bank, 0);
      for (let i = 0; i < 30; i += 1) await bank.send(id, { type: 'Deposit', amount: 1 });
      await bank.close();
      bank = await openBank(home);
      await answers(bank);
      assert.equal(await balanceOf(bank, 0, id, MINUTE), 30);
      await bank.close();
      bank = await openBank({ place: { ...home.place, replicas: undefined } as never });
      await bank.send(id, { type: 'Deposit', amount: 1 });
      await bank.close();
      bank = await openBank(home);
      await answers(bank);
      assert.equal(await balanceOf(bank, 0, id, { maxStalenessMs: 1 }), 31);
      await bank.close();
    });

    test('shows nothing of a partition that is not at home in its shard', async () => {
      const home = await newHome();
      let bank = await openBank(home);
      for (const n of [0, 1]) {
        const id = await opened(bank, n);
        await bank.send(id, { type: 'Deposit', amount: 10 ** n });
      }
      await answers(bank);
      assert.equal(await total(bank, MINUTE), 11);
      assert.equal(await total(bank, MINUTE, [partitionOf(1)]), 10);
      await bank.close();
      const left = partitions.slice(1);
      bank = await openBank({ ...home, partitions: left });
      await until(async () => {
        const seen = await total(bank, MINUTE, left);
        if (readsOf(bank) > 0) assert.equal(seen, 10);
        return readsOf(bank) > 0;
      }, 'the replica answers');
      await bank.close();
    });

    test('a read model that stands still is not read from it either', async () => {
      const bank = await openBank(await newHome());
      const id = await opened(bank, 0);
      await answers(bank);
      await bank.send(id, { type: 'Break' });
      await assert.rejects(bank.shard.row(owners.name, partitionOf(0), { id }, MINUTE), {
        code: 'read-model-halted',
      });
      await answers(bank);
      assert.equal(await balanceOf(bank, 0, id, MINUTE), 0);
      await bank.close();
    });
  });
}

describe('who feeds a replica', () => {
  const sqlite = engines.all[0] as (typeof engines.all)[0];
  const ofFirst = partitionOf(0);

  test('one that was replaced feeds no more what its successor has opened', async () => {
    const home = await sqlite.newHome();
    const old = await openBank(home);
    const id = await opened(old, 0);
    await old.send(id, { type: 'Deposit', amount: 1 });
    await answers(old);
    const { base } = home.place as { base: string };
    const stale = openFeeder(host);
    const feed = { module: service.module, base, path: `${base}.replica-1.db`, heads: old.shard.log.heads() };
    await stale.feed(feed);

    const now = await openBank(home, {}, {}, changed);
    await answers(now);
    for (const amount of [1, 100]) {
      await now.send(id, { type: 'Deposit', amount });
      // What it knows is of before; and what it might read is not its own.
      await assert.rejects(stale.feed(feed), { code: 'fenced' });
      // Reads through the one that was replaced are refused, and make it look.
      const read = old.shard.row('balances', ofFirst, { id }, { maxStalenessMs: 1 });
      await assert.rejects(read, { code: 'fenced' });
      await host.clock.sleep(60);
    }
    await answers(now, { maxStalenessMs: 1 });
    const expected = { id, balance: 102, largest: 100 };
    assert.deepEqual(
      { ...(await now.shard.row('balances', ofFirst, { id }, { maxStalenessMs: 1 })) },
      expected,
    );
    assert.deepEqual({ ...(await now.shard.row('balances', ofFirst, { id })) }, expected);
    await stale.close();
    await old.close();
    await now.close();

    const back = await openBank(home);
    await answers(back, { maxStalenessMs: 1 });
    const before = { id, balance: 102, deposits: 3 };
    assert.deepEqual(
      { ...(await back.shard.row('balances', ofFirst, { id }, { maxStalenessMs: 1 })) },
      before,
    );
    await back.close();
  });

  test('a damaged file is begun anew', async () => {
    const home = await sqlite.newHome();
    let bank = await openBank(home);
    const id = await opened(bank, 0);
    await bank.send(id, { type: 'Deposit', amount: 1 });
    await answers(bank);
    await bank.close();
    const file = await open(`${(home.place as { base: string }).base}.replica-1.db`, 'r+');
    await file.write(Buffer.alloc(50_000, 7), 0, 50_000, 0);
    await file.close();
    bank = await openBank(home);
    await answers(bank);
    assert.equal(await balanceOf(bank, 0, id, { maxStalenessMs: 1 }), 1);
    assert.ok(bank.reports.includes('a replica is back'));
    await bank.close();
  });
});

test('what was committed until a moment is in the positions of it', () => {
  let nowMs = 0;
  let position = 0;
  const past = openPast({ monotonicMs: () => nowMs } as never, () => [{ partition: 1, position } as never]);
  for (nowMs = 1_000; nowMs <= 10_000; nowMs += 30) {
    position += 1;
    past.note();
  }
  const lastMs = nowMs - 30;
  for (const [atMs, ages] of [
    [lastMs, [0, 10, 29, 30, 100, 1_000, 5_000]],
    [lastMs + 500, [0, 499, 500, 501, 2_000]],
  ] as const) {
    nowMs = atMs;
    for (const age of ages) {
      const stood = Math.floor((Math.min(atMs - age, lastMs) - 1_000) / 30) + 1;
      const told = past.positionsSince(age).get(1) as number;
      assert.ok(told >= stood, `${told} of ${stood}, ${age} ms ago`);
      assert.ok(told <= stood + 4, `${told} of ${stood}, ${age} ms ago`);
    }
  }
});
