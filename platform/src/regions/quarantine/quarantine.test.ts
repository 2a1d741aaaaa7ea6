/** What was cut off a copy is listed and decided about, part by part, over links that lose answers. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import { accountId, host, type OpenBank, openBank, places } from '../../cqrs/bank-shard.fixture.ts';
import type { NewEntry } from '../../events/log.ts';
import { homes } from '../../testing/shard-homes.ts';
import { partitionKey } from '../../topology/partition.ts';
import { openQuarantines, type Quarantines } from './quarantine.ts';
import type { QuarantineDecided, QuarantineList, QuarantineRequest, QuarantineScope } from './request.ts';

const engines = await homes(host);
after(engines.clear);

const [P, Q] = places.map(partitionKey) as [number, number];
const all: QuarantineScope = { service: null, partition: null };
const by = 'otto';

/** A region with a quarantine; the home of everything is elsewhere, over a link, and has the same log. */
function open(bank: OpenBank, over: (ask: () => Promise<Json>) => Promise<Json> = (ask) => ask()) {
  const ground = {
    crypto: host.crypto,
    services: ['bank'],
    shardsOf: () => new Map([['bank-0', bank.shard]]),
    holder: () => bank.shard,
    homeOf: () => 'there',
    residency: { holding: () => 'whole' as const, sentence: () => '' },
  };
  const there = openQuarantines({
    ...ground,
    here: 'there',
    homeShard: () => bank.shard,
    ask: () => assert.fail('it is at home there'),
  });
  const here = openQuarantines({
    ...ground,
    here: 'here',
    homeShard: () => undefined,
    ask: (_, request) => over(async () => JSON.parse(JSON.stringify(await there.handle(request))) as Json),
  });
  return here;
}

const decide = async (
  quarantines: Quarantines,
  decided: 'discarded' | 'resubmitted',
  what: Extract<QuarantineRequest, { do: 'decide' }>['what'],
): Promise<QuarantineDecided> =>
  (await quarantines.handle({
    do: 'decide',
    decision: { decided, by },
    what,
  })) as unknown as QuarantineDecided;

/** All of a scope, part by part. */
async function decideAll(quarantines: Quarantines, decided: 'discarded' | 'resubmitted', of = all) {
  const done = { entries: 0, left: [] as QuarantineDecided['left'][number][], parts: 0 };
  let after: string | null = null;
  do {
    const part: QuarantineDecided = await decide(quarantines, decided, { of, after });
    done.entries += part.entries;
    done.left.push(...part.left);
    done.parts += 1;
    after = part.next;
  } while (after !== null);
  return done;
}

async function listed(
  quarantines: Quarantines,
  state: 'undecided' | 'decided' | 'all',
  of = all,
  entriesMax = 100,
) {
  const items: QuarantineList['items'][number][] = [];
  let after: string | null = null;
  do {
    const request: QuarantineRequest = { do: 'list', of, state, after, entriesMax };
    const page = (await quarantines.handle(request)) as unknown as QuarantineList;
    assert.ok(page.items.length <= entriesMax);
    items.push(...page.items);
    after = page.next;
  } while (after !== null);
  return items;
}

/** Behind the back of the pipeline. */
async function grow(bank: OpenBank, partition: number, entries: readonly NewEntry[]): Promise<void> {
  for (let i = 0; i < entries.length; i += 500)
    await bank.shard.log.append(partition, entries.slice(i, i + 500));
}

const deposit = (stream: string, version: number): NewEntry => {
  return { stream, version, type: 'Deposited', data: '{"amount":1}', meta: null, key: null, atMs: 1 };
};

async function cut(bank: OpenBank, partition: number, position: number): Promise<void> {
  const { head } = await bank.shard.moving.release(partition);
  await bank.shard.moving.cut(head, position);
  const { epoch } = await bank.shard.moving.follow(partition);
  await bank.shard.moving.adopt(partition, epoch);
}

const headOf = (bank: OpenBank, partition: number): number => bank.shard.log.head(partition)?.position ?? 0;

