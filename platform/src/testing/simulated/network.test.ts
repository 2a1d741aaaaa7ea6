import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import type { Connection } from '../../host/network.ts';
import { type SimulatedMachine, type Simulation, simulation } from './host.ts';

const ADDRESS = { host: 'server', port: 80 };

interface Pair {
  readonly world: Simulation;
  readonly client: SimulatedMachine;
  readonly server: SimulatedMachine;
  readonly near: Connection;
  readonly far: Connection;
  /** What has arrived at the server. */
  readonly chunks: readonly Uint8Array[];
  readonly ends: readonly string[];
}

async function connected(seed: number): Promise<Pair> {
  const world = simulation({ seed });
  const [client, server] = [world.machine('client'), world.machine('server')];
  const chunks: Uint8Array[] = [];
  const ends: string[] = [];
  let far: Connection | undefined;
  const listening = server.network.listen(ADDRESS, (connection) => {
    far = connection;
    connection.onData((bytes) => chunks.push(bytes));
    connection.onClose((reason) => ends.push(`server: ${reason}`));
  });
  await world.run(listening);
  const near = await world.run(client.network.connect(ADDRESS, 1_000));
  near.onClose((reason) => ends.push(`client: ${reason}`));
  assert.ok(far !== undefined);
  return { world, client, server, near, far, chunks, ends };
}

const textOf = (chunks: readonly Uint8Array[]): string => Buffer.concat(chunks).toString();

test('writes are cut and joined, and the stream stays what it is', async () => {
  let cut = 0;
  let joined = 0;
  for (let seed = 1; seed <= 10; seed += 1) {
    const { world, near, chunks } = await connected(seed);
    const writes = Array.from({ length: 50 }, (_, i) => `<${i}:${'x'.repeat(i)}>`);
    for (const [i, write] of writes.entries()) {
      near.write(Buffer.from(write));
      if (i % 10 === 9) await world.advance(3);
    }
    await world.advance(50);
    assert.equal(textOf(chunks), writes.join(''));
    for (const chunk of chunks) {
      const text = Buffer.from(chunk).toString();
      if (!text.startsWith('<') || !text.endsWith('>')) cut += 1;
      if (text.includes('><')) joined += 1;
    }
    world.close();
  }
  assert.ok(cut > 20 && joined > 20, `${cut} chunks were cut, ${joined} joined`);
});

test('a partition holds everything back until it heals', async () => {
  const { world, near, far, chunks, ends } = await connected(1);
  near.write(Buffer.from('before '));
  await world.advance(100);
  world.links.partition('client', 'server');
  near.write(Buffer.from('during '));
  far.close();
  await world.advance(3_600_000);
  assert.equal(textOf(chunks), 'before ');
  assert.deepEqual(ends, ['server: closed by this side']);
  world.links.heal('server', 'client');
  await world.advance(100);
  assert.deepEqual(ends, ['server: closed by this side', 'client: closed by the peer']);
  world.close();
});

test('data that a partition held back arrives in order, behind nothing', async () => {
  const { world, near, chunks } = await connected(2);
  near.write(Buffer.from('0 ')); // on the way already
  world.links.partition('client', 'server');
  for (let i = 1; i < 10; i += 1) near.write(Buffer.from(`${i} `));
  await world.advance(60_000);
  assert.equal(chunks.length, 0);
  world.links.heal();
  near.write(Buffer.from('after'));
  await world.advance(100);
  assert.equal(textOf(chunks), '0 1 2 3 4 5 6 7 8 9 after');
  world.close();
});

test('one way may be cut alone', async () => {
  const { world, near, far, chunks } = await connected(1);
  const back: Uint8Array[] = [];
  near.onData((bytes) => back.push(bytes));
  world.links.partition('server', 'client', 'one');
  near.write(Buffer.from('there'));
  far.write(Buffer.from('back'));
  await world.advance(1_000);
  assert.equal(textOf(chunks), 'there');
  assert.equal(textOf(back), '');
  world.links.heal();
  await world.advance(100);
  assert.equal(textOf(back), 'back');
  world.close();
});

test('a connection attempt through a partition waits for its timeout, or for the end of the partition', async () => {
  const { world, client } = await connected(1);
  world.links.partition('client', 'server');
  const startMs = world.elapsedMs();
  await assert.rejects(
    world.run(client.network.connect(ADDRESS, 5_000)),
    (error) =>
      isCardumeError(error, 'partition-unavailable') &&
      error.message === 'server:80 did not answer within 5000 ms',
  );
  assert.equal(world.elapsedMs() - startMs, 5_000);
  const patient = client.network.connect(ADDRESS, 30_000);
  await world.advance(10_000);
  world.links.heal();
  const connection = await world.run(patient, 2_000);
  assert.equal(connection.write(Buffer.from('x')), true);
  world.close();
});

test('a connection breaks in the middle: both are told, what was on the way is lost', async () => {
  const { world, near, chunks, ends } = await connected(1);
  near.write(Buffer.from('lost'));
  assert.equal(world.links.disconnect('server', 'client'), 1);
  assert.equal(near.write(Buffer.from('refused')), false);
  await world.advance(1_000);
  assert.equal(textOf(chunks), '');
  assert.deepEqual([...ends].sort(), [
    'client: the connection was reset',
    'server: the connection was reset',
  ]);
  assert.equal(world.links.disconnect('server', 'client'), 0);
  world.close();
});

test('a crash resets the connections of the machine and frees its addresses', async () => {
  const { world, client, server, near, ends } = await connected(1);
  near.write(Buffer.from('x'));
  server.crash();
  await world.advance(100);
  assert.deepEqual(ends, ['client: the connection was reset']);
  await assert.rejects(world.run(client.network.connect(ADDRESS, 1_000)), /ECONNREFUSED/);
  await world.run(server.network.listen(ADDRESS, () => undefined));
  await world.run(client.network.connect(ADDRESS, 1_000));
  world.close();
});

test('latency is what the link has', async () => {
  const { world, near, chunks } = await connected(1);
  world.links.latency('client', 'server', 80);
  near.write(Buffer.from('x'));
  await world.advance(79);
  assert.equal(chunks.length, 0);
  await world.advance(80);
  assert.equal(chunks.length, 1);
  world.close();
});

test('a slow peer holds the writer back, and a close loses what the system had not taken', async () => {
  const { world, near, chunks, ends } = await connected(1);
  const block = Buffer.alloc(16 * 1_024, 1);
  let drains = 0;
  near.onDrain(() => (drains += 1));
  world.links.partition('client', 'server');
  const answers = Array.from({ length: 6 }, () => near.write(block));
  assert.deepEqual(answers, [true, true, true, false, false, false]);
  await world.advance(1_000);
  assert.equal(drains, 0);
  world.links.heal();
  await world.advance(1_000);
  assert.equal(drains, 1);
  assert.equal(Buffer.concat(chunks).length, 6 * block.length);

  for (let i = 0; i < 6; i += 1) near.write(block);
  near.close();
  await world.advance(1_000);
  assert.equal(Buffer.concat(chunks).length, 10 * block.length);
  assert.deepEqual(ends, ['client: closed by this side', 'server: closed by the peer']);
  world.close();
});
