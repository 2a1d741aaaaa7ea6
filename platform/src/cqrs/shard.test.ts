import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { unbounded } from '../sharding/deadline.ts';
import { planQuery } from '../sharding/plan.ts';
import { homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import { type AccountState, balances } from './bank.fixture.ts';
import { service as changed } from './bank-changed.fixture.ts';
import { accountId, host, openBank as open, places } from './bank-shard.fixture.ts';
import { openReaders } from './readers.ts';

const engines = await homes(host);
after(engines.clear);

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within 10 s: ${what}`);
    await host.clock.sleep(2);
  }
}

async function rejectionOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isCardumeError(error)) return error.code;
    throw error;
  }
  return 'no rejection';
}

for (const { name, skip, newHome } of engines.all) {
  describe(`a shard on ${name}`, { skip }, () => {
    test('an answered command is durable, projected, and there after a restart', async () => {
      const home = await newHome();
      let bank = await open(home);
      const id = accountId(0);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      const answer = await bank.send(id, { type: 'Deposit', amount: 7 });
      assert.deepEqual(
        { version: answer.version, result: answer.result },
        { version: 2, result: { balance: 7 } },
      );
      const partition = partitionKey(places[0] as (typeof places)[number]);
      assert.deepEqual(
        { ...(await bank.shard.row('balances', partition, { id })) },
        { id, balance: 7, deposits: 1 },
      );
      await bank.close();

      bank = await open(home);
      assert.equal((await bank.state(id)).balance, 7);
      assert.equal((await bank.state(id)).owner, 'Ana');
      assert.deepEqual(
        { ...(await bank.shard.row('balances', partition, { id })) },
        { id, balance: 7, deposits: 1 },
      );
      await bank.close();
    });

    test('it lives beside a later program that has added a column to every table', async () => {
      const home = await newHome();
      let bank = await open(home);
      const [old, id] = [accountId(0), accountId(1)];
      await bank.send(old, { type: 'Open', owner: 'Ana' });
      await bank.close();
      await home.widen();

      bank = await open(home);
      await bank.send(id, { type: 'Open', owner: 'Rui' });
      const key = { text: 'rui|deposit|1', fingerprint: 'f' };
      await bank.send(id, { type: 'Deposit', amount: 5 }, { key });
      for (const to of [old, id])
        await Promise.all(Array.from({ length: 120 }, () => bank.send(to, { type: 'Deposit', amount: 1 })));
      await bank.close();

      bank = await open(home);
      const again = await bank.send(id, { type: 'Deposit', amount: 5 }, { key });
      assert.deepEqual([again.replayed, again.result], [true, { balance: 5 }]);
      assert.deepEqual([(await bank.state(old)).owner, (await bank.state(old)).balance], ['Ana', 120]);
      const partition = partitionKey(places[1] as (typeof places)[number]);
      assert.equal((await bank.shard.row('balances', partition, { id }))?.['balance'], 125);
      assert.deepEqual(bank.reports, []);
      await bank.close();
    });

    test('a hot aggregate takes thousands of decisions at once, each on the state before it', async () => {
      const bank = await open(await newHome());
      const id = accountId(1);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await bank.send(id, { type: 'Deposit', amount: 500 });
      const answers = await Promise.allSettled(
        Array.from({ length: 3_000 }, () => bank.send(id, { type: 'Withdraw', amount: 1 })),
      );
      assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 500);
      assert.equal((await bank.state(id)).balance, 0);
      await bank.close();
    });

    test('snapshots bound a cold load, also of a stream that never rests', async () => {
      const home = await newHome();
      let bank = await open(home);
      const id = accountId(2);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await Promise.all(Array.from({ length: 1_000 }, () => bank.send(id, { type: 'Deposit', amount: 1 })));
      await bank.close();

      bank = await open(home);
      const read: number[] = [];
      const { readStream } = bank.shard.log;
      Object.assign(bank.shard.log, {
        readStream(...args: Parameters<typeof readStream>) {
          read.push(args[2]);
          return readStream(...args);
        },
      });
      assert.equal((await bank.state(id)).balance, 1_000);
      assert.deepEqual(
        read,
        [1_000],
        'the last snapshot holds all but one event, and its own is read for its token',
      );
      await bank.close();
    });

    test('a key has one effect and one answer: at once, later, after a restart; rejections too', async () => {
      const home = await newHome();
      let bank = await open(home);
      const id = accountId(3);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      const key = { text: 'ana|deposit|1', fingerprint: 'f' };
      const many = await Promise.all(
        Array.from({ length: 50 }, () => bank.send(id, { type: 'Deposit', amount: 5 }, { key })),
      );
      assert.equal(many.filter(({ replayed }) => !replayed).length, 1);
      assert.equal(new Set(many.map(({ token }) => token)).size, 1);
      const refused = { text: 'ana|withdraw|1', fingerprint: 'f' };
      assert.equal(
        await rejectionOf(bank.send(id, { type: 'Withdraw', amount: 6 }, { key: refused })),
        'conflict',
      );
      await bank.send(id, { type: 'Deposit', amount: 5 });
      assert.equal(
        await rejectionOf(bank.send(id, { type: 'Withdraw', amount: 6 }, { key: refused })),
        'conflict',
      );
      await bank.close();

      bank = await open(home);
      const replay = await bank.send(id, { type: 'Deposit', amount: 5 }, { key });
      assert.deepEqual(replay, { ...(many[0] as object), replayed: true });
      assert.equal(
        await rejectionOf(bank.send(id, { type: 'Withdraw', amount: 6 }, { key: refused })),
        'conflict',
      );
      const fresh = await bank.send(id, { type: 'Deposit', amount: 5 }, { key: { ...key, fresh: true } });
      assert.deepEqual(fresh, replay, 'a key that is taken for fresh, and is not');
      const other = { ...key, fingerprint: 'another body' };
      assert.equal(
        await rejectionOf(bank.send(id, { type: 'Deposit', amount: 1 }, { key: other })),
        'idempotency-key-reused',
      );
      assert.equal((await bank.state(id)).balance, 10);
      await bank.close();
    });

    test('If-Match: only the version that was read', async () => {
      const bank = await open(await newHome());
      const id = accountId(0);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      const both = await Promise.allSettled([
        bank.send(id, { type: 'Deposit', amount: 1 }, { ifVersion: 1 }),
        bank.send(id, { type: 'Deposit', amount: 1 }, { ifVersion: 1 }),
      ]);
      assert.deepEqual(
        both.map(({ status }) => status),
        ['fulfilled', 'rejected'],
      );
      await bank.close();
    });

    test('a failed append drops what was decided behind it, and all is decided again', async () => {
      const bank = await open(await newHome());
      const id = accountId(0);
      const partition = partitionKey(places[0] as (typeof places)[number]);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await bank.send(id, { type: 'Deposit', amount: 100 });
      // Somebody writes past the pipeline: the speculative state is wrong from now on, until the log says so.
      const foreign = {
        stream: id,
        version: 3,
        type: 'Deposited',
        data: '{"amount":-100}',
        meta: null,
        key: null,
        atMs: 1,
      };
      const written = bank.shard.log.append(partition, [foreign]);
      const answers = await Promise.allSettled(
        Array.from({ length: 20 }, () => bank.send(id, { type: 'Withdraw', amount: 10 })),
      );
      await written;
      assert.equal(
        answers.filter(({ status }) => status === 'fulfilled').length,
        0,
        'the balance was 0 before them',
      );
      assert.equal((await bank.state(id)).balance, 0);
      await bank.close();
    });

    test('beyond the queue callers are told `overloaded`, and what was not appended is not in the state', async () => {
      const bank = await open(await newHome(), {}, { queueEntriesMax: 10 });
      const id = accountId(0);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      const answers = await Promise.allSettled(
        Array.from({ length: 200 }, () => bank.send(id, { type: 'Deposit', amount: 1 })),
      );
      const done = answers.filter(({ status }) => status === 'fulfilled').length;
      const codes = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason.code] : []));
      assert.ok(done >= 10 && done < 200, `${done} were accepted`);
      assert.deepEqual([...new Set(codes)], ['overloaded']);
      assert.equal((await bank.state(id)).balance, done);
      await bank.close();
    });

    test('a projection that fails halts alone, says so after a restart too, and the rest goes on', async () => {
      const home = await newHome();
      let bank = await open(home);
      const id = accountId(0);
      const partition = partitionKey(places[0] as (typeof places)[number]);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await bank.send(id, { type: 'Break' });
      await bank.send(id, { type: 'Deposit', amount: 3 });
      for (const _ of [1, 2]) {
        await assert.rejects(bank.shard.row('owners', partition, { id }), { code: 'read-model-halted' });
        assert.equal((await bank.shard.row('balances', partition, { id }))?.balance, 3);
        assert.deepEqual(bank.reports, ['a projection has halted']);
        await bank.close();
        bank = await open(home);
      }
      await bank.close();
    });

    test('a process carries on after a crash, and what it did before is not done twice', async () => {
      const home = await newHome();
      let reached = 0;
      const stuck = {
        beforeDeposit: () => {
          reached += 1;
          return new Promise<void>(() => undefined);
        },
      };
      let bank = await open(home, stuck);
      const [from, to] = [accountId(0), accountId(1)];
      await bank.send(from, { type: 'Open', owner: 'Ana' });
      await bank.send(to, { type: 'Open', owner: 'Bea' });
      await bank.send(from, { type: 'Deposit', amount: 100 });
      await Promise.all(
        Array.from({ length: 10 }, () => bank.send(from, { type: 'Transfer', to, amount: 1 })),
      );
      await until(() => reached === 10, 'all transfers are under way');
      assert.equal((await bank.state(to)).balance, 0);
      // The first five deposits are made as the process would have made them, and their outcome is lost with the crash.
      for (let transfer = 1; transfer <= 5; transfer += 1) {
        const key = { text: `transfers/${from}/transfer-${transfer}`, fingerprint: '' };
        await bank.send(to, { type: 'Deposit', amount: 1 }, { key });
      }
      await bank.close();

      bank = await open(home);
      await until(async () => (await bank.state(from)).open.size === 0, 'all transfers are done');
      assert.equal((await bank.state(to)).balance, 10);
      assert.equal((await bank.state(from)).balance, 90);
      await until(() => bank.shard.processesOpen() === 0, 'no process is open');
      await bank.close();
    });

    test('beyond the bound of open processes a new instance is refused, and no other command is', async () => {
      const bank = await open(
        await newHome(),
        { beforeDeposit: () => new Promise(() => undefined) },
        { processesOpenMax: 1 },
      );
      const [from, to] = [accountId(0), accountId(1)];
      await bank.send(from, { type: 'Open', owner: 'Ana' });
      await bank.send(to, { type: 'Open', owner: 'Bea' });
      await bank.send(from, { type: 'Deposit', amount: 100 });
      await bank.send(from, { type: 'Transfer', to, amount: 1 });
      await until(() => bank.shard.processesOpen() === 1, 'the transfer is under way');
      assert.equal(await rejectionOf(bank.send(accountId(2), { type: 'Open', owner: 'Cleo' })), 'overloaded');
      await bank.send(to, { type: 'Deposit', amount: 1 });
      await bank.close();
    });

    test('personal fields are stored nowhere in plain text', async () => {
      const home = await newHome();
      const bank = await open(home);
      const id = accountId(0);
      await bank.send(id, { type: 'Open', owner: 'Anastasia Unmistakable' });
      await Promise.all(Array.from({ length: 120 }, () => bank.send(id, { type: 'Deposit', amount: 1 })));
      await bank.close();
      const stored = await home.bytes();
      assert.ok(stored.includes('Opened'));
      assert.equal(stored.includes('Unmistakable'), false);
    });

    test('an aggregate is followed from its history into live events, with no gap', async () => {
      const bank = await open(await newHome());
      const id = accountId(0);
      const partition = partitionKey(places[0] as (typeof places)[number]);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await bank.send(id, { type: 'Deposit', amount: 1 });
      const stop = new AbortController();
      const seen: string[] = [];
      const following = (async () => {
        for await (const { version, event } of bank.shard.follow('account', id, partition, 1, stop.signal)) {
          seen.push(`${version} ${event.type}`);
          if (version === 5) stop.abort();
        }
      })();
      await bank.send(id, { type: 'Deposit', amount: 1 });
      await bank.send(id, { type: 'Deposit', amount: 1 });
      await bank.send(id, { type: 'Deposit', amount: 1 });
      await following;
      assert.deepEqual(seen, ['2 Deposited', '3 Deposited', '4 Deposited', '5 Deposited']);
      await bank.close();
    });

    test('scans run in a reader thread and see what was answered', async () => {
      const bank = await open(await newHome());
      const readers = openReaders(host, { threadsMax: 1, deadlineMs: 5_000 });
      for (let i = 0; i < 5; i += 1) {
        const id = accountId(i);
        await bank.send(id, { type: 'Open', owner: 'Ana' });
        await bank.send(id, { type: 'Deposit', amount: i * 10 });
      }
      const { plan } = planQuery(
        {
          service: 'bank',
          table: 'balances',
          select: ['balance'],
          orderBy: [{ column: 'balance', direction: 'descending' }],
        },
        () => balances,
      );
      const rows = await bank.shard.scan(plan, places.map(partitionKey), unbounded);
      assert.deepEqual(
        rows.map((row) => row[0]),
        [40, 30, 20, 10, 0],
      );
      await readers.close();
      await bank.close();
    });

    test('a consistency token waits for its entry, and is refused where the history is another', async () => {
      const home = await newHome();
      let bank = await open(home);
      const id = accountId(0);
      const { token } = await bank.send(id, { type: 'Open', owner: 'Ana' });
      await bank.shard.reached(token);
      const [partition, epoch, position] = token.split('-') as [string, string, string];
      const next = bank.shard.reached(`${partition}-${epoch}-${Number(position) + 1}`);
      const first = await Promise.race([
        next.then(() => 'reached'),
        host.clock.sleep(20).then(() => 'waits'),
      ]);
      assert.equal(first, 'waits');
      await bank.send(id, { type: 'Deposit', amount: 1 });
      await next;
      assert.equal(
        await rejectionOf(bank.shard.reached(`${partition}-${Number(epoch) + 1}-${position}`)),
        'invalid-cursor',
      );
      assert.equal(await rejectionOf(bank.shard.reached(`zz-1-1`)), 'partition-unavailable');
      await bank.close();

      bank = await open(home);
      const lost = `${partition}-${epoch}-${Number(position) + 2}`;
      assert.equal(await rejectionOf(bank.shard.reached(lost)), 'invalid-cursor', 'its epoch has ended');
      await bank.close();
    });

    test('a projection whose tables have changed is folded anew, the others stay', async () => {
      const home = await newHome();
      let bank = await open(home);
      const id = accountId(0);
      const partition = partitionKey(places[0] as (typeof places)[number]);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await bank.send(id, { type: 'Deposit', amount: 7 });
      await bank.send(id, { type: 'Deposit', amount: 3 });
      await bank.close();

      bank = await open(home, {}, {}, changed);
      assert.deepEqual(
        { ...(await bank.shard.row('balances', partition, { id })) },
        { id, balance: 10, largest: 7 },
      );
      assert.notEqual(await bank.shard.row('owners', partition, { id }), null);
      await bank.send(id, { type: 'Deposit', amount: 9 });
      assert.equal((await bank.shard.row('balances', partition, { id }))?.['largest'], 9);
      await bank.close();
    });

    test('read models, snapshots and processes of a log that is gone are not believed', async () => {
      const home = await newHome();
      let bank = await open(home);
      const id = accountId(0);
      const partition = partitionKey(places[0] as (typeof places)[number]);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await Promise.all(Array.from({ length: 120 }, () => bank.send(id, { type: 'Deposit', amount: 1 })));
      await bank.close();
      await home.loseLog();

      bank = await open(home);
      assert.equal(await bank.shard.row('balances', partition, { id }), null);
      assert.deepEqual((await bank.state(id)).balance, 0);
      await bank.send(id, { type: 'Open', owner: 'Bea' });
      assert.equal((await bank.shard.row('balances', partition, { id }))?.['balance'], 0);
      await bank.close();
    });

    test('what a reader was given is not changed by later decisions', async () => {
      const bank = await open(await newHome());
      const id = accountId(0);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      const seen = await bank.shard.load('account', id);
      const deposit = bank.send(id, { type: 'Deposit', amount: 1_000 });
      await host.clock.sleep(0);
      assert.equal((seen.state as AccountState).balance, 0);
      assert.equal(seen.version, 1);
      await deposit;
      assert.equal((seen.state as AccountState).balance, 0);
      assert.equal((await bank.state(id)).balance, 1_000);
      await bank.close();
    });

    test('an append that is refused is nobody else’s error', async () => {
      const bank = await open(await newHome());
      const id = accountId(0);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      const key = { text: 'used', fingerprint: 'f' };
      const first = await bank.send(id, { type: 'Deposit', amount: 5 }, { key });
      const [again, poor, version, read] = await Promise.all([
        bank.send(id, { type: 'Deposit', amount: 5 }, { key: { ...key, fresh: true } }),
        rejectionOf(bank.send(id, { type: 'Withdraw', amount: 11 })),
        rejectionOf(bank.send(id, { type: 'Deposit', amount: 1 }, { ifVersion: 99 })),
        bank.state(id),
      ]);
      assert.deepEqual(again, { ...first, replayed: true });
      assert.deepEqual([poor, version, read.balance], ['conflict', 'precondition-failed', 5]);
      await bank.close();
    });

    test('a process that fails halts alone: everybody is answered, and the mended code finds its events', async () => {
      const home = await newHome();
      let bank = await open(home, { beforeDeposit: () => new Promise(() => undefined) });
      const [from, to] = [accountId(0), accountId(1)];
      await bank.send(from, { type: 'Open', owner: 'Ana' });
      await bank.send(to, { type: 'Open', owner: 'Bea' });
      await bank.send(from, { type: 'Deposit', amount: 100 });
      await bank.send(from, { type: 'Transfer', to, amount: 1 });
      await until(() => bank.shard.processesOpen() === 1, 'the transfer is under way');
      await Promise.all([bank.send(from, { type: 'Break' }), bank.send(to, { type: 'Deposit', amount: 1 })]);
      assert.equal((await bank.state(to)).balance, 1);
      assert.equal(bank.reports.filter((report) => report === 'a process has halted').length, 1);
      await bank.close();

      bank = await open(home);
      assert.equal(
        bank.reports.filter((report) => report === 'a process has halted').length,
        1,
        'it sees them again',
      );
      assert.equal((await bank.state(from)).balance, 99);
      await bank.close();
    });

    test('read models that cannot follow are not served, and catch up by themselves', async () => {
      const home = await newHome();
      const bank = await open(home);
      const id = accountId(0);
      const partition = partitionKey(places[0] as (typeof places)[number]);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      const release = await home.holdReadModels();
      await bank.send(id, { type: 'Deposit', amount: 10 });
      await assert.rejects(bank.shard.row('balances', partition, { id }), { code: 'read-model-halted' });
      assert.deepEqual(bank.reports, ['the read models could not follow']);
      await release();
      await bank.send(accountId(1), { type: 'Open', owner: 'Bea' });
      assert.equal((await bank.shard.row('balances', partition, { id }))?.['balance'], 10);
      await bank.close();
    });
  });
}

test('a clean stop leaves no journal beside the files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-shard-'));
  after(() => rm(folder, { recursive: true, force: true }));
  const bank = await open({ place: { base: join(folder, 'bank-0') } });
  await bank.send(accountId(0), { type: 'Open', owner: 'Ana' });
  await bank.close();
  const names = await readdir(folder);
  assert.deepEqual(
    names.filter((name) => !name.endsWith('.db')),
    [],
  );
});
