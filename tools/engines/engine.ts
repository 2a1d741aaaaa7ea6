/** What tests and benchmarks need of this machine: servers of the industry beside the house, on loopback, and programs. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One that tests call, and that runs no longer than a call. */
export interface Program {
  readonly name: string;
  /** What several are called together. */
  readonly group?: string;
  /** What it is for, in a line of `--help`. */
  readonly about: string;
  /** Whether its programs are on this machine. */
  installed(): boolean;
  /** @throws Error that says what to do, where this machine does not let us */
  install(): void;
}

export interface Engine extends Program {
  /** Makes its data where there is none, starts it and waits until it answers. */
  start(): Promise<Running>;
  stop(running: Running): Promise<void>;
}

/** What tests need to reach it; kept in a file of this clone that only its user can read. */
export interface Running {
  readonly host: string;
  readonly port: number;
  /** Where it listens without TLS, too. */
  readonly plainPort?: number;
  readonly pid: number;
  readonly user: string;
  readonly password: string;
  /** PEM of the authority that signed its certificate. */
  readonly ca?: string;
}

/** Elsewhere for a test that stops what it started: others do not notice. */
const ENGINES = join(
  process.env['CARDUME_ENGINES_FOLDER'] ?? fileURLToPath(new URL('../../.cardume/engines', import.meta.url)),
  '/',
);

export const folderOf = (name: string): string => join(ENGINES, name);
const recordOf = (name: string): string => join(ENGINES, `${name}.json`);

export function recall(name: string): Running | null {
  try {
    return JSON.parse(readFileSync(recordOf(name), 'utf8')) as Running;
  } catch {
    return null;
  }
}

export function remember(name: string, running: Running): void {
  const path = recordOf(name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(running, null, 2)}\n`, { mode: 0o600 });
}

/** Whether our server runs under the number: after a restart of the machine it may be anybody's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(ENGINES);
  } catch {
    return true; // a system without such files: the number is all that there is
  }
}

/** @returns the first port from `from` on that nobody listens on; each clone of the house has servers of its own */
export async function freePort(from: number): Promise<number> {
  for (let port = from; port < from + 100; port += 1) if (await isFree(port)) return port;
  throw new Error(`no free port from ${from} to ${from + 99} on 127.0.0.1`);
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** @throws Error with the end of the server's own log when it does not answer in time */
export async function untilListening(running: Running, limitMs: number, tail: () => string): Promise<void> {
  const untilMs = performance.now() + limitMs;
  for (;;) {
    const answers = await new Promise<boolean>((resolve) => {
      const socket = connect(running.port, running.host, () => {
        socket.destroy();
        resolve(true);
      }).once('error', () => resolve(false));
    });
    if (answers) return;
    if (!isAlive(running.pid) || performance.now() > untilMs)
      throw new Error(`it does not listen on ${running.host}:${running.port}\n${tail()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Asks it to end, and waits. */
export async function end(pid: number, limitMs: number): Promise<void> {
  if (!isAlive(pid)) return;
  process.kill(pid, 'SIGTERM');
  const untilMs = performance.now() + limitMs;
  while (isAlive(pid)) {
    if (performance.now() > untilMs) {
      process.kill(pid, 'SIGKILL');
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
