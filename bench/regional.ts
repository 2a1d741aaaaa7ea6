/**
 * Three regions that follow each other, as the drills start them: a process each, on a folder and ports of their own, and
 * lines between them that can be slow. Customers and products of every region are there. The lines run through a process of
 * their own as well: whoever measures has enough to do, and would slow them.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import written from '../cardume.config.ts';
import { type Answered, type Api, type Call, openApi } from '../cli/src/api.ts';
import { openClients } from '../cli/src/drills/clients.ts';
import { type Grounds, startGrounds } from '../cli/src/drills/grounds.ts';
import { openKeys } from '../cli/src/drills/keys.ts';
import { freePorts } from '../cli/src/drills/ports.ts';
import { type Stage, setStage } from '../cli/src/drills/stage.ts';
import { type Durability, drillTopology, portsOf } from '../cli/src/drills/topologies.ts';
import type { Shell } from '../cli/src/shell.ts';
import { issueToken } from '../cli/src/token.ts';
import { realHost } from '../platform/src/host/real.ts';

export interface Regional {
  readonly regions: readonly string[];
  readonly stage: Stage;
  /** Asks a region at its own port, as staff unless headers say otherwise. @throws what is no 2xx answer */
  ask(region: string, call: Call): Promise<Answered>;
  /** Every line between regions, and to the coordinator, takes half of it longer each way. */
  setRoundTrip(ms: number): void;
  stop(): Promise<void>;
}

/** What the process says when all is ready; it is told round trips, and ends when nobody is there any more. */
interface Ready {
  /** Region → the address of its API. */
  readonly urls: Readonly<Record<string, string>>;
  readonly token: string;
  readonly stage: Stage;
}

const SOCKETS_MAX = 256;
const SILENCE_MS = 30_000;
const SELF = fileURLToPath(import.meta.url);

/** @param durability of all services */
export async function startRegional(durability: Durability): Promise<Regional> {
  const child = fork(SELF, [durability], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const ended = once(child, 'exit');
  const { urls, token, stage } = await Promise.race([
    once(child, 'message').then(([ready]) => ready as Ready),
    ended.then(([code]) => Promise.reject(new Error(`the regions ended with ${code}`))),
  ]);
  const apis = new Map(
    Object.entries(urls).map(([region, url]) => [region, openApi(url, token, SOCKETS_MAX, SILENCE_MS)]),
  );
  return {
    regions: [...apis.keys()],
    stage,
    async ask(region, call) {
      const answered = await (apis.get(region) as Api).send(call);
      if (answered.status >= 300)
        throw new Error(
          `${call.method} ${call.path} at ${region}: ${answered.status} ${JSON.stringify(answered.body)}`,
        );
      return answered;
    },
    setRoundTrip: (ms) => void child.send(ms),
    async stop() {
      for (const api of apis.values()) api.close();
      child.disconnect();
      await ended;
    },
  };
}

const host = realHost();
const shell: Shell = {
  host,
  folder: process.cwd(),
  colour: false,
  print: () => {},
  complain: () => {},
  onSignal: () => {},
  exit: (code) => process.exit(code),
  supervision: null,
};

async function serve(durability: Durability): Promise<void> {
  const gone = once(process, 'disconnect');
  const folder = await mkdtemp(join(tmpdir(), 'cardume-bench-'));
  let grounds: Grounds | null = null;
  try {
    const topology = drillTopology(written, {
      ...{ name: 'bench', durability },
      ports: await freePorts(host, portsOf(written)),
    });
    grounds = await startGrounds({
      ...{ shell, topology, folder, withLines: true, delayMs: 0 },
      cacheFolder: join(folder, 'compile-cache'),
      onTold({ process: of, level, message, fields }) {
        if (level === 'error') process.stderr.write(`${of}: ${message} ${JSON.stringify(fields)}\n`);
      },
    });
    const { secrets, url, lines } = grounds;
    const { token } = issueToken(host, topology, secrets, { id: 'operator', role: 'staff' });
    const edge = openApi(url, token, SOCKETS_MAX, SILENCE_MS);
    const clients = openClients(host, edge, () => host.clock.monotonicMs());
    const keys = openKeys(host, topology, secrets.clusterSecret);
    const stage = await setStage(shell, grounds, clients, keys);
    edge.close();
    process.on('message', (ms: number) => {
      for (const { line } of lines) line.setDelay(ms / 2);
    });
    const urls = Object.fromEntries(
      Object.entries(topology.regions).map(([region, of]) => [region, `http://${of.host}:${of.port}`]),
    );
    process.send?.({ urls, token, stage } satisfies Ready);
    await gone;
  } finally {
    await grounds?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) await serve(process.argv[2] as Durability);
