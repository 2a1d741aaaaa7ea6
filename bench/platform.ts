/** The whole platform in processes of its own, as `npm start` runs it, on a folder and ports that a benchmark owns. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import written from '../cardume.config.ts';
import { moved } from '../cli/src/configuration.ts';
import type { Server } from '../platform/src/testing/servers.ts';
import type { Topology } from '../platform/src/topology/topology.ts';

export interface Platform {
  /** With the ports that it listens on. */
  readonly topology: Topology;
  readonly edge: string;
  urlOf(region: string): string;
  readonly staffToken: string;
  /** Of the supervisor; the regions are its children. */
  readonly processId: number;
  stop(): Promise<void>;
}

export interface PlatformOptions {
  /** With the demonstration's catalogue and customer. */
  readonly demo?: boolean;
  /** A server that shards may move to. */
  readonly server?: Server;
  /** Of the shards at the beginning: `mysql` stands on `server`. */
  readonly engine?: 'sqlite' | 'mysql';
  /** With its coordinator: regions follow each other, on the same processor as what is measured. */
  readonly isCoordinated?: boolean;
}

const house = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const CLI = house('cli/src/cardume.ts');
/** The edge's; those of the regions keep their distance to it. Beside those of `npm start` and of the tests. */
const PORT = 21_080;
const START_MS_MAX = 30_000;

/** Name of the variable with the server's password. */
const PASSWORD = 'CARDUME_BENCH_PASSWORD';

export async function startPlatform({
  demo = false,
  server,
  engine = 'sqlite',
  isCoordinated = false,
}: PlatformOptions = {}): Promise<Platform> {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-bench-'));
  const databases = `cardume_bench_${basename(folder).slice(-6).toLowerCase()}`;
  const config = join(folder, 'topology.mjs');
  const { coordinator, ...apart } = written;
  const topology = {
    ...apart,
    ...(isCoordinated ? { coordinator } : {}),
    ...(server === undefined ? {} : { engines: enginesOn(server, databases, engine) }),
  };
  await writeFile(config, `export default ${JSON.stringify(topology)};`);
  const place = ['--config', config, '--data', folder];
  const how = ['--port', String(PORT), '--json', ...(demo ? [] : ['--no-demo'])];
  const child = spawn(process.execPath, [CLI, 'start', ...how, ...place], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      CARDUME_LOG_LEVEL: 'info',
      ...(server === undefined ? {} : { [PASSWORD]: server.address.password }),
    },
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    await ended;
    await server?.dropAll(databases);
    await rm(folder, { recursive: true, force: true });
  }
  try {
    await new Promise<void>((resolve, reject) => {
      let text = '';
      const late = setTimeout(
        () => reject(new Error(`the platform was not ready in ${START_MS_MAX} ms:\n${text}`)),
        START_MS_MAX,
      );
      child.once('exit', (code) => reject(new Error(`the platform ended with ${code}:\n${text}`)));
      child.stdout.on('data', (chunk: Buffer) => {
        text = `${text}${chunk.toString()}`.slice(-10_000);
        if (!text.includes('all regions are ready')) return;
        clearTimeout(late);
        resolve();
      });
    });
    const there = moved(written, PORT);
    return {
      topology: there,
      edge: `http://${there.edge.host}:${there.edge.port}`,
      urlOf(region) {
        const { host, port } = there.regions[region] as Topology['regions'][string];
        return `http://${host}:${port}`;
      },
      staffToken: await staffToken(place),
      processId: child.pid as number,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function enginesOn({ address }: Server, databases: string, log: 'sqlite' | 'mysql') {
  const { host, port, user } = address;
  const mysql = {
    address: `mysql://${user}@${host}:${port}/${databases}_{region}_{shard}`,
    passwordVariable: PASSWORD,
  };
  return { log, mysql };
}

async function staffToken(place: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [CLI, 'token', '--role', 'staff', ...place], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  return text.trim();
}

/** Sends JSON, expects a 2xx answer of JSON. */
export async function call<T>(method: string, url: string, token: string | null, body?: unknown): Promise<T> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}
