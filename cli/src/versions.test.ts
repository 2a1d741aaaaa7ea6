/**
 * This version and the one before, as real processes, on the same data: one after the other in both directions, and side
 * by side. Takes about a minute.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import { serverNamed } from 'cardume/testing/servers';
import { storageOf } from 'cardume/testing/storage';
import type { Engines } from 'cardume/topology';
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

/** The version before: the last commit that was released. A release moves it. */
const BEFORE = '59f3b6f';
/**
 * The last commit whose orders were stored in the first version of their event, and whose read models had one definition
 * at a time. What it left is read by this version, too, when the one before has been there.
 */
const FIRST = '2eb7970';

const host = realHost();
const folder = await mkdtemp(join(tmpdir(), 'cardume-versions-'));
const before = join(folder, 'before');
const first = join(folder, 'first');
const { skip: serverSkip } = await serverNamed(host, 'mariadb').then(async (found) => {
  if (found.skip === false) await found.server.admin.close();
  return found;
});

after(async () => {
  killAll();
  await rm(folder, { recursive: true, force: true });
});

function hasHistory(): boolean {
  try {
    for (const commit of [BEFORE, FIRST])
      execFileSync('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: house, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Its tree, with this one's packages: those of the workspace are its own. */
async function checkOut(commit: string, root: string): Promise<void> {
  await mkdir(join(root, 'node_modules'), { recursive: true });
  const tar = execFileSync('git', ['archive', commit], { cwd: house, maxBuffer: 64 * 2 ** 20 });
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

async function stop(started: Started): Promise<void> {
  started.process.kill('SIGINT');
  assert.equal((await started.ended).code, 0, started.text());
}

/** A shop of its own, run by any version. */
interface Shop {
  readonly place: readonly string[];
  /** Of the demonstration's customer, newest first. @param at port behind the shop's: 0 is the edge, then the regions */
  orders(token: string, at?: number): Promise<Listed[]>;
  placed(started: Started, pieces: number): Promise<{ readonly id: string; readonly token: string }>;
  /** Starts that version, places an order, and lists all. */
  runs(root: string, pieces: number): Promise<Listed[]>;
}

async function shopOn(engines: Engines): Promise<Shop> {
  const data = await mkdtemp(join(folder, 'data-'));
  const port = await freeBlock();
  const config = join(data, 'config.ts');
  await writeFile(
    config,
    `import shop from ${JSON.stringify(join(house, 'cardume.config.ts'))};
    // Older versions know neither a DNS server nor a coordinator.
    const { dns, ...edge } = shop.edge;
    const { coordinator, ...known } = shop;
    export default { ...known, edge, engines: ${JSON.stringify(engines)} };`,
  );
  const place = ['--port', String(port), '--data', data, '--config', config];

  async function orders(token: string, at = 0): Promise<Listed[]> {
    const headers = { Authorization: `Bearer ${token}`, 'Cardume-Region': 'us-east' };
    const response = await fetch(`http://127.0.0.1:${port + at}/orders`, { headers }).catch(() => null);
    const { items = [] } = ((await response?.json()) ?? {}) as { items?: Listed[] };
    return items;
  }

  async function placed(started: Started, pieces: number): ReturnType<Shop['placed']> {
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
      async () => (await orders(token)).find((one) => one.id === id)?.status === 'confirmed',
      started.text,
    );
    return { id, token };
  }

  async function runs(root: string, pieces: number): Promise<Listed[]> {
    const started = startCardume(['start', ...place], root);
    await ready(started);
    const { token } = await placed(started, pieces);
    const listed = await orders(token);
    await stop(started);
    return listed;
  }

  return { place, orders, placed, runs };
}

const pieces = (listed: readonly Listed[]): (number | undefined)[] => listed.map((one) => one.pieces);
const states = (listed: readonly Listed[]): unknown[] => listed.map(({ id, status }) => [id, status]);

async function sideBySide({ place, orders, placed }: Shop): Promise<void> {
  const started = startCardume(['start', ...place]);
  await ready(started);
  const { token } = await placed(started, 7);
  const all = await orders(token);
  await stop(started);
  const versions = { 'us-east': house, 'us-west': before, 'eu-west': before };
  const instances = Object.entries(versions).map(([region, root]) =>
    startCardume(['instance', '--region', region, ...place], root),
  );
  const text = (): string => instances.map((one) => one.text()).join('\n');
  for (const at of [1, 2, 3])
    await until(
      async () => JSON.stringify(states(await orders(token, at))) === JSON.stringify(states(all)),
      text,
    );
  for (const one of instances) one.process.kill('SIGTERM');
  for (const one of instances) assert.equal((await one.ended).code, 0, one.text());
}

const skip = hasHistory() ? false : 'this copy has no history: the version before cannot be had';
if (skip === false)
  for (const [commit, root] of [
    [BEFORE, before],
    [FIRST, first],
  ] as const)
    await checkOut(commit, root);

test('nothing is to be prepared where no region was ever started', async () => {
  await assert.rejects(
    cardume(['prepare', '--data', join(folder, 'nowhere')]),
    /No region was ever started in/,
  );
});

describe('in files', { skip }, async () => {
  const shop = await shopOn({ log: 'sqlite' });

  test('the first version, the one before, this one, back, and forth again: every order is there, with its pieces', async () => {
    await shop.runs(first, 2);
    assert.match(
      await cardume(['prepare', ...shop.place]),
      /us-east\/orders-\d: order-list, from \d+ entries\n/,
    );
    assert.match(await cardume(['prepare', ...shop.place]), /^Nothing is to be built/);
    assert.deepEqual(pieces(await shop.runs(before, 3)), [3, 2]);
    assert.deepEqual(pieces(await shop.runs(house, 4)), [4, 3, 2]);
    assert.deepEqual(pieces(await shop.runs(before, 5)), [5, 4, 3, 2]);
    assert.deepEqual(pieces(await shop.runs(house, 6)), [6, 5, 4, 3, 2]);
  });

  test('this version and the one before, side by side, each ask the other', () => sideBySide(shop));
});

describe('on MariaDB', { skip: skip === false ? serverSkip : skip }, async () => {
  if (serverSkip !== false) return;
  const storage = await storageOf(host, 'mysql', false);
  for (const [name, value] of Object.entries(storage.variables)) process.env[name] = value;
  const shop = await shopOn(storage.engines);
  after(storage.clear);

  test('the version before, this one, back, and forth again: every order is there', async () => {
    await shop.runs(before, 3);
    assert.deepEqual(pieces(await shop.runs(house, 4)), [4, 3]);
    assert.deepEqual(pieces(await shop.runs(before, 5)), [5, 4, 3]);
    assert.deepEqual(pieces(await shop.runs(house, 6)), [6, 5, 4, 3]);
  });

  test('this version and the one before, side by side, each ask the other', () => sideBySide(shop));
});