for (const { name, skip, newHome } of engines.all) {
  describe(`quarantines on ${name}`, { skip }, () => {
    test('are listed page by page, of a partition and in a state', async () => {
      const bank = await openBank(await newHome());
      const [ana, bob] = [accountId(0), accountId(1)];
      await bank.send(ana, { type: 'Open', owner: 'Ana' });
      for (let amount = 1; amount < 5; amount += 1) await bank.send(ana, { type: 'Deposit', amount });
      await bank.send(bob, { type: 'Open', owner: 'Bob' });
      await cut(bank, P, 0);
      await cut(bank, Q, 0);
      const quarantines = open(bank);
      const seen = await listed(quarantines, 'undecided', all, 2);
      assert.deepEqual(
        seen.map(({ partition, stream, version, data }) => [partition, stream, version, data]),
        [
          [P, ana, 1, { owner: '(sealed)' }],
          ...[1, 2, 3, 4].map((amount) => [P, ana, amount + 1, { amount }]),
          [Q, bob, 1, { owner: '(sealed)' }],
        ],
      );
      const ofQ = { service: 'bank', partition: Q };
      assert.deepEqual(
        (await listed(quarantines, 'all', ofQ)).map(({ stream }) => stream),
        [bob],
      );
      assert.deepEqual(await listed(quarantines, 'all', { ...ofQ, service: 'shop' }), []);
      assert.equal((await decideAll(quarantines, 'discarded', ofQ)).entries, 1);
      assert.deepEqual((await listed(quarantines, 'undecided')).length, 5);
      const [decided, ...others] = await listed(quarantines, 'decided', all, 1);
      assert.deepEqual([decided?.stream, decided?.settled?.by, others], [bob, by, []]);
      await bank.close();
    });

    test('are counted', async () => {
      const bank = await openBank(await newHome());
      const id = accountId(0);
      await bank.send(id, { type: 'Open', owner: 'Ana' });
      await bank.send(id, { type: 'Deposit', amount: 1 });
      await cut(bank, P, 0);
      const quarantines = open(bank);
      quarantines.count();
      for (let i = 0; quarantines.undecided() !== 2 && i < 500; i += 1) await host.clock.sleep(5);
      const [first] = await listed(quarantines, 'all');
      await decide(quarantines, 'discarded', { ids: [first?.id as string] });
      assert.equal(quarantines.undecided(), 1);
      await bank.close();
    });

    test('named entries: what is not there is said before anything is done, and the first decision stands', async () => {
      const bank = await openBank(await newHome());
      const [ana, bob] = [accountId(0), accountId(4)];
      for (const id of [ana, bob]) await bank.send(id, { type: 'Open', owner: 'A' });
      await cut(bank, P, 0);
      const quarantines = open(bank);
      const [one, other] = (await listed(quarantines, 'all')).map(({ id }) => id) as [string, string];
      for (const strange of ['bank/rs-1-9', 'shop/rs-1-1', 'bank/rs-1-0'])
        await assert.rejects(decide(quarantines, 'discarded', { ids: [one, strange] }), (error) =>
          isCardumeError(error, 'not-found'),
        );
      await assert.rejects(decide(quarantines, 'discarded', { of: all, after: 'e30' }), (error) =>
        isCardumeError(error, 'invalid-cursor'),
      );
      const done = { left: [], next: null };
      assert.deepEqual(await decide(quarantines, 'discarded', { ids: [one] }), { entries: 1, ...done });
      const both = { ids: [one, other] };
      assert.deepEqual(await decide(quarantines, 'resubmitted', both), { entries: 1, ...done });
      assert.deepEqual(await decide(quarantines, 'discarded', both), { entries: 0, ...done });
      assert.deepEqual(
        (await listed(quarantines, 'all')).map(({ settled }) => settled?.decided),
        ['discarded', 'resubmitted'],
      );
      await assert.rejects(bank.send(ana, { type: 'Deposit', amount: 1 }), /no such account/);
      assert.equal((await bank.state(bob)).owner, 'A');
      await bank.close();
    });

    test('all of it, more than is looked at together: each stream in order, and what has gone on stays', async () => {
      const bank = await openBank(await newHome());
      const ids = Array.from({ length: 450 }, (_, i) => accountId(4 * i));
      await grow(
        bank,
        P,
        ids.map((id) => deposit(id, 1)),
      );
      const cutAt = headOf(bank, P);
      const versions = Array.from({ length: 24 }, (_, i) => i + 2);
      await grow(
        bank,
        P,
        versions.flatMap((version) => ids.map((id) => deposit(id, version))),
      );
      await cut(bank, P, cutAt);
      const [gone = ''] = ids;
      await grow(bank, P, [deposit(gone, 2)]);
      const quarantines = open(bank);
      const { entries, left, parts } = await decideAll(quarantines, 'resubmitted');
      assert.equal(entries, 449 * 24);
      assert.ok(parts > 4);
      assert.deepEqual(
        new Set(left.map(({ stream, isOpen }) => `${stream} ${isOpen}`)),
        new Set([`${gone} false`]),
      );
      assert.equal(headOf(bank, P), cutAt + 1 + 449 * 24);
      assert.deepEqual(await decideAll(quarantines, 'discarded'), { entries: 24, left: [], parts: 1 });
      await bank.close();
    });

    test('two tails of one partition are told apart, also where one ends at the position that the other begins behind', async () => {
      const bank = await openBank(await newHome());
      const ana = accountId(0);
      await bank.send(ana, { type: 'Open', owner: 'Ana' });
      await bank.send(ana, { type: 'Deposit', amount: 1 });
      await cut(bank, P, 1);
      await bank.send(ana, { type: 'Deposit', amount: 10 });
      await bank.send(ana, { type: 'Deposit', amount: 100 });
      await cut(bank, P, 2);
      const quarantines = open(bank);
      const seen = await listed(quarantines, 'all');
      assert.deepEqual(
        seen.map(({ position, version, data }) => [position, version, data]),
        [
          [2, 2, { amount: 1 }],
          [3, 3, { amount: 100 }],
        ],
      );
      const { entries, left } = await decideAll(quarantines, 'resubmitted');
      assert.deepEqual([entries, left.map(({ ids }) => ids)], [1, [[seen[0]?.id]]]);
      assert.equal((await bank.state(ana)).balance, 110);
      await bank.close();
    });

    test('an answer that is lost, a home that cannot be asked, or does not know how: it is asked again, and stands once', async () => {
      const bank = await openBank(await newHome());
      const ana = accountId(0);
      await bank.send(ana, { type: 'Open', owner: 'Ana' });
      await bank.send(ana, { type: 'Deposit', amount: 7 });
      await cut(bank, P, 0);
      const failure = new CardumeError('unknown-outcome', 'no answer came');
      const ways = [
        async () => null,
        () => Promise.reject(failure),
        (ask: () => Promise<Json>) => ask().then(() => Promise.reject(failure)),
      ];
      for (const way of ways) {
        const quarantines = open(bank, way);
        const { entries, left } = await decideAll(quarantines, 'resubmitted');
        assert.deepEqual([entries, left.length, left[0]?.isOpen, left[0]?.ids.length], [0, 1, true, 2]);
        assert.equal((await listed(quarantines, 'undecided')).length, 2);
      }
      assert.equal((await bank.state(ana)).balance, 7);
      assert.equal((await decideAll(open(bank), 'resubmitted')).entries, 2);
      assert.equal(headOf(bank, P), 2);
      await bank.close();
    });
  });
}
