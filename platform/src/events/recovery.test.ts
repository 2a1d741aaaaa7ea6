/** Writer threads that end and disks that fail under load: what was told is true, and nothing is told twice. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import { realHost } from '../host/real.ts';
import type { Thread } from '../host/threads.ts';
import { all, event, fails, P, Q } from '../testing/log-conformance-case.ts';
import { type SimulatedHost, simulatedHost } from '../testing/simulated/host.ts';
import { openLog, openWriterPool, type WriterPool } from './events.ts';
import type { Entry, Log } from './log.ts';
import { verifyLog } from './verify.ts';

const BOUNDS = { batchEntriesMax: 8, queueEntriesMax: 1_000 };

/** The host, and the threads that were spawned through it. */
function watched(host: Host): { host: Host; threads: Thread[] } {
  const threads: Thread[] = [];
  const spawn: Host['threads']['spawn'] = (...about) => {
    const thread = host.threads.spawn(...about);
    threads.push(thread);
    return thread;
  };
  // The simulated host's parts are its own: they are reached through it.
  return { host: { ...parts(host), threads: { ...host.threads, spawn } }, threads };
}

function parts({ clock, random, crypto, disk, sql, network, threads, env }: Host): Host {
  return { clock, random, crypto, disk, sql, network, threads, env };
}

interface Told {
  readonly stands: Map<string, number>;
  readonly unknown: Set<string>;
  readonly refused: string[];
}

/** Callers that append single events to streams of their own until told to stop; a refused one begins a new stream. */
function load(log: Log, callers: number, told: Told): { stop(): Promise<unknown> } {
  let going = true;
  const caller = async (index: number): Promise<void> => {
    const partition = index % 2 === 0 ? P : Q;
    for (let life = 0, version = 1; going; version += 1) {
      const stream = `${index}-${life}`;
      try {
        const { position } = await log.append(partition, [
          event(stream, version, { key: `${stream}/${version}` }),
        ]);
        told.stands.set(`${partition} ${stream}@${version}`, position);
      } catch (error) {
        if (!isCardumeError(error)) throw error;
        const name = `${partition} ${stream}@${version}`;
        if (error.code === 'unknown-outcome') told.unknown.add(name);
        else told.refused.push(name);
        life += 1;
        version = 0;
      }
    }
  };
  const running = Promise.all(Array.from({ length: callers }, (_, i) => caller(i)));
  return {
    stop() {
      going = false;
      return running;
    },
  };
}

/** What was told stands where it was told; what was refused does not; nothing else does, but unknown outcomes. */
async function check(log: Log, told: Told, live: readonly Entry[]): Promise<void> {
  const found = new Map<string, number>();
  for (const partition of [P, Q]) {
    const entries = await all(log, partition);
    for (const { stream, version, position } of entries)
      found.set(`${partition} ${stream}@${version}`, position);
    const heard = live.filter((entry) => entry.partition === partition).map((entry) => entry.position);
    assert.deepEqual(
      heard,
      entries.map((entry) => entry.position),
      'live entries are the log',
    );
  }
  for (const [name, position] of told.stands) assert.equal(found.get(name), position, name);
  for (const name of told.refused) assert.equal(found.get(name), undefined, name);
  for (const name of found.keys()) assert.ok(told.stands.has(name) || told.unknown.has(name), name);
}

const nothing = (): Told => ({ stands: new Map(), unknown: new Set(), refused: [] });

async function simulated(seed: number, body: (host: SimulatedHost) => Promise<void>): Promise<void> {
  const host = simulatedHost({ seed });
  try {
    await host.run(body(host), 600_000);
  } finally {
    host.close();
  }
}

