/** The supervisor over real processes: small stubs in the place of regions, with the real channel. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import type { Topology } from 'cardume/topology';
import { freePorts } from '../drills/ports.ts';
import { Failure } from '../failure.ts';
import type { Shell, StopSignal } from '../shell.ts';
import { supervise } from './supervisor.ts';

const folder = await mkdtemp(join(tmpdir(), 'cardume-supervisor-'));
after(() => rm(folder, { recursive: true }));

const module = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

/** A region in a few lines: `stub.ts REGION PORT BEHAVIOUR`. */
const stub = join(folder, 'stub.ts');
await writeFile(
  stub,
  `import { createServer } from 'node:http';
import { supervision } from ${module('./child.ts')};
const [name, port, behaviour] = process.argv.slice(2);
const up = supervision(process)!;
up.onLost(() => process.exit(0));
process.on('SIGINT', () => {});
if (behaviour === 'lasting') up.report({ kind: 'failed', sentence: 'x.log: the file is damaged.', lasting: true });
if (behaviour === 'lasting') setTimeout(() => process.exit(1), 50);
else if (behaviour === 'broken') process.exit(7);
else {
  const server = createServer((_, response) => response.end(JSON.stringify({ name, pid: process.pid })));
  server.listen(Number(port), '127.0.0.1', () => {
    console.log(JSON.stringify({ level: 'info', time: Date.now(), region: name, message: 'stub runs', pid: process.pid }));
    console.error('a word on standard error');
    up.report({ kind: 'ready', url: 'http://127.0.0.1:' + port });
  });
  up.onOrder(() => { if (behaviour !== 'stubborn') process.exit(0); });
}
`,
);

async function topologyOf(names: readonly string[]): Promise<Topology> {
  const [edge, ...ports] = await freePorts(realHost(), names.length + 1);
  return {
    edge: { host: '127.0.0.1', port: edge },
    regions: Object.fromEntries(
      names.map((name, i) => [
        name,
        { code: i + 1, host: '127.0.0.1', port: ports[i], peerPort: 1, countries: ['*'] },
      ]),
    ),
    bounds: { bodyBytesMax: 1_000, requestTimeoutMs: 1_000, drainTimeoutMs: 300 },
  } as unknown as Topology;
}

interface Run {
  readonly lines: string[];
  readonly edgeUrl: string;
  readonly ended: Promise<number>;
  readonly exits: number[];
  signal(name: StopSignal): void;
  ready: Promise<void>;
}

async function run(t: TestContext, behaviours: Readonly<Record<string, string>>): Promise<Run> {
  const names = Object.keys(behaviours);
  const topology = await topologyOf(names);
  const lines: string[] = [];
  const exits: number[] = [];
  const listeners: ((signal: StopSignal) => void)[] = [];
  const shell: Shell = {
    host: realHost(),
    folder,
    colour: false,
    print: (text) => void lines.push(text),
    complain: (text) => void lines.push(text),
    onSignal: (listener) => void listeners.push(listener),
    exit: ((code: number) => exits.push(code)) as unknown as Shell['exit'],
    supervision: null,
  };
  const ready = Promise.withResolvers<void>();
  const ended = supervise({
    shell,
    topology,
    regions: names,
    json: false,
    environment: {},
    coordinator: null,
    command: (name) => [stub, name, String(topology.regions[name]?.port), behaviours[name] as string],
    onReady: async () => ready.resolve(),
  });
  ended.catch(() => {});
  const signal = (name: StopSignal): void => {
    for (const listener of listeners) listener(name);
  };
  t.after(async () => {
    signal('SIGTERM');
    await ended.catch(() => {});
  });
  return {
    lines,
    edgeUrl: `http://127.0.0.1:${topology.edge.port}`,
    ended,
    exits,
    signal,
    ready: ready.promise,
  };
}

