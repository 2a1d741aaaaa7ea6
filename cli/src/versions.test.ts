/**
 * This version and the one before, as real processes, on the same data: one after the other in both directions, and side
 * by side. Takes about half a minute.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  cardume,
  commandsIn,
  freeBlock,
  house,
  killAll,
  ready,
  type Started,
  shell,
  startCardume,
  until,
} from './started.fixture.ts';

/**
 * The last commit whose orders were stored in the first version of their event, and whose read models had one definition
 * at a time. A release moves it to the one before.
 */
const BEFORE = '2eb7970';

const folder = await mkdtemp(join(tmpdir(), 'cardume-versions-'));
const root = join(folder, 'before');
const data = join(folder, 'data');
const port = await freeBlock();
const url = `http://127.0.0.1:${port}`;
const place = ['--port', String(port), '--data', data];

after(async () => {
  killAll();
  await rm(folder, { recursive: true, force: true });
});

function hasHistory(): boolean {
  try {
    execFileSync('git', ['cat-file', '-e', `${BEFORE}^{commit}`], { cwd: house, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Its tree, with this one's packages: those of the workspace are its own. */
async function checkOut(): Promise<void> {
  await mkdir(join(root, 'node_modules'), { recursive: true });
  const tar = execFileSync('git', ['archive', BEFORE], { cwd: house, maxBuffer: 64 * 2 ** 20 });
  execFileSync('tar', ['-x', '-C', root], { input: tar });
  for (const name of await readdir(join(house, 'node_modules'))) {
    if (name === 'cardume' || name === '@cardume') continue;
    await symlink(join(house, 'node_modules', name), join(root, 'node_modules', name));
  }
  await symlink(join(root, 'platform'), join(root, 'node_modules', 'cardume'));
  await mkdir(join(root, 'node_modules', '@cardume'));
  for (const name of ['cli', 'shop', 'sim'])
    await symlink(join(root, name), join(root, 'node_modules', '@cardume', name));
}

interface Listed {
  readonly id: string;
  readonly status: string;
  readonly pieces?: number;
}

/** Of the demonstration's customer, newest first. */
async function orders(token: string, region: string): Promise<Listed[]> {
  const headers = { Authorization: `Bearer ${token}`, 'Cardume-Region': region };
  const response = await fetch(`${url}/orders`, { headers });
  const { items } = (await response.json()) as { items?: Listed[] };
  return items ?? [];
}

async function placed(
  started: Started,
  pieces: number,
): Promise<{ readonly id: string; readonly token: string }> {
  const [signIn, , order] = commandsIn(started.text()) as [string, string, string];
  const wanted = order
    .replace('"quantity":1', `"quantity":${pieces}`)
    .replace('$(date +%s)', `versions-${pieces}`);
  const [answer, token] = (await shell(`${signIn}\n${wanted}\necho\necho "$TOKEN"`)).split('\n') as [
    string,
    string,
  ];
  const { id } = JSON.parse(answer) as { id: string };
  await until(
    async () => (await orders(token, 'us-east')).find((one) => one.id === id)?.status === 'confirmed',
    started.text,
  );
  return { id, token };
}

async function stop(started: Started): Promise<void> {
  started.process.kill('SIGINT');
  assert.equal((await started.ended).code, 0, started.text());
}

const skip = hasHistory() ? false : 'this copy has no history: the version before cannot be had';

test('from the version before, and back, and forth again: every order is there, with its pieces', {
  skip,
}, async () => {
  await checkOut();
  const ids: string[] = [];
  async function runs(of: string, pieces: number): Promise<Listed[]> {
    const started = startCardume(['start', ...place], of);
    await ready(started);
    const { id, token } = await placed(started, pieces);
    ids.unshift(id);
    const listed = await orders(token, 'us-east');
    await stop(started);
    return listed;
  }
  const counts = (listed: readonly Listed[]) => listed.map(({ id, pieces }) => [id, pieces]);
  await runs(root, 2);
  await assert.rejects(
    cardume(['prepare', '--data', join(folder, 'nowhere')]),
    /No region was ever started in/,
  );
  const prepared = await cardume(['prepare', ...place]);
  assert.match(prepared, /us-east\/orders-\d: order-list, from \d+ entries\n/);
  assert.match(await cardume(['prepare', ...place]), /^Nothing is to be built/);
  assert.deepEqual(counts(await runs(house, 3)), [
    [ids[0], 3],
    [ids[1], 2],
  ]);
  const before = await runs(root, 4);
  assert.deepEqual(
    before.map(({ id, status }) => [id, status]),
    ids.map((id) => [id, 'confirmed']),
  );
  assert.deepEqual(counts(await runs(house, 5)), [
    [ids[0], 5],
    [ids[1], 4],
    [ids[2], 3],
    [ids[3], 2],
  ]);
});

test('side by side, each asks the other', { skip }, async () => {
  const started = startCardume(['start', ...place]);
  await ready(started);
  const { token } = await placed(started, 6);
  const all = (await orders(token, 'us-east')).map(({ id, status }) => [id, status]);
  assert.ok(all.length >= 5);
  await stop(started);
  const versions = { 'us-east': house, 'us-west': root, 'eu-west': root };
  const instances = Object.entries(versions).map(([region, of]) =>
    startCardume(['instance', '--region', region, ...place], of),
  );
  const text = (): string => instances.map((one) => one.text()).join('\n');
  const direct = async (at: number): Promise<unknown[]> => {
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch(`http://127.0.0.1:${port + at}/orders`, { headers }).catch(() => null);
    const { items = [] } = ((await response?.json()) ?? {}) as { items?: Listed[] };
    return items.map(({ id, status }) => [id, status]);
  };
  for (const at of [1, 2, 3])
    await until(async () => JSON.stringify(await direct(at)) === JSON.stringify(all), text);
  for (const one of instances) one.process.kill('SIGTERM');
  for (const one of instances) assert.equal((await one.ended).code, 0, one.text());
});
