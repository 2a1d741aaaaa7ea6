import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { hostConformance } from '../host-conformance.ts';
import { type Simulation, simulatedHost, simulation } from './host.ts';

for (const seed of [1, 2, 3]) {
  hostConformance(`simulated host, seed ${seed}`, async () => {
    const host = simulatedHost({ seed });
    await host.run(host.disk.makeFolder('/data'));
    return { host, folder: '/data', done: (work) => host.run(work), close: host.close };
  });
}

const ECHO = new URL('../conformance-thread.ts', import.meta.url);
const LOG = { host: 'store', port: 7_000 };

/** Three clients write to a store through its thread, over a link that breaks; then the store loses power. */
async function scenario(world: Simulation): Promise<readonly string[]> {
  const told: string[] = [];
  const store = world.machine('store');
  await world.run(store.disk.makeFolder('/data'));
  const database = store.disk.database('/data/log.db');
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE entry (text TEXT)');
  database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  const insert = database.prepare('INSERT INTO entry VALUES (?)');
  const thread = store.threads.spawn(ECHO, 'writer', { task: 'echo', greeting: 'ready' });
  thread.onMessage((text: string) => insert.run(text));
  await world.run(
    store.network.listen(LOG, (connection) =>
      connection.onData((bytes) => thread.post(Buffer.from(bytes).toString())),
    ),
  );
  for (const name of ['ana', 'rui', 'eva']) {
    const client = world.machine(name);
    const work = async (): Promise<void> => {
      const connection = await client.network.connect(LOG, 1_000);
      connection.onClose((reason) => told.push(`${name}: ${reason}`));
      for (let i = 0; i < 20; i += 1) {
        connection.write(Buffer.from(`${name} ${i} ${Buffer.from(client.random.bytes(3)).toString('hex')};`));
        await client.clock.sleep(client.random.fraction() * 20);
      }
      told.push(`${name} is done`);
    };
    work().catch((error: unknown) => told.push(String(error)));
  }
  await world.advance(100);
  world.links.partition('store', 'ana');
  world.links.disconnect('store', 'rui');
  await world.advance(500);
  world.links.heal();
  await world.advance(500);
  store.crash();
  await world.advance(100);
  const entries = store.disk.database('/data/log.db').prepare('SELECT text FROM entry').all();
  return [...told, ...entries.map(({ text }) => String(text))];
}

async function play(seed: number): Promise<{ hash: string; told: readonly string[] }> {
  const world = simulation({ seed });
  try {
    const told = await scenario(world);
    return { hash: world.trace().hash, told };
  } finally {
    world.close();
  }
}

test('a seed gives one story, another seed another one', async () => {
  const stories = new Set<string>();
  for (let seed = 1; seed <= 10; seed += 1) {
    const first = await play(seed);
    assert.deepEqual(await play(seed), first);
    assert.ok(first.told.includes('rui: the connection was reset'), first.told.join('\n'));
    assert.ok(first.told.includes('ana is done'));
    stories.add(first.hash);
  }
  assert.equal(stories.size, 10);
});

test('one more draw in one part does not shift what the others see', async () => {
  const draws = async (extra: boolean): Promise<readonly unknown[]> => {
    const world = simulation({ seed: 5 });
    const [one, two] = [world.machine('one'), world.machine('two')];
    if (extra) one.random.bytes(1_000);
    const key = new Uint8Array(32);
    const seen = [
      one.crypto.seal(key, key, 'x'),
      one.crypto.newSigningKey().publicPem,
      two.random.bytes(16),
      two.random.fraction(),
    ];
    await world.run(one.disk.write('/file', 'x'));
    await assert.rejects(world.run(one.network.connect({ host: 'two', port: 1 }, 100)), /ECONNREFUSED/);
    const thread = one.threads.spawn(ECHO, 'draw', { task: 'use the host' });
    const drawn = new Promise((resolve) => thread.onMessage(resolve));
    seen.push((await world.run(drawn)) as never);
    world.close();
    return [...seen, world.trace()];
  };
  assert.deepEqual(await draws(true), await draws(false));
});

test('each part draws from a stream of its own', () => {
  const world = simulation({ seed: 5 });
  const [one, two] = [world.machine('one'), world.machine('two')];
  const key = new Uint8Array(32);
  const draws = [
    one.random.bytes(12),
    two.random.bytes(12),
    one.crypto.seal(key, key, '').subarray(0, 12),
    two.crypto.seal(key, key, '').subarray(0, 12),
    world.stream('one').bytes(12),
  ].map((bytes) => Buffer.from(bytes).toString('hex'));
  assert.equal(new Set(draws).size, draws.length);
  world.close();
});

test('hours pass in moments', async () => {
  const host = simulatedHost({ seed: 1, startMs: 1_700_000_000_000 });
  const realMs = performance.now();
  let beats = 0;
  const beat = (): void => {
    beats += 1;
    host.clock.after(1_000, beat);
  };
  host.clock.after(1_000, beat);
  await host.advance(5 * 3_600_000);
  assert.equal(beats, 18_000);
  assert.equal(host.clock.nowMs(), 1_700_000_000_000 + 18_000_000);
  assert.equal(host.elapsedMs(), 18_000_000);
  assert.ok(performance.now() - realMs < 5_000, `five hours took ${performance.now() - realMs} ms`);
  host.close();
});

