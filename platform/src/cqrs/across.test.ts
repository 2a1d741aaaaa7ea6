/** What a shard tells when a second region follows it, and how long readers wait for that. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { unbounded } from '../sharding/deadline.ts';
import { planQuery } from '../sharding/plan.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Across } from './across.ts';
import { type AccountState, balances } from './bank.fixture.ts';
import { accountId, host, type OpenBank, openBank, places } from './bank-shard.fixture.ts';

const engines = await homes(host);
after(engines.clear);

const partitions = places.map(partitionKey);

/** The second region: it has all at once, until it is held. */
interface Second extends Across {
  hold(): void;
  /** It has all of the partition up to the position. */
  raise(partition: number, position: number): void;
  /** Positions that somebody waits for. */
  wanted(partition: number): readonly number[];
}

function openSecond(): Second {
  const marks = new Map<number, number>();
  const listeners = new Set<(partition: number, watermark: number) => void>();
  const waiters = new Set<{ partition: number; position: number; resolve: () => void }>();
  let isHeld = false;
  const watermark = (partition: number): number => marks.get(partition) ?? 0;

  function raise(partition: number, position: number): void {
    if (position <= watermark(partition)) return;
    marks.set(partition, position);
    for (const waiter of waiters) {
      if (waiter.partition !== partition || waiter.position > position) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
    for (const listener of listeners) listener(partition, position);
  }

  return {
    watermark,
    raise,
    hold() {
      isHeld = true;
    },
    wanted: (partition) =>
      [...waiters].filter((waiter) => waiter.partition === partition).map(({ position }) => position),
    reached(partition, position) {
      if (!isHeld) raise(partition, position);
      if (watermark(partition) >= position) return Promise.resolve();
      return new Promise((resolve) => waiters.add({ partition, position, resolve }));
    },
    onRise(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    isAwaited: () => true,
    unclean: () => 0,
    checkBound: () => undefined,
  };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not within 10 s: ${what}`);
    await host.clock.sleep(1);
  }
}

const allBalances = planQuery(
  {
    service: 'bank',
    table: 'balances',
    select: ['balance'],
    orderBy: [{ column: 'balance', direction: 'ascending' }],
  },
  () => balances,
).plan;

for (const { name, skip, newHome } of engines.all) {
  describe(`a shard that a second region follows, on ${name}`, { skip }, () => {
    /** An account with 1 in each partition, known to the second region, which is held from then on. */
    async function opened(): Promise<{ bank: OpenBank; second: Second; accounts: string[] }> {
      const second = openSecond();
      const bank = await openBank(await newHome(), {}, {}, undefined, second);
      const accounts = places.map((_, n) => accountId(n));
      for (const id of accounts) {
        await bank.send(id, { type: 'Open', owner: 'Ana' });
        await bank.send(id, { type: 'Deposit', amount: 1 });
      }
      second.hold();
      return { bank, second, accounts };
    }
    const headOf = ({ shard }: OpenBank, partition: number): number =>
      shard.log.head(partition)?.position ?? 0;

    test('a scan waits for what stood when it had read, of all partitions at once, and for nothing newer', async () => {
      const { bank, second, accounts } = await opened();
      const before = partitions.map((partition) => headOf(bank, partition));
      const sending = accounts.map((id) => bank.send(id, { type: 'Deposit', amount: 10 }));
      await until(() => partitions.every((one, i) => headOf(bank, one) > (before[i] as number)), 'deposits');
      const read = partitions.map((partition) => headOf(bank, partition));
      const scanning = bank.shard.scan(allBalances, partitions, unbounded);
      await until(() => partitions.every((one) => second.wanted(one).length === 2), 'the scan waits for all');

      sending.push(...accounts.map((id) => bank.send(id, { type: 'Deposit', amount: 100 })));
      await until(
        () => partitions.every((one, i) => headOf(bank, one) > (read[i] as number)),
        'more of them',
      );
      for (const [i, partition] of partitions.entries()) second.raise(partition, read[i] as number);
      assert.deepEqual(
        (await scanning).map(([balance]) => balance),
        [11, 11, 11, 11],
      );

      for (const partition of partitions) second.raise(partition, headOf(bank, partition));
      await Promise.all(sending);
      await bank.close();
    });

    test('an aggregate waits for its own events alone', async () => {
      const { bank, second, accounts } = await opened();
      const [partition] = partitions as [number];
      const [first] = accounts as [string];
      const other = accountId(0);
      const opening = bank.send(other, { type: 'Open', owner: 'Bea' });
      await until(() => second.wanted(partition).length > 0, 'the other account waits');
      const states: AccountState[] = [];
      void bank.state(first).then((state) => states.push(state));
      await until(() => states.length > 0, 'what the first account was');
      assert.equal(states[0]?.balance, 1);

      const depositing = bank.send(first, { type: 'Deposit', amount: 1 });
      await until(() => second.wanted(partition).length === 2, 'the deposit waits');
      const loading = bank.state(first);
      await until(() => second.wanted(partition).length === 3, 'its reader waits');
      second.raise(partition, headOf(bank, partition));
      assert.equal((await loading).balance, 2);
      await Promise.all([opening, depositing]);
      await bank.close();
    });

    test('a row of a batch whose end was not heard of yet is waited for, too', async () => {
      const { bank, second, accounts } = await opened();
      const [partition] = partitions as [number];
      const [id] = accounts as [string];
      const depositing = bank.send(id, { type: 'Deposit', amount: 1 });
      void until(() => second.wanted(partition).length > 0, 'somebody waits').then(() =>
        second.raise(partition, headOf(bank, partition)),
      );
      let knownWhenTold = 0;
      for (let balance: unknown = 1; balance === 1; await host.clock.sleep(0)) {
        // In between only this loop runs: what the writer thread tells is not heard.
        for (const endMs = performance.now() + 100; balance === 1 && performance.now() < endMs; ) {
          balance = (await bank.shard.row('balances', partition, { id }))?.['balance'];
          knownWhenTold = second.watermark(partition);
        }
      }
      await depositing;
      assert.equal(knownWhenTold, headOf(bank, partition));
      await bank.close();
    });
  });
}
