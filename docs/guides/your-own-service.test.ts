/**
 * Follows the guide to the letter, in a copy of the house: makes its files, applies its changes, runs its commands, and
 * compares what they answer with what the guide shows. A block that this test does not understand fails it.
 */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import topology from '../../cardume.config.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const guide = await readFile(new URL('your-own-service.md', import.meta.url), 'utf8');
const startMsMax = 30_000;
const stopMsMax = 10_000;

interface Block {
  /** What the fence says: `ts` makes a file, `diff` changes one, `sh` is run, `json` is what the last `sh` answers. */
  readonly language: string;
  /** The file that stands in bold above the fence. */
  readonly file: string | undefined;
  readonly text: string;
}

function blocksOf(markdown: string): Block[] {
  const fence = /(?:^\*\*`([^`\n]+)`\*\*\n\n)?^```(\w*)\n([\s\S]*?)^```$/gm;
  return [...markdown.matchAll(fence)].map(([, file, language = '', text = '']) => ({
    language,
    file,
    text,
  }));
}

/** The lines of a `diff` without their marks: those that must stand in the file, and what they become. */
function change(text: string): { readonly from: string; readonly to: string } {
  const lines = text.trimEnd().split('\n');
  const without = (mark: string): string =>
    lines.flatMap((line) => (line.startsWith(mark) ? [] : [`${line.slice(1)}\n`])).join('');
  return { from: without('+'), to: without('-') };
}

/**
 * The house without its installed packages and data. Its `node_modules` is a folder of links, in which the workspaces
 * are the copy's own.
 */
async function copyHouse(to: string): Promise<void> {
  const { stdout } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
  });
  // A `node_modules` that is a link itself is not ignored by git.
  for (const path of stdout.split('\0').filter((name) => name !== '' && !name.startsWith('node_modules'))) {
    await mkdir(dirname(join(to, path)), { recursive: true });
    // What is tracked and deleted is no part of the house.
    await cp(join(root, path), join(to, path)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
  const own: Readonly<Record<string, string>> = {
    cardume: 'platform',
    '@cardume/shop': 'shop',
    '@cardume/cli': 'cli',
  };
  const modules = join(to, 'node_modules');
  await mkdir(join(modules, '@cardume'), { recursive: true });
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name.startsWith('.') || name === 'cardume' || name === '@cardume') continue;
    await symlink(join(root, 'node_modules', name), join(modules, name));
  }
  for (const [name, folder] of Object.entries(own)) await symlink(join(to, folder), join(modules, name));
}

/** A port of the edge with which all ports of the topology are free. */
async function freePort(): Promise<number> {
  const distances = Object.values(topology.regions).flatMap(({ port, peerPort }) => [port, peerPort]);
  const all = [topology.edge.port, topology.edge.dns?.port ?? topology.edge.port, ...distances].map(
    (port) => port - topology.edge.port,
  );
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = 20_000 + Math.floor(Math.random() * 30_000);
    if ((await Promise.all(all.map((distance) => isFree(port + distance)))).every(Boolean)) return port;
  }
  throw new Error('no free ports');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

const within = <T>(timeoutMs: number, what: string, work: Promise<T>): Promise<T> => {
  const bound = Promise.withResolvers<never>();
  const timer = setTimeout(() => bound.reject(new Error(`${what}: not within ${timeoutMs} ms`)), timeoutMs);
  return Promise.race([work, bound.promise]).finally(() => clearTimeout(timer));
};

/** `cardume start`, ready. Not through the launcher, which would set the copy's packages right with npm. */
async function start(house: string, port: number): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    ['cli/src/cardume.ts', 'start', '--port', String(port), '--data', join(house, '.cardume')],
    { cwd: house, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  const ready = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => {
      said += text;
      if (said.includes('Ctrl-C stops everything')) ready.resolve();
    });
  }
  child.once('exit', (code) => ready.reject(new Error(`ended with ${code} before it was ready:\n${said}`)));
  await within(startMsMax, 'cardume start', ready.promise).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise<number | null>((resolve) => void child.once('exit', resolve));
  child.kill('SIGTERM');
  const code = await within(stopMsMax, 'the end', ended).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  strictEqual(code, 0);
}

/** Times are those of the reader. */
/** Ana's account differs between installations, and with it the ids of her review and her pen. */
const timeless = (text: string): unknown =>
  JSON.parse(
    text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME').replaceAll(/\b(?:rev|pen)_\w{30}\b/g, 'ID'),
  );

describe('the guide to a service of one’s own', { timeout: 120_000 }, () => {
  const blocks = blocksOf(guide);
  const made = blocks.filter(({ language }) => language === 'ts');
  let house = '';
  // Without what tells Node that a test runs it, or a test in the copy would report to this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const node = (args: readonly string[]) => run(process.execPath, args, { cwd: house, env });

  before(async () => {
    house = await mkdtemp(join(tmpdir(), 'cardume-guide-'));
    await copyHouse(house);
  });
  after(() => rm(house, { recursive: true, force: true }));

  test('has blocks of four kinds; those that make or change a file name it', () => {
    strictEqual(guide.match(/^```/gm)?.length, 2 * blocks.length);
    for (const { language, file, text } of blocks) {
      ok(['ts', 'diff', 'sh', 'json'].includes(language), `a block in '${language}':\n${text}`);
      strictEqual(file !== undefined, language === 'ts' || language === 'diff', text);
    }
  });

  test('makes files that are new, and changes lines that stand there once', async () => {
    for (const { language, file, text } of blocks) {
      if (file === undefined) continue;
      const path = join(house, file);
      await mkdir(dirname(path), { recursive: true });
      if (language === 'ts') {
        await writeFile(path, text, { flag: 'wx' });
        continue;
      }
      const { from, to } = change(text);
      const parts = (await readFile(path, 'utf8')).split(from);
      strictEqual(parts.length, 2, `${file} has these lines ${parts.length - 1} times:\n${from}`);
      await writeFile(path, parts.join(to));
    }
  });

  test('type-checks, and is formatted as the house is', async () => {
    const files = [...new Set(blocks.flatMap(({ file }) => file ?? []))];
    const biome = ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', ...files];
    const types = ['node_modules/typescript/bin/tsc', '--noEmit'];
    for (const command of [types, biome]) {
      await node(command).catch((error: { stdout: string; stderr: string }) => {
        throw new Error(`${command[0]}:\n${error.stdout}${error.stderr}`);
      });
    }
  });

  test('breaks no rule of the house', async () => {
    // The house's own faults are not the guide's: `npm run check` tells of them.
    const { stdout } = await node(['--test', '--test-reporter=tap', 'tidy/tidy.test.ts']).catch(
      (error: { stdout: string }) => error,
    );
    match(stdout, /^# tests [1-9]/m);
    for (const { file = '' } of made) ok(!stdout.includes(file), stdout);
  });

  test('passes the unit test that it writes', async () => {
    const tests = blocks.flatMap(({ language, text }) =>
      language === 'sh' ? [...text.matchAll(/^npm test -- (\S+)$/gm)].map(([, file]) => file as string) : [],
    );
    deepStrictEqual(
      tests,
      made.flatMap(({ file = '' }) => (file.endsWith('.test.ts') ? [file] : [])),
    );
    const { stdout } = await node(['--test', '--test-reporter=tap', ...tests]);
    match(stdout, /^# pass [1-9]/m);
    match(stdout, /^# fail 0$/m);
  });

  test('gets the answers that it shows', async () => {
    const commands = blocks.filter(({ language, text }) => language === 'sh' && text.includes('curl'));
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const running = await start(house, port);
    try {
      // One shell for all, since they share variables. A zero byte ends each answer.
      const script = commands.map(({ text }) => `${text}printf '\\0'\n`).join('');
      const here = script.replaceAll(`127.0.0.1:${topology.edge.port}`, `127.0.0.1:${port}`);
      const { stdout } = await run('sh', ['-e', '-c', here]);
      const answers = stdout.split('\0');
      let shown = 0;
      for (const [i, { text }] of commands.entries()) {
        const next = blocks[blocks.indexOf(commands[i] as Block) + 1];
        if (next?.language !== 'json') continue;
        shown += 1;
        deepStrictEqual(
          timeless(answers[i] as string),
          timeless(next.text),
          `${text}\nanswers ${answers[i]}`,
        );
      }
      strictEqual(shown, blocks.filter(({ language }) => language === 'json').length);
      await claims(url, JSON.parse(answers[1] as string));
      await uniqueness(url, JSON.parse(answers.at(-2) as string));
      await knownFiles(join(house, '.cardume'));
    } finally {
      await stop(running);
    }
  });

  /** The page of the data folder has every file that a run leaves. */
  async function knownFiles(folder: string): Promise<void> {
    const page = await readFile(join(house, 'docs/operations/data.md'), 'utf8');
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = relative(folder, join(entry.parentPath, entry.name))
        .replace(/^compile-cache\/.*/, 'compile-cache/')
        .replace(/^[a-z-]+\/([a-z]+-\d+)\./, '<region>/<shard>.')
        .replace(/^[a-z-]+\/map\.db/, '<region>/map.db')
        .replace(/-(?:wal|shm|journal)$/, '');
      ok(page.includes(`| \`${path}\` |`), `docs/operations/data.md does not know ${path}`);
    }
  }

  /** What section 6 says comes for free, and what one customer alone cannot show. */
  async function claims(
    url: string,
    first: { readonly id: string; readonly product: string },
  ): Promise<void> {
    const { id, product } = first;
    const ana = await post(`${url}/users/sign-in`, { email: 'ana@example.com', password: 'many-small-fish' });
    const same = { product, stars: 5, text: 'Keeps my tea warm.' };
    const review = (body: object, token: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
      post(`${url}/reviews`, body, { ...headers, authorization: `Bearer ${token}` });

    const elsewhere = { 'idempotency-key': 'mug', 'cardume-region': 'eu-west' };
    const replayed = await review(same, ana.body['token'], elsewhere);
    deepStrictEqual([replayed.status, replayed.headers.get('idempotency-replayed')], [201, 'true']);
    strictEqual(replayed.body['id'], id);
    const other = await review({ ...same, stars: 1 }, ana.body['token'], { 'idempotency-key': 'mug' });
    deepStrictEqual([other.status, (await review(same, ana.body['token'])).status], [422, 409]);

    const refused = await review({ product, stars: 6, note: 'x' }, ana.body['token']);
    const faults = (refused.body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer);
    deepStrictEqual([refused.status, faults.sort()], [400, ['/body/note', '/body/stars', '/body/text']]);

    const read = await ask(`${url}/reviews/${id}`);
    const etag = read.headers.get('etag') as string;
    deepStrictEqual([read.status, etag, read.body['id']], [200, '"1"', id]);
    match(read.headers.get('cardume-token') ?? '', /^reviews\./);
    for (const name of ['ratelimit', 'traceparent', 'x-request-id']) ok(read.headers.has(name), name);
    strictEqual((await ask(`${url}/reviews/${id}`, { 'if-none-match': etag })).status, 304);

    // A customer of another region: lists and averages gather from both.
    const bela = { name: 'Bela', country: 'PT', email: 'bela@example.com', password: 'a-quiet-harbour' };
    const signedUp = await post(`${url}/users`, bela);
    strictEqual((await review({ ...same, stars: 2, text: 'Chipped.' }, signedUp.body['token'])).status, 201);
    const rated = await ask(`${url}/reviews/ratings/${product}`);
    deepStrictEqual(rated.body, { product, reviews: 2, average: 3.5 });
    const page = `${url}/reviews?product=${product}&limit=1`;
    const newest = await ask(page);
    const oldest = await ask(`${page}&after=${newest.body['next']}`);
    const texts = [newest, oldest].map(({ body }) => (body['items'] as { text: string }[])[0]?.text);
    deepStrictEqual([texts, oldest.body['next']], [['Chipped.', same.text], null]);

    const api = await ask(`${url}/openapi.json`);
    ok('/reviews/ratings/{product}' in (api.body['paths'] as object));
    const [region] = Object.values(topology.regions);
    const port = Number(new URL(url).port) - topology.edge.port + (region as { port: number }).port;
    const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
    match(await metrics.text(), /http_requests_total{[^}]*service="reviews"/);
  }

  /** What section 8 says of pen names. @param first Ana's */
  async function uniqueness(url: string, first: { readonly id: string }): Promise<void> {
    const signedIn = async (email: string, password: string) => ({
      authorization: `Bearer ${(await post(`${url}/users/sign-in`, { email, password })).body['token']}`,
    });
    const ana = await signedIn('ana@example.com', 'many-small-fish');
    const bela = await signedIn('bela@example.com', 'a-quiet-harbour');
    const wants = (key: string, who: Record<string, string>): Promise<Answer> =>
      post(`${url}/reviews/pens`, { name: 'DORY' }, { ...who, 'idempotency-key': key });

    for (const _ of ['first', 'again']) strictEqual((await wants('bela-1', bela)).status, 409);
    const giveUp = (who: Record<string, string>) =>
      fetch(`${url}/reviews/pens/${first.id}`, { method: 'DELETE', headers: who });
    deepStrictEqual([(await giveUp(bela)).status, (await giveUp(ana)).status], [404, 204]);
    strictEqual((await wants('bela-1', bela)).status, 409, 'a retry hears the same');
    for (let attempt = 2; (await wants(`bela-${attempt}`, bela)).status !== 201; attempt += 1)
      ok(attempt < 100, 'the name does not become free');
    strictEqual((await wants('ana-2', ana)).status, 409);
  }
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

async function ask(url: string, headers: Record<string, string> = {}, body?: object): Promise<Answer> {
  const response = await fetch(url, {
    headers: { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: JSON.parse(text === '' ? '{}' : text) };
}

const post = (url: string, body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  ask(url, headers, body);