describe('a writer thread that ends in the middle of batches', () => {
  test('on the simulated machine, 40 seeds', async () => {
    let cut = 0;
    for (let seed = 1; seed <= 40; seed += 1) {
      await simulated(seed, async (machine) => {
        const { host, threads } = watched(machine);
        const pool = openWriterPool(host, { threadsMax: 1 });
        const log = await openLog(host, { path: '/data/shard.db', partitions: [P, Q], pool, bounds: BOUNDS });
        const live: Entry[] = [];
        log.onCommit((entries) => live.push(...entries));
        const told = nothing();
        const loading = load(log, 12, told);
        for (let kill = 0; kill < 5; kill += 1) {
          const before = told.stands.size;
          while (told.stands.size < before + 20) await host.clock.sleep(1);
          await host.clock.sleep(host.random.fraction() / 5);
          await threads.at(-1)?.stop();
          while (log.heads()[0]?.epoch !== kill + 2) await host.clock.sleep(1);
        }
        await loading.stop();
        assert.equal(told.unknown.size, 0);
        cut += told.refused.length;
        await check(log, told, live);
        await log.close();
        assert.deepEqual((await verifyLog(host, { path: '/data/shard.db' })).faults, []);
        await pool.close();
      });
    }
    assert.ok(cut > 100, `${cut} appends were under way when the thread ended`);
  });

  test('on this machine, 20 times', { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cardume-recovery-'));
    const path = join(folder, 'shard.db');
    const { host, threads } = watched(realHost());
    const pool = openWriterPool(host, { threadsMax: 1 });
    try {
      const log = await openLog(host, { path, partitions: [P, Q], pool, bounds: BOUNDS });
      const live: Entry[] = [];
      log.onCommit((entries) => live.push(...entries));
      const told = nothing();
      const loading = load(log, 24, told);
      for (let kill = 0; kill < 20; kill += 1) {
        const before = told.stands.size;
        while (told.stands.size < before + 50) await host.clock.sleep(0);
        await threads.at(-1)?.stop();
      }
      await loading.stop();
      await check(log, told, live);
      await log.close();
      assert.equal(threads.length, 21);
      assert.deepEqual((await verifyLog(host, { path })).faults, []);
    } finally {
      await pool.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('another host may have taken over meanwhile', async () => {
    await simulated(3, async (machine) => {
      const { host, threads } = watched(machine);
      const [pool, others] = [
        openWriterPool(host, { threadsMax: 1 }),
        openWriterPool(machine, { threadsMax: 1 }),
      ];
      const options = { path: '/data/shard.db', bounds: BOUNDS };
      const log = await openLog(host, { ...options, partitions: [P, Q], pool });
      await log.append(P, [event('s', 1)]);
      const other = await openLog(machine, { ...options, partitions: [P], pool: others });
      await other.append(P, [event('s', 2)]);
      await threads[0]?.stop();
      await log.append(Q, [event('t', 1)]);
      await fails(log.append(P, [event('s', 3)]), 'fenced');
      assert.equal((await other.append(P, [event('s', 3)])).position, 3);
      await log.close();
      await other.close();
      await Promise.all([pool.close(), others.close()]);
    });
  });
});

/** A log that a tail follows. */
async function tailed(machine: SimulatedHost, init: object): Promise<{ log: Log; pool: WriterPool }> {
  const pool = openWriterPool(machine, { threadsMax: 1 });
  const tail = { module: new URL('./tail-fixture.ts', import.meta.url), init: { greeting: '', ...init } };
  const about = { path: '/data/shard.db', partitions: [P], pool, bounds: BOUNDS, tail };
  return { log: await openLog(machine, about), pool };
}

test('a writer thread that ended while nothing was under way is asked and closed like any other', async () => {
  await simulated(1, async (machine) => {
    const { log, pool } = await tailed(machine, {});
    await log.append(P, [event('s', 1)]);
    machine.failThread();
    await machine.clock.sleep(10);
    assert.deepEqual(await log.askTail({ what: 'seen' }), [`${P}:1:s`]);
    machine.failThread();
    await machine.clock.sleep(10);
    await log.close();
    await pool.close();
  });
});

test('a way back that is cut off half way leads on: the host is not fenced by itself', async () => {
  await simulated(1, async (machine) => {
    const { log, pool } = await tailed(machine, { failWhile: '/data/obstacle' });
    await log.append(P, [event('s', 1)]);
    await machine.disk.write('/data/obstacle', '');
    machine.failThread();
    await machine.clock.sleep(50); // the epoch is raised, and the tail does not open
    await fails(log.append(P, [event('s', 2)]), 'storage-failed');
    await machine.disk.remove('/data/obstacle');
    await log.append(P, [event('s', 2)]);
    assert.equal((await all(log, P)).length, 2);
    await log.close();
    await pool.close();
  });
});

describe('a disk that fails', () => {
  for (const fault of [
    { name: 'a full disk', code: 'ENOSPC' as const, count: 3 },
    { name: 'a commit that fails', code: 'EIO' as const, count: 1 },
    {
      name: 'a commit whose sync fails after the bytes are there',
      code: 'EIO' as const,
      count: 1,
      written: true,
    },
    { name: 'a commit that fails, and the next ones', code: 'EIO' as const, count: 4 },
    {
      name: 'commits whose syncs fail after the bytes are there',
      code: 'EIO' as const,
      count: 4,
      written: true,
    },
  ]) {
    test(fault.name, async () => {
      for (let seed = 1; seed <= 10; seed += 1) {
        await simulated(seed, async (machine) => {
          const pool = openWriterPool(machine, { threadsMax: 1 });
          const log = await openLog(machine, {
            path: '/data/shard.db',
            partitions: [P, Q],
            pool,
            bounds: BOUNDS,
          });
          const live: Entry[] = [];
          log.onCommit((entries) => live.push(...entries));
          const told = nothing();
          const loading = load(log, 12, told);
          for (let time = 0; time < 3; time += 1) {
            const before = told.stands.size;
            while (told.stands.size < before + 30) await machine.clock.sleep(1);
            machine.failWrites(fault);
          }
          const before = told.stands.size;
          while (told.stands.size < before + 30) await machine.clock.sleep(1);
          await loading.stop();
          assert.ok(told.refused.length + told.unknown.size > 0, 'somebody hears of the failure');
          await check(log, told, live);
          await log.close();
          assert.deepEqual((await verifyLog(machine, { path: '/data/shard.db' })).faults, []);
          await pool.close();
        });
      }
    });
  }

  test('the batch of an opener before has the same number: a commit that fails does not pass for it', async () => {
    await simulated(1, async (machine) => {
      const open = async (): Promise<[Log, { close(): Promise<void> }]> => {
        const pool = openWriterPool(machine, { threadsMax: 1 });
        const about = { path: '/data/shard.db', partitions: [P], pool, bounds: BOUNDS };
        return [await openLog(machine, about), pool];
      };
      const [before, pool] = await open();
      await before.append(P, [event('before', 1)]);
      await before.close();
      await pool.close();
      const [log, second] = await open();
      machine.failWrites({ code: 'ENOSPC', count: Number.POSITIVE_INFINITY });
      await fails(log.append(P, [event('after', 1)]), 'unknown-outcome');
      machine.mendDisk();
      await log.append(P, [event('after', 1)]);
      assert.equal((await all(log, P)).length, 2);
      await log.close();
      await second.close();
    });
  });

  test('a start builds on nothing that a failed sync has left in memory alone', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const machine = simulatedHost({ seed });
      const open = (): Promise<Log> => {
        const pool = openWriterPool(machine, { threadsMax: 1 });
        return openLog(machine, { path: '/data/shard.db', partitions: [P], pool, bounds: BOUNDS });
      };
      const first = await machine.run(open());
      await machine.run(first.append(P, [event('s', 1)]));
      machine.failWrites({ code: 'EIO', count: 1 + (seed % 6), forgotten: true });
      const refused = first.append(P, [event('s', 2)]).catch(() => undefined);
      await machine.run(refused);
      machine.kill();
      machine.mendDisk();
      const second = await machine.run(open());
      const { position } = await machine.run(second.append(P, [event('after', 1)]));
      machine.crash();
      const again = await machine.run(open());
      assert.ok((await machine.run(all(again, P))).length >= position, `seed ${seed}`);
      machine.close();
    }
  });

  test('a refused commit is not revived by a crash', async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const machine = simulatedHost({ seed });
      const pool = openWriterPool(machine, { threadsMax: 1 });
      const about = { path: '/data/shard.db', partitions: [P], pool, bounds: BOUNDS };
      const log = await machine.run(openLog(machine, about));
      await machine.run(log.append(P, [event('s', 1)]));
      machine.failWrites({ code: 'EIO', count: 1, written: true });
      await machine.run(fails(log.append(P, [event('s', 2)]), 'storage-failed'));
      machine.kill();
      const again = openWriterPool(machine, { threadsMax: 1 });
      const second = await machine.run(openLog(machine, { ...about, pool: again }));
      assert.equal((await machine.run(all(second, P))).length, 1);
      machine.close();
    }
  });

  test('the power fails under load: what was acknowledged stands, 20 seeds', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const machine = simulatedHost({ seed });
      const told = nothing();
      const open = (): Promise<Log> => {
        const pool = openWriterPool(machine, { threadsMax: 1 });
        return openLog(machine, { path: '/data/shard.db', partitions: [P, Q], pool, bounds: BOUNDS });
      };
      let log: Log | null = null;
      void open().then((opened) => {
        log = opened;
        load(opened, 12, told);
      });
      await machine.run(() => told.stands.size > 40 + seed);
      assert.ok(log !== null);
      machine.crash();
      assert.deepEqual((await verifyLog(machine, { path: '/data/shard.db' })).faults, []);
      await machine.run(
        open().then(async (again) => {
          const found = new Map<string, number>();
          for (const partition of [P, Q]) {
            for (const { stream, version, position } of await all(again, partition)) {
              found.set(`${partition} ${stream}@${version}`, position);
            }
          }
          for (const [name, position] of told.stands) assert.equal(found.get(name), position, name);
          await again.close();
        }),
      );
      machine.close();
    }
  });
});
