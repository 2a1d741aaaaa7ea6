/** The embedded coordinator when power, disk and process fail: in the simulation, each seed another moment. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import { openPeers } from '../../links/peer.ts';
import {
  type CoordinatorUnderTest,
  fails,
  put,
  until,
  valuesOf,
  watching,
} from '../../testing/coordinator-conformance-case.ts';
import { type SimulatedMachine, type Simulation, simulation } from '../../testing/simulated/host.ts';
import type { Coordinator } from '../coordinator.ts';
import { openEmbedded } from './client.ts';
import { type RunningCoordinator, startCoordinator } from './server.ts';

const SECRET = new TextEncoder().encode('the secret of this cluster');
const NAME = 'coordinator';
const ADDRESS = { host: 'coordinator', port: 7_000 };
const PATH = '/data/coordinator.db';
const SEEDS = Array.from({ length: 25 }, (_, i) => i + 1);

interface World {
  readonly world: Simulation;
  readonly machine: SimulatedMachine;
  /** For its clock alone. */
  readonly under: CoordinatorUnderTest;
  readonly reported: unknown[];
  start(): Promise<RunningCoordinator>;
  open(name: string): Coordinator;
}

/** What the case does, in virtual time. */
async function within(seed: number, work: (one: World) => Promise<void>): Promise<void> {
  const world = simulation({ seed });
  const machine = world.machine('coordinator');
  const host = world.machine('us-east');
  const reported: unknown[] = [];
  const open = (name: string): Coordinator => {
    const peers = openPeers(host, {
      ...{ self: name, secret: SECRET, timeoutMs: 1_000, requestsMax: 100, addressOf: () => ADDRESS },
      serve: () => Promise.reject(new Error('nobody asks a client')),
    });
    return openEmbedded(peers, { name: NAME });
  };
  const start = (): Promise<RunningCoordinator> =>
    startCoordinator(machine.process(), {
      ...{
        name: NAME,
        address: ADDRESS,
        path: PATH,
        secret: SECRET,
        report: (error) => reported.push(error),
      },
    });
  const under: CoordinatorUnderTest = {
    ...{ host, ttlMs: 400, forget: async () => undefined },
    open: async () => open('another'),
  };
  try {
    await world.run(work({ world, machine, under, reported, start, open }), 600_000);
  } finally {
    world.close();
  }
}

const isRefused = (error: unknown): boolean => isCardumeError(error, 'partition-unavailable');
const isInDoubt = (error: unknown): boolean => isCardumeError(error, 'unknown-outcome');

/** Counts as long as it is told to; knows what must be there, and what may be. */
function counting(client: Coordinator): {
  /** @returns whether it was done; null when that is not known */
  once(): Promise<boolean | null>;
  /** @throws unless what stands is what was acknowledged, or was in doubt */
  check(): Promise<void>;
} {
  let count = 0;
  let revision = 0;
  let highest = 0;
  /** What is there when a change in doubt was done. */
  let doubtful = false;
  return {
    async once() {
      try {
        const changed = await client.change(
          [{ key: 'count', revision }],
          [
            { key: 'count', value: String(count + 1) },
            { key: `log/${count + 1}`, value: '' },
          ],
        );
        assert.ok(changed.done, 'nobody else counts');
        assert.ok(changed.revision > highest, 'a revision does not go back');
        count += 1;
        revision = changed.revision;
        highest = revision;
        return true;
      } catch (error) {
        if (isRefused(error)) return false;
        if (!isInDoubt(error)) throw error;
        doubtful = true;
        return null;
      }
    },
    async check() {
      const read = await client.read('');
      const value = read.values.find(({ key }) => key === 'count');
      const found = Number(value?.value ?? 0);
      assert.ok(
        found === count || (doubtful && found === count + 1),
        `${found} stand, ${count} were acknowledged`,
      );
      assert.equal(read.values.length, found === 0 ? 0 : found + 1, 'as a whole, or not at all');
      assert.ok(read.revision >= highest, 'a revision does not go back');
      count = found;
      revision = value?.revision ?? 0;
      highest = read.revision;
      doubtful = false;
    },
  };
}

