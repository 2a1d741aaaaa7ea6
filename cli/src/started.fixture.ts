/** Cardume as a process of its own, as its users start it: for tests. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

/** Root of this version's tree. */
export const house = fileURLToPath(new URL('../../', import.meta.url));

export interface Started {
  readonly process: ChildProcess;
  /** Both streams, as they came. */
  text(): string;
  readonly ended: Promise<{ readonly code: number | null; readonly tookMs: number }>;
}

const running = new Set<ChildProcess>();

export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** `cardume` with these arguments. @param root of the version */
export function startCardume(args: readonly string[], root = house): Started {
  const child = spawn(process.execPath, [`${root}/cli/src/cardume.ts`, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (text += chunk));
  const startMs = performance.now();
  const ended = new Promise<{ code: number | null; tookMs: number }>((resolve) => {
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, tookMs: performance.now() - startMs });
    });
  });
  return { process: child, text: () => text, ended };
}

/** `cardume` with these arguments, until it has ended. @returns what it printed */
export function cardume(args: readonly string[], root = house): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [`${root}/cli/src/cardume.ts`, ...args], { cwd: root }, (error, out, err) =>
      error === null ? resolve(out) : reject(new Error(`${out}${err}`, { cause: error })),
    );
  });
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  what: () => string,
  timeoutMs = 30_000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, `not within ${timeoutMs} ms; ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function ready(started: Started): Promise<void> {
  let ended = false;
  void started.ended.then(() => {
    ended = true;
  });
  await until(() => ended || started.text().includes('Ctrl-C stops everything'), started.text);
  assert.ok(!ended, started.text());
}

/**
 * A port whose followers, those of coordinator and links (1,000 to 1,003 behind it) and that of DNS (27 before it) are free
 * too, and none that the system gives to connections that leave.
 */
export async function freeBlock(): Promise<number> {
  for (let port = 12_000 + (process.pid % 18_000); ; port += 10) {
    const wanted = [-27, 0, 1, 2, 3, 1_000, 1_001, 1_002, 1_003].map((by) => port + by);
    if ((await Promise.all(wanted.map(isFree))).every(Boolean)) return port;
  }
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export function shell(script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('sh', ['-c', script], (error, out, err) =>
      error === null ? resolve(out) : reject(new Error(err, { cause: error })),
    );
  });
}

/** The commands that a start prints to try. */
export const commandsIn = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^(?:TOKEN=\$\()?curl /.test(line));
