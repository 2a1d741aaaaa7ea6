/** The whole platform in processes of its own, as `npm start` runs it, on a folder and ports that a benchmark owns. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Platform {
  readonly edge: string;
  /** URL by region. */
  readonly regions: Readonly<Record<string, string>>;
  readonly staffToken: string;
  /** Sends JSON, expects a 2xx answer. */
  call<T>(method: string, url: string, token: string | null, body?: unknown): Promise<T>;
  stop(): Promise<void>;
}

const CLI = fileURLToPath(new URL('../cli/src/cardume.ts', import.meta.url));
const START_MS_MAX = 30_000;

export async function startPlatform(port: number): Promise<Platform> {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-bench-'));
  const options = ['--port', String(port), '--data', folder];
  const child = spawn(process.execPath, [CLI, 'start', ...options, '--no-demo', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CARDUME_LOG_LEVEL: 'info' },
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let text = '';
    const late = setTimeout(() => reject(new Error(`the platform was not ready in ${START_MS_MAX} ms`)), START_MS_MAX);
    child.once('exit', (code) => reject(new Error(`the platform ended with ${code}:\n${text}`)));
    child.stdout.on('data', (chunk: Buffer) => {
      text = `${text}${chunk.toString()}`.slice(-10_000);
      if (!text.includes('all regions are ready')) return;
      clearTimeout(late);
      resolve();
    });
  });
  const staffToken = await token(folder);
  const base = `http://127.0.0.1:`;
  return {
    edge: `${base}${port}`,
    regions: { 'us-east': `${base}${port + 1}`, 'us-west': `${base}${port + 2}`, 'eu-west': `${base}${port + 3}` },
    staffToken,
    async call<T>(method: string, url: string, bearer: string | null, body?: unknown): Promise<T> {
      const response = await fetch(url, {
        method,
        headers: { ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
      return JSON.parse(text) as T;
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function token(folder: string): Promise<string> {
  const child = spawn(process.execPath, [CLI, 'token', '--role', 'staff', '--data', folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  return text.trim();
}