async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 8_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, `not within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch {
    return false;
  }
}

const pidOf = async (url: string, region: string): Promise<number> => {
  const response = await fetch(url, { headers: { 'Cardume-Region': region } });
  return ((await response.json()) as { pid: number }).pid;
};

test('starts every region, serves them through the edge, shows their lines, and stops cleanly', async (t) => {
  const { lines, edgeUrl, ended, signal, ready } = await run(t, { a: 'good', b: 'good' });
  await ready;
  const pids = [await pidOf(edgeUrl, 'a'), await pidOf(edgeUrl, 'b')];
  assert.notEqual(pids[0], pids[1]);
  await until(() => lines.filter((line) => line.includes('a word on standard error')).length === 2);
  assert.ok(
    lines.some((line) => /^\d\d:\d\d:\d\d\.\d{3} {2}b {8}stub runs {2}pid=\d+$/.test(line)),
    lines.join('\n'),
  );
  signal('SIGINT');
  assert.equal(await ended, 0);
  assert.ok(pids.every((pid) => !isAlive(pid)));
  await assert.rejects(fetch(edgeUrl));
});

test('a region that dies is started again, and said so', async (t) => {
  const { lines, edgeUrl, ready } = await run(t, { a: 'good', b: 'good' });
  await ready;
  const before = await pidOf(edgeUrl, 'a');
  process.kill(before, 'SIGKILL');
  await until(() =>
    lines.some((line) => / a .*warn .*is down: its process ended \(signal SIGKILL\)/.test(line)),
  );
  assert.notEqual(
    await pidOf(edgeUrl, 'a'),
    before,
    'the edge answers meanwhile, by the other region or the new process',
  );
  await until(() => lines.some((line) => line.includes('is ready again')));
  await until(async () =>
    (await (await fetch(edgeUrl, { headers: { 'Cardume-Region': 'a' } })).text()).includes('"a"'),
  );
});

test('a region that says that another try is of no use ends the start with its sentence, without a loop', async (t) => {
  const { lines, ended } = await run(t, { a: 'good', b: 'lasting' });
  await assert.rejects(
    ended,
    (error) =>
      error instanceof Failure && error.message === 'Region b cannot start: x.log: the file is damaged.',
  );
  assert.ok(!lines.some((line) => line.includes('starting it again')), lines.join('\n'));
});

test('a region that never gets ready is given up after five starts', async (t) => {
  const { lines, ended } = await run(t, { a: 'broken' });
  await assert.rejects(
    ended,
    /Region a did not get ready in 5 starts; at last its process ended \(exit code 7\)/,
  );
  assert.equal(lines.filter((line) => line.includes('starting it again')).length, 4);
});

test('a region that does not stop is killed, all within 5 s; a second Ctrl-C kills at once', async (t) => {
  const { edgeUrl, ended, ready, signal, exits } = await run(t, { a: 'stubborn' });
  await ready;
  const pid = await pidOf(edgeUrl, 'a');
  const startMs = performance.now();
  signal('SIGINT');
  signal('SIGINT'); // the echo of the first
  assert.deepEqual(exits, []);
  assert.equal(await ended, 0);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs > 4_000 && tookMs < 10_000, `${tookMs} ms; 5 s and what a busy machine adds`);
  assert.ok(!isAlive(pid));

  const other = await run(t, { a: 'stubborn' });
  await other.ready;
  other.signal('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 600)); // later than an echo
  const againMs = performance.now();
  other.signal('SIGINT');
  assert.deepEqual(other.exits, [130]);
  await other.ended;
  assert.ok(performance.now() - againMs < 3_000, 'well before the first order would have ended it');
});

test('a supervisor that is killed leaves no orphan', async () => {
  const names = ['a', 'b', 'c'];
  const topology = await topologyOf(names);
  const parent = join(folder, 'parent.ts');
  await writeFile(
    parent,
    `import { supervise } from ${module('./supervisor.ts')};
import { realHost } from ${JSON.stringify(import.meta.resolve('cardume/host/real'))};
const topology = ${JSON.stringify(topology)};
await supervise({
  shell: { host: realHost(), folder: '', colour: false, print() {}, complain() {}, onSignal() {}, exit: process.exit, supervision: null },
  topology, regions: Object.keys(topology.regions), json: false, environment: {}, coordinator: null,
  command: (name) => [${JSON.stringify(stub)}, name, String(topology.regions[name].port), 'stubborn'],
  onReady: async () => console.log('ready'),
});
`,
  );
  const supervisor: ChildProcess = spawn(process.execPath, [parent], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve) => supervisor.stdout?.once('data', () => resolve()));
  const pids = await Promise.all(names.map((name) => pidOf(`http://127.0.0.1:${topology.edge.port}`, name)));
  assert.ok(pids.every(isAlive));
  supervisor.kill('SIGKILL');
  await until(() => !pids.some(isAlive));
});
