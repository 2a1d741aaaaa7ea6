/**
 * What the gateway costs: GET /products/{id} through all of it (trace, rate limit, validation, ETag, metrics) beside a
 * bare Fastify route that returns the same bytes. Both servers run in a process of their own and take turns; the ratio
 * is the median of the rounds' ratios. The processor time of a request is told beside it, since it does not depend on
 * what else the machine does.
 *
 *   node tools/launch.mjs bench/gateway.ts
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import Fastify from 'fastify';
import { openSample, PRODUCT_JSON } from '../platform/src/gateway/gateway.fixture.ts';
import { load, median } from './load.ts';

const ROUNDS = 7;
const ROUND_S = 2;
const CONNECTIONS = 64;
const PIPELINING = 4;

export interface GatewayResult {
  /** Requests a second, median. */
  readonly ours: number;
  readonly reference: number;
  /** Median over the rounds of ours / reference; 1 would be free. */
  readonly ratio: number;
  /** Processor time of the server for one request, microseconds, median. */
  readonly ourCpuUs: number;
  readonly referenceCpuUs: number;
}

interface Round {
  readonly rate: number;
  readonly cpuUs: number;
}

export async function run(rounds = ROUNDS, roundS = ROUND_S): Promise<GatewayResult> {
  const servers = await Promise.all([startServer('bare'), startServer('gateway')]);
  const [bare, gateway] = servers;
  try {
    for (const server of servers) await measure(server, 1);
    const pairs: { readonly reference: Round; readonly ours: Round }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      pairs.push({ reference: await measure(bare, roundS), ours: await measure(gateway, roundS) });
    }
    return {
      ours: median(pairs.map(({ ours }) => ours.rate)),
      reference: median(pairs.map(({ reference }) => reference.rate)),
      ratio: median(pairs.map(({ ours, reference }) => ours.rate / reference.rate)),
      ourCpuUs: median(pairs.map(({ ours }) => ours.cpuUs)),
      referenceCpuUs: median(pairs.map(({ reference }) => reference.cpuUs)),
    };
  } finally {
    for (const { child } of servers) child.kill();
  }
}

interface Server {
  readonly child: ChildProcess;
  readonly url: string;
}

async function measure({ child, url }: Server, roundS: number): Promise<Round> {
  const beforeUs = await cpuUs(child);
  const rate = await load({ url, duration: roundS, connections: CONNECTIONS, pipelining: PIPELINING });
  return { rate, cpuUs: ((await cpuUs(child)) - beforeUs) / (rate * roundS) };
}

/** Processor time that the server has used so far, microseconds. */
async function cpuUs(child: ChildProcess): Promise<number> {
  child.send('cpu');
  const [us] = (await once(child, 'message')) as [number];
  return us;
}

async function startServer(kind: 'bare' | 'gateway'): Promise<Server> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), kind], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the ${kind} server ended with ${code}`);
  });
  ended.catch(() => {}); // when the bench is over it ends by our signal
  const [url] = (await Promise.race([once(child, 'message'), ended])) as [string];
  return { child, url };
}

async function serve(kind: 'bare' | 'gateway'): Promise<void> {
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.send?.(`${kind === 'gateway' ? (await openSample()).url : await openBare()}/products/1`);
}

async function openBare(): Promise<string> {
  const app = Fastify();
  app.get('/products/:id', async (_request, reply) => {
    reply.header('content-type', 'application/json');
    return PRODUCT_JSON;
  });
  return app.listen({ host: '127.0.0.1', port: 0 });
}

const isMain = process.argv[1] === fileURLToPath(import.meta.url);
const kind = process.argv[2];
if (isMain && (kind === 'bare' || kind === 'gateway')) await serve(kind);
else if (isMain) {
  const { ours, reference, ratio, ourCpuUs, referenceCpuUs } = await run();
  const rate = (value: number): string => Math.round(value).toLocaleString('en');
  process.stdout.write(
    `bare Fastify ${rate(reference)} requests/s (${referenceCpuUs.toFixed(1)} us of CPU each), ` +
      `gateway ${rate(ours)} (${ourCpuUs.toFixed(1)} us), ratio ${ratio.toFixed(2)}\n`,
  );
}
