/** `npm start` from outside: three real regions, the edge, the shop. Takes about 20 s. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { withoutDig } from 'cardume/edge/dns/dig.fixture';
import {
  cardume as cardumeAlone,
  commandsIn,
  freeBlock,
  isFree,
  killAll,
  ready,
  type Started,
  shell,
  startCardume,
  until,
} from './started.fixture.ts';

const folder = await mkdtemp(join(tmpdir(), 'cardume-start-'));
const data = join(folder, 'data');
const regions = ['us-east', 'us-west', 'eu-west'];
const port = await freeBlock();
const url = `http://127.0.0.1:${port}`;
const place = ['--port', String(port), '--data', data];

after(async () => {
  killAll();
  await rm(folder, { recursive: true, force: true });
});

const start = (): Started => startCardume(['start', ...place]);

async function stop(started: Started): Promise<void> {
  const startMs = performance.now();
  started.process.kill('SIGINT');
  assert.equal((await started.ended).code, 0, started.text());
  assert.ok(performance.now() - startMs < 5_000, started.text());
  assert.ok(await isFree(port), 'the edge has let go of its port');
}

interface Order {
  readonly id: string;
  readonly status: string;
}

let firstOrder = '';

test('the first start: the three commands that it prints work as printed', async () => {
  const started = start();
  await ready(started);
  const commands = commandsIn(started.text());
  assert.equal(commands.length, 3, started.text());
  const [signIn, list, place] = commands as [string, string, string];
  const out = await shell([signIn, list, 'echo', place, 'echo', 'echo "$TOKEN"'].join('\n'));
  const [listed, placed, token] = out.split('\n') as [string, string, string];
  assert.equal((JSON.parse(listed) as { items: unknown[] }).items.length, 3);
  const order = JSON.parse(placed) as Order;
  assert.match(order.id, /^ord_/, placed);
  await until(
    async () => {
      const response = await fetch(`${url}/orders/${order.id}`, {
        headers: { Authorization: `Bearer ${token}` },
      });
      return ((await response.json()) as Order).status === 'confirmed';
    },
    started.text,
    10_000,
  );
  firstOrder = order.id;
  const [line] = /dig @.*/.exec(started.text()) as unknown as [string];
  assert.match(line, new RegExp(`^dig @127\\.0\\.0\\.1 -p ${port - 27} `));
  if (withoutDig === false)
    assert.match(await shell(line), /^"region=(?:us-east|us-west|eu-west)" "port=\d+"$/m);
  assert.match(
    await (await fetch(`${url}/docs`)).text(),
    /<html/i,
    'the page of the API is where the banner says',
  );
  await stop(started);
});

test('the second start: data is still there, nothing is made twice, and a region that is killed comes back', async () => {
  const started = start();
  await ready(started);
  const [signIn] = commandsIn(started.text()) as [string];
  const token = (await shell(`${signIn}\necho "$TOKEN"`)).trim();
  const authorization = { Authorization: `Bearer ${token}` };
  const order = (await (
    await fetch(`${url}/orders/${firstOrder}`, { headers: authorization })
  ).json()) as Order;
  assert.equal(order.status, 'confirmed');
  const { items } = (await (await fetch(`${url}/products?limit=100`)).json()) as { items: { id: string }[] };
  assert.equal(items.length, 12);

  const served = async (region: string): Promise<string | null> => {
    const response = await fetch(`${url}/products/${items[0]?.id}`, {
      headers: { 'Cardume-Region': region },
    });
    return response.headers.get('cardume-served-by');
  };
  for (const region of regions) assert.equal(await served(region), region);

  const pids = (await shell(`pgrep -P ${started.process.pid} -f -- '--region us-west'`))
    .trim()
    .split('\n')
    .map(Number);
  assert.equal(pids.length, 1);
  process.kill(pids[0] as number, 'SIGKILL');
  await until(
    () => /us-west +warn {2}is down: its process ended \(signal SIGKILL\)/.test(started.text()),
    started.text,
  );
  assert.ok(await served('us-west'), 'another region answers meanwhile, or the new process');
  await until(() => /us-west +is ready again/.test(started.text()), started.text);
  await until(async () => (await served('us-west')) === 'us-west', started.text);

  await reshards();
  const other = start();
  assert.equal((await other.ended).code, 1);
  assert.match(other.text(), /^Another Cardume uses the folder /);
  await stop(started);
});

/** From two shards to four by the command line, and back. */
async function reshards(): Promise<void> {
  const cardume = (...args: readonly string[]): Promise<string> => cardumeAlone([...args, ...place]);
  const reshard = (...args: readonly string[]): Promise<string> =>
    cardume('reshard', 'orders', '--region', 'us-west', ...args);
  // On a busy machine others had taken over from the region that was killed, before it was back.
  for (const other of ['us-east', 'eu-west'])
    await cardume('switchover', other, 'us-west', '--born-in', 'us-west');
  assert.match(await cardume('shards', '--region', 'us-west'), /orders-1 +sqlite +8 /);
  assert.match(await reshard('--to', '4'), /is following: 8 of 8 partitions have moved/);
  const [{ shards }] = JSON.parse(
    await cardume('shards', '--service', 'orders', '--region', 'us-west', '--json'),
  );
  assert.deepEqual(
    shards.map(({ name, partitions }: { name: string; partitions: number }) => [name, partitions]),
    [0, 1, 2, 3].map((i) => [`orders-${i}`, 4]),
  );
  assert.match(await reshard('--status'), /Now one of:/);
  assert.match(await reshard('--rollback'), /^Done\./);
  assert.match(await reshard('--status'), /^No reshard is under way/);
  await assert.rejects(reshard('--to', '99'), /1 to 16 shards|at most|64/);
  await assert.rejects(reshard(), /takes one of --to/);
}

test('a port in use: one sentence that names it, and nothing is started', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(port + 2, '127.0.0.1', resolve));
  const started = start();
  const { code } = await started.ended;
  taken.close();
  assert.equal(code, 1);
  assert.equal(
    started.text().split('\n')[0],
    `Port ${port + 2} for region us-west cannot be used: another program listens on 127.0.0.1:${port + 2}.`,
  );
  assert.match(started.text(), /--port 18080/);
});

test('the port of DNS in use, on UDP alone: the same', async () => {
  const taken = createSocket('udp4');
  await new Promise<void>((resolve) => taken.bind(port - 27, '127.0.0.1', resolve));
  const started = start();
  const { code } = await started.ended;
  taken.close();
  assert.equal(code, 1);
  assert.equal(
    started.text().split('\n')[0],
    `Port ${port - 27} for the DNS server cannot be used: another program listens on 127.0.0.1:${port - 27}.`,
  );
});

test('a damaged file: one sentence that names it, no endless restarts, and the other regions end too', async () => {
  const file = join(data, 'eu-west', 'orders-0.log.db');
  await writeFile(file, 'this is not a database, it only has its name'.repeat(200));
  const started = start();
  const { code } = await started.ended;
  assert.equal(code, 1);
  const lines = started.text().trim().split('\n');
  assert.ok(
    lines.at(-1)?.startsWith(`Region eu-west cannot start: ${file}: the file is not a database.`),
    started.text(),
  );
  assert.ok(!started.text().includes('starting it again'));
  assert.ok(!started.text().includes('    at '), 'no stack');
  for (const by of [0, 1, 2, 3]) assert.ok(await isFree(port + by));
});
