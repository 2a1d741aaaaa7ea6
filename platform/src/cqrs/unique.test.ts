import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { openWriterPool } from '../events/events.ts';
import { realHost } from '../host/real.ts';
import { fold, given } from '../testing/given.ts';
import { type Home, homes } from '../testing/shard-homes.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Bounds } from '../topology/topology.ts';
import type { Typed } from './aggregate.ts';
import { type Bus, refer, type SendOptions } from './bus.ts';
import type { ClaimEvent } from './claim.ts';
import { decided } from './decided.ts';
import { names, type Player, player, service } from './players.fixture.ts';
import { openReaders } from './readers.ts';
import { openShard, type Shard } from './shard.ts';

const host = realHost();
const engines = await homes(host);
after(engines.clear);

const place = { scope: 0, partition: 3 };
const secret = new Uint8Array(32);
const otherSecret = new Uint8Array(32).fill(1);
const ground = {
  geography: { placeInGlobal: () => place },
  secretDigest: (text: string) => host.crypto.hmacSha256(secret, text),
};

const players = refer('players', player);

type Event = ClaimEvent<'name', 'player'>;

describe('a claim', () => {
  const claimed: Event = { type: 'NameClaimed', player: 'ann', until_ms: 60_000 };
  const confirmed: Event = { type: 'NameConfirmed', player: 'ann' };
  const released: Event = { type: 'NameReleased', player: 'ann' };

  test('has the words of its value', () => {
    given(names.aggregate, [])
      .when({ type: 'Claim', player: 'ann' })
      .then({ events: [claimed] });
    given(names.aggregate, [claimed])
      .when({ type: 'Claim', player: 'bob' })
      .then({ rejected: 'already-exists' });
  });

  test('need not be made before it is confirmed, and one that has lapsed is free to confirm', () => {
    const later = { atMs: 60_000 };
    const byBob: Event = { type: 'NameClaimed', player: 'bob', until_ms: 120_000 };
    for (const history of [[], [claimed]]) {
      given(names.aggregate, history)
        .when({ type: 'Confirm', player: 'bob' }, later)
        .then({ events: [byBob, { type: 'NameConfirmed', player: 'bob' }] });
    }
    given(names.aggregate, [claimed])
      .when({ type: 'Confirm', player: 'bob' }, { atMs: 59_999 })
      .then({ rejected: 'already-exists' });
    given(names.aggregate, [claimed, byBob])
      .when({ type: 'Confirm', player: 'ann' }, later)
      .then({ rejected: 'already-exists' });
  });

  test('that is confirmed is free when its holder has ended, and not before', () => {
    const held = [claimed, confirmed];
    given(names.aggregate, held).when({ type: 'Release', player: 'ann' }).then({ events: [] });
    given(names.aggregate, held).when({ type: 'Free', player: 'bob' }).then({ events: [] });
    given(names.aggregate, held)
      .when({ type: 'Free', player: 'ann' })
      .then({ events: [released] });
    given(names.aggregate, [...held, released])
      .when({ type: 'Claim', player: 'bob' }, { atMs: 1 })
      .then({ events: [{ type: 'NameClaimed', player: 'bob', until_ms: 60_001 }] });
  });

  test('has one id for all spellings of a value, and the id does not tell it', () => {
    const id = names.idOf('Ann', ground);
    assert.equal(id, names.idOf('aNN', ground));
    assert.notEqual(id, names.idOf('Anne', ground));
    assert.match(id, /^nam_003_/);
    const other = { ...ground, secretDigest: (text: string) => host.crypto.hmacSha256(otherSecret, text) };
    assert.notEqual(id, names.idOf('Ann', other), 'whoever does not have the secret cannot look it up');
  });

  test('has at most one holder, who keeps it until it lets go, in whatever order commands come', () => {
    const command = fc.record({
      type: fc.constantFrom('Claim', 'Confirm', 'Release', 'Free'),
      player: fc.constantFrom('ann', 'bob', 'cleo'),
      laterMs: fc.nat({ max: 90_000 }),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const history: Event[] = [];
        let atMs = 0;
        let holder: string | null = null;
        for (const { laterMs, type, player } of commands) {
          atMs += laterMs;
          const state = fold(names.aggregate, history);
          const about = { id: '', version: 0, atMs, unclean: 0 };
          const decision = names.aggregate.decide({ type, player }, state, about);
          const isMine: boolean = holder === null || holder === player;
          if (decision.outcome === 'rejected') {
            assert.notEqual(state.player, player, 'nobody is refused what is their own');
            continue;
          }
          if (type === 'Claim' || type === 'Confirm') assert.ok(isMine, `${player} got what ${holder} has`);
          history.push(...decision.events);
          if (type === 'Confirm') holder = player;
          if (type === 'Free' && holder === player) holder = null;
          const { player: has, confirmed: stands } = fold(names.aggregate, history);
          assert.deepEqual([stands, stands ? has : null], [holder !== null, holder]);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('what is made under a claim', () => {
  /** A bus that only takes down what it was sent. */
  const listening = () => {
    const sent: string[] = [];
    const send = async (_to: unknown, _id: string, { type }: Typed) => void sent.push(type);
    return { sent, bus: { send } as unknown as Bus };
  };
  const failing = (error: unknown) => async (): Promise<never> => {
    throw error;
  };

  test('lets go of it when nothing was made for certain', async () => {
    const { sent, bus } = listening();
    const busy = new CardumeError('overloaded', 'busy');
    await assert.rejects(names.make(bus, 'nam', 'ann', failing(busy)), busy);
    assert.deepEqual(sent, ['Release']);
  });

  test('keeps it when it was made, or may have been', async () => {
    const { sent, bus } = listening();
    assert.equal(await names.make(bus, 'nam', 'ann', async () => 7), 7);
    for (const code of ['unknown-outcome', 'deadline-exceeded'] as const)
      await assert.rejects(names.make(bus, 'nam', 'ann', failing(new CardumeError(code, '?'))), { code });
    assert.deepEqual(sent, []);
  });
});

const masterKey = host.random.bytes(32);
const bounds = {
  batchEntriesMax: 512,
  queueEntriesMax: 20_000,
  aggregatesCachedMax: 1_000,
  snapshotEveryEvents: 2,
  processesOpenMax: 1_000,
  idempotencyDays: 1,
} as Bounds;

interface Open {
  readonly bus: Bus;
  join(id: string, name: string): Promise<void>;
  outcome(id: string): Promise<Player['status']>;
  close(): Promise<void>;
}

/** @param cut what a process says does not arrive at claims, as when their home is away */
async function open(home: Pick<Home, 'place'>, cut = (): boolean => false): Promise<Open> {
  const pool = openWriterPool(host, { threadsMax: 1 });
  const readers = openReaders(host, { threadsMax: 1, deadlineMs: 5_000 });
  let shard: Shard | undefined;
  const bus = {
    async send(to: { aggregate: string }, id: string, command: Typed, options?: SendOptions) {
      if (cut() && (command.type === 'Confirm' || command.type === 'Free'))
        throw new CardumeError('partition-unavailable', 'away');
      return (shard as Shard).send(to.aggregate, id, command, options);
    },
    load: (of: { aggregate: string }, id: string) => (shard as Shard).load(of.aggregate, id),
    follow: (of: { aggregate: string }, id: string, after: number, signal: AbortSignal) =>
      (shard as Shard).follow(of.aggregate, id, partitionKey(place), after, signal),
  } as unknown as Bus;
  shard = await openShard({
    host,
    service,
    place: home.place,
    partitions: [partitionKey(place)],
    pool,
    readers,
    bounds,
    masterKey,
    bus,
    ports: {},
    report: () => undefined,
  });
  await shard.recover();
  shard.begin();
  const opened = shard;
  return {
    bus,
    async join(id, name) {
      const claim = names.idOf(name, ground);
      await names.claim(bus, claim, id);
      await bus.send(players, id, { type: 'Join', claim });
    },
    async outcome(id) {
      const signal = AbortSignal.timeout(10_000);
      const isPending = ({ status }: Player): boolean => status === 'pending';
      const { state } = await decided({ bus, signal, clock: host.clock }, players, id, isPending);
      return state.status;
    },
    async close() {
      await opened.close();
      await readers.close();
      await pool.close();
    },
  };
}

const playerId = (): string => newId('ply', place, host.clock.nowMs(), host.random.bytes(10));

for (const { name, skip, newHome } of engines.all) {
  describe(`a unique value on ${name}`, { skip }, () => {
    test('goes to one of a hundred who want it at once', async () => {
      const game = await open(await newHome());
      const ids = Array.from({ length: 100 }, playerId);
      const joined = await Promise.allSettled(ids.map((id) => game.join(id, 'Ann')));
      const first = joined.findIndex(({ status }) => status === 'fulfilled');
      assert.equal(joined.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.equal(await game.outcome(ids[first] as string), 'named');
      await game.close();
    });

    test('is confirmed, and let go of, by whoever goes on after a stop', async () => {
      const home = await newHome();
      const [ann, bob] = [playerId(), playerId()];
      let game = await open(home, () => true);
      await game.join(ann, 'Ann');
      await game.close();

      let isCut = false;
      game = await open(home, () => isCut);
      assert.equal(await game.outcome(ann), 'named');
      isCut = true;
      await game.bus.send(players, ann, { type: 'Leave' });
      await game.close();

      game = await open(home);
      for (let attempt = 0; ; attempt += 1) {
        try {
          await game.join(bob, 'ann');
          break;
        } catch (error) {
          assert.ok(isCardumeError(error, 'already-exists') && attempt < 1_000, String(error));
          await host.clock.sleep(5);
        }
      }
      assert.equal(await game.outcome(bob), 'named');
      await game.close();
    });
  });
}