test('the wall clock may jump, the monotonic clock and the timers do not notice', async () => {
  const world = simulation({ seed: 1, startMs: 1_000_000 });
  const [one, two] = [world.machine('one'), world.machine('two')];
  const fired: number[] = [];
  one.clock.after(1_000, () => fired.push(one.clock.monotonicMs()));
  one.jumpClock(-5_000);
  assert.equal(one.clock.nowMs(), 995_000);
  await world.advance(2_000);
  one.jumpClock(60_000);
  assert.equal(one.clock.nowMs(), 1_057_000);
  assert.equal(two.clock.nowMs(), 1_002_000);
  assert.deepEqual(fired, [1_000]);
  assert.equal(one.clock.monotonicMs(), 2_000);
  world.close();
});

test('a crash silences the code of the machine, its threads included, and of no other', async () => {
  const world = simulation({ seed: 1 });
  const [one, two] = [world.machine('one'), world.machine('two')];
  const heard: string[] = [];
  const beat = (name: string, { clock }: typeof one): void => {
    void (async () => {
      for (;;) {
        await clock.sleep(10);
        heard.push(name);
      }
    })();
  };
  beat('one', one);
  beat('two', two);
  const thread = one.threads.spawn(ECHO, 'echo', { task: 'echo', greeting: 'thread' });
  thread.onMessage((message: string) => heard.push(message));
  thread.onExit(() => heard.push('exit'));
  await world.run(() => heard.includes('thread'));
  one.crash();
  heard.length = 0;
  thread.post('nobody hears this');
  await world.advance(100);
  assert.deepEqual([...new Set(heard)], ['two']);

  beat('one again', one);
  await world.advance(50);
  assert.ok(heard.includes('one again'), 'the machine runs new code');
  assert.ok(!heard.includes('one'));
  world.close();
});

test('lines and variables of the environment are the test’s', () => {
  const host = simulatedHost({ seed: 1 });
  host.variables.set('CARDUME_PORT', '80');
  assert.equal(host.env.get('CARDUME_PORT'), '80');
  for (let i = 0; i < 10_001; i += 1) host.env.write(`line ${i}`);
  assert.equal(host.lines.length, 10_000);
  assert.equal(host.lines[0], 'line 1');
  host.close();
});

test('signing keys are real and belong to the seed', () => {
  const keys = [1, 1, 2].map((seed) => {
    const host = simulatedHost({ seed });
    host.close();
    return host.crypto.newSigningKey();
  });
  const [one, same, other] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];
  assert.deepEqual(one, same);
  assert.notEqual(one.publicPem, other.publicPem);
  const message = Buffer.from('an access token');
  const signature = sign(null, message, createPrivateKey(one.privatePem));
  assert.equal(verify(null, message, createPublicKey(one.publicPem), signature), true);
  assert.equal(verify(null, message, createPublicKey(other.publicPem), signature), false);
});

test('a machine that is paused hears nothing, and then everything in order', async () => {
  const world = simulation({ seed: 1 });
  const machine = world.machine('one');
  const heard: [string, number][] = [];
  for (const delayMs of [5, 10, 15, 60])
    machine.clock.after(delayMs, () => heard.push([`${delayMs}`, Math.round(world.elapsedMs())]));
  const cancelled = machine.clock.after(12, () => heard.push(['cancelled', 0]));
  await world.advance(7);
  machine.pause(43);
  await world.advance(20);
  cancelled.cancel();
  await world.advance(80);
  assert.deepEqual(heard, [
    ['5', 5],
    ['10', 50],
    ['15', 50],
    ['60', 60],
  ]);
  world.close();
});

test('a process that was replaced wakes beside its successor, on the same disk, with its own chance', async () => {
  const world = simulation({ seed: 1 });
  const machine = world.machine('one');
  const first = machine.process();
  const lines: string[] = [];
  const work = async (name: string, host: typeof first): Promise<void> => {
    await host.disk.write(`/${name}`, 'was here');
    await host.clock.sleep(20);
    lines.push(`${name} at ${Math.round(world.elapsedMs())}: ${(await host.disk.list('/')).join()}`);
  };
  void work('first', first);
  await world.advance(10);
  const end = machine.replace(50);
  const second = machine.process();
  void work('second', second);
  await world.advance(100);
  assert.match(lines.join('; '), /^second at 3\d: first,second; first at 60: first,second$/);
  assert.notDeepEqual(first.random.bytes(8), second.random.bytes(8));
  void work('late', first);
  end();
  await world.advance(100);
  assert.equal(lines.length, 2);
  world.close();
});

test('kill keeps what the system was given, a loss of power does not', async () => {
  const left = (how: 'kill' | 'crash', seed: number): unknown => {
    const world = simulation({ seed });
    const machine = world.machine('one');
    const open = () => {
      const database = machine.disk.database('/db');
      database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE IF NOT EXISTS t (n)');
      return database;
    };
    open().exec('PRAGMA wal_checkpoint(FULL); INSERT INTO t VALUES (1)');
    machine[how]();
    const row = open().prepare('SELECT count(*) AS n FROM t').get();
    world.close();
    return row?.['n'];
  };
  const seeds = Array.from({ length: 10 }, (_, i) => i + 1);
  assert.deepEqual(new Set(seeds.map((seed) => left('kill', seed))), new Set([1]));
  assert.deepEqual(new Set(seeds.map((seed) => left('crash', seed))), new Set([0, 1]));
});

test('a slow sync keeps its thread busy, and reads fail when they are made to', async () => {
  const world = simulation({ seed: 1 });
  const machine = world.machine('one');
  machine.syncUs(50_000);
  const database = machine.disk.database('/db');
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (n)');
  let atMs = 0;
  machine.clock.after(1, () => {
    atMs = world.elapsedMs();
  });
  await world.advance(5_000);
  assert.ok(atMs > 5, `it was heard after ${atMs} ms`);
  database.close();
  machine.failReads({ count: 1 });
  assert.throws(() => machine.disk.database('/db'), /input\/output|I\/O/);
  machine.disk.database('/db').close();
  world.close();
});