describe('the embedded coordinator', () => {
  test('keeps what it has acknowledged when the power fails, and no half of a change', async () => {
    const crashes = { inDoubt: 0 };
    for (const seed of SEEDS) {
      await within(seed, async ({ world, machine, under, start, open }) => {
        const chance = world.stream('crashes');
        const client = open('us-east');
        const counter = counting(client);
        await start();
        for (let crash = 0; crash < 4; crash += 1) {
          for (let i = chance.below(5); i > 0; i -= 1) assert.equal(await counter.once(), true);
          // Either between two changes, or somewhere in the next ones.
          if (crash > 0) machine.failPowerAfter(chance.below(12));
          for (let i = 0; crash > 0 && i < 6; i += 1) {
            const done = await counter.once();
            if (done === null) crashes.inDoubt += 1;
            if (done !== true) break;
          }
          machine.crash();
          machine.mendDisk();
          await start();
          await until(under, async () =>
            client.read('').then(
              () => true,
              (error) => !isRefused(error),
            ),
          );
          await counter.check();
        }
      });
    }
    assert.ok(crashes.inDoubt > 5, 'some of them fell into a change');
  });

  test('answers what it has settled when a commit fails: a crash brings nothing of it back', async () => {
    for (const seed of SEEDS) {
      await within(seed, async ({ world, machine, under, start, open }) => {
        const chance = world.stream('faults');
        const client = open('us-east');
        const counter = counting(client);
        await start();
        for (let i = 0; i < 6; i += 1) {
          assert.equal(await counter.once(), true);
          const kind = [{ written: true }, { forgotten: true }, {}][chance.below(3)];
          machine.failWrites({ code: 'EIO', path: 'coordinator.db', count: 1 + chance.below(3), ...kind });
          assert.notEqual(await counter.once(), true);
          // What is read from now on is what a restart finds, too.
          await until(under, async () =>
            client.read('').then(
              () => true,
              (error) => !isRefused(error),
            ),
          );
          machine.mendDisk();
          await counter.check();
          if (chance.below(2) === 0) continue;
          machine.crash();
          await start();
          await until(under, async () =>
            client.read('').then(
              () => true,
              (error) => !isRefused(error),
            ),
          );
          const before = await client.read('');
          await counter.check();
          assert.deepEqual(await client.read(''), before);
        }
      });
    }
  });

  test('gives leases their full time again behind a restart, and then ends them', async () => {
    await within(1, async ({ machine, under, start, open }) => {
      const client = open('us-east');
      await start();
      const [short, long] = [await client.grant(2_000), await client.grant(60_000)];
      await put(
        client,
        { key: 'short', value: '', lease: short.id },
        { key: 'long', value: '', lease: long.id },
      );
      await under.host.clock.sleep(1_500);
      machine.crash();
      await under.host.clock.sleep(10_000);
      await start();
      const restartedMs = under.host.clock.monotonicMs();
      await until(under, async () =>
        client.read('').then(
          () => true,
          (error) => !isRefused(error),
        ),
      );
      await until(under, async () => !('short' in (await valuesOf(client))));
      const lastedMs = under.host.clock.monotonicMs() - restartedMs;
      assert.ok(lastedMs >= 2_000 && lastedMs < 2_500, `it ended after ${lastedMs} ms`);
      await fails(short.renew(), 'fenced');
      await long.renew();
      assert.deepEqual(await valuesOf(client), { long: '' });
    });
  });

  test('tells who watches that it was away, and goes on from their revision', async () => {
    await within(1, async ({ machine, under, start, open }) => {
      const client = open('us-east');
      const running = await start();
      const begin = await put(client, { key: 'a', value: '1' });
      const news = watching(under, client, '', begin);
      await put(client, { key: 'a', value: '2' });
      const [seen] = await news.take(1);
      await running.close();
      await fails(news.take(1), 'partition-unavailable');
      machine.kill();
      await start();
      await until(under, async () =>
        client.read('').then(
          () => true,
          (error) => !isRefused(error),
        ),
      );
      const behind = watching(under, client, '', begin);
      await fails(behind.take(1), 'partition-unavailable');
      const again = watching(under, client, '', seen?.[0]?.revision as number);
      const next = await put(client, { key: 'a', value: '3' });
      assert.deepEqual(await again.take(1), [[{ key: 'a', value: '3', revision: next }]]);
      await again.end();
      const ahead = watching(under, client, '', next + 1);
      await fails(ahead.take(1), 'partition-unavailable');
    });
  });

  test('answers nobody any more when another process has its file, and ends their watches', async () => {
    await within(1, async ({ machine, under, start, open }) => {
      const old = open('us-east');
      await start();
      const lease = await old.grant(2_000);
      const begin = await put(old, { key: 'held', value: '', lease: lease.id });
      const news = watching(under, old, '', begin);
      await under.host.clock.sleep(100);
      const end = machine.replace(1_200);
      await start();
      const client = open('eu-west');
      await until(under, async () =>
        client.read('').then(
          () => true,
          (error) => !isRefused(error),
        ),
      );
      const other = await client.grant(60_000);
      await put(client, { key: 'new', value: '', lease: other.id });
      await under.host.clock.sleep(1_000);
      // The one before is awake again, with the links that it had.
      await fails(news.take(2), 'partition-unavailable');
      for (const work of [
        () => old.read(''),
        () => old.change([], [{ key: 'old', value: '' }]),
        () => lease.renew(),
        () => lease.end(),
        () => old.grant(1_000),
      ])
        await fails(work(), 'partition-unavailable');
      assert.deepEqual(Object.keys(await valuesOf(client)), ['held', 'new']);
      await until(under, async () => !('held' in (await valuesOf(client))));
      await other.renew();
      end();
    });
  });

  test('serves what came while it stood still before it ends a lease', async () => {
    await within(1, async ({ machine, under, start, open }) => {
      const client = open('us-east');
      await start();
      const lease = await client.grant(500);
      await put(client, { key: 'held', value: '', lease: lease.id });
      await under.host.clock.sleep(300);
      machine.pause(900);
      await lease.renew();
      assert.deepEqual(await valuesOf(client), { held: '' });
      await until(under, async () => !('held' in (await valuesOf(client))));
    });
  });

  test('ends a lease later when its disk fails, and says so', async () => {
    await within(1, async ({ machine, under, reported, start, open }) => {
      const client = open('us-east');
      await start();
      const lease = await client.grant(500);
      const begin = await put(client, { key: 'held', value: '', lease: lease.id });
      const news = watching(under, client, '', begin);
      machine.failWrites({ code: 'ENOSPC', path: 'coordinator.db', count: Number.POSITIVE_INFINITY });
      await under.host.clock.sleep(1_500);
      assert.ok(reported.length > 0 && reported.every((error) => isCardumeError(error)), String(reported[0]));
      await assert.rejects(client.read(''), isRefused);
      machine.mendDisk();
      assert.equal((await news.take(1))[0]?.[0]?.value, null);
      await fails(lease.renew(), 'fenced');
      await news.end();
    });
  });

  test('is full at its bounds, and can still be emptied', async () => {
    await within(1, async ({ start, open }) => {
      const client = open('us-east');
      await start();
      const some = (batch: number, value: string | null): { key: string; value: string }[] =>
        Array.from({ length: 5 }, (_, i) => ({ key: `big/${batch}/${i}`, value: value as string }));
      let batches = 0;
      await assert.rejects(
        async () => {
          for (; batches < 100; batches += 1) await put(client, ...some(batches, 'x'.repeat(60_000)));
        },
        (error) => isCardumeError(error, 'overloaded'),
      );
      assert.ok(batches > 10 && batches < 100);
      assert.equal((await client.read('')).values.length, batches * 5, 'all of it is one answer');
      await put(client, ...some(0, null));
      await put(client, ...some(batches, 'x'.repeat(60_000)));
    });
  });
});
