/**
 * What the gateway costs: GET /products/{id} through all of it (trace, rate limit, validation, ETag, metrics) beside a
 * bare Fastify route that returns the same bytes. Both servers run in a process of their own, take turns for a few
 * rounds, and the medians are compared.
 *
 *   node bench/gateway.ts
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
// @ts-expect-error: the package has no types
import autocannon from 'autocannon';
import Fastify from 'fastify';
import { openSample, PRODUCT_JSON } from '../platform/src/gateway/gateway.fixture.ts';

const ROUNDS = 5;
const ROUND_S = 3;
const CONNECTIONS = 64;
const PIPELINING = 4;

export interface GatewayResult {
  readonly bareRequestsPerS: number;
  readonly gatewayRequestsPerS: number;
  /** Gateway over bare; 1 would be free. */
  readonly ratio: number;
}

export async function run(rounds = ROUNDS, roundS = ROUND_S): Promise<GatewayResult> {
  const bare = await startServer('bare');
  const gateway = await startServer('gateway');
  try {
    await load(bare.url, 1);
    await load(gateway.url, 1);
    const bareRates: number[] = [];
    const gatewayRates: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      bareRates.push(await load(bare.url, roundS));
      gatewayRates.push(await load(gateway.url, roundS));
    }
    const [bareRequestsPerS, gatewayRequestsPerS] = [median(bareRates), median(gatewayRates)];
    return { bareRequestsPerS, gatewayRequestsPerS, ratio: gatewayRequestsPerS / bareRequestsPerS };
  } finally {
    bare.stop();
    gateway.stop();
  }
}

/** The part of autocannon's result that is read. */
interface Load {
  readonly non2xx: number;
  readonly errors: number;
  readonly requests: { readonly average: number };
}

async function load(url: string, durationS: number): Promise<number> {
  const options = { url, duration: durationS, connections: CONNECTIONS, pipelining: PIPELINING };
  const result = (await autocannon(options)) as Load;
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${result.non2xx} faulty answers, ${result.errors} errors`);
  return result.requests.average;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

async function startServer(kind: 'bare' | 'gateway'): Promise<{ readonly url: string; stop(): void }> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), kind], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(line.toString().trim()));
    child.once('exit', (code) => reject(new Error(`the ${kind} server ended with ${code}`)));
  });
  return { url, stop: () => void child.kill() };
}

async function serve(kind: string): Promise<void> {
  if (kind === 'gateway') {
    const { url } = await openSample();
    return void process.stdout.write(`${url}/products/1\n`);
  }
  const app = Fastify();
  app.get('/products/:id', async (_request, reply) => {
    reply.header('content-type', 'application/json');
    return PRODUCT_JSON;
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as { port: number };
  process.stdout.write(`http://127.0.0.1:${port}/products/1\n`);
}

const isMain = process.argv[1] === fileURLToPath(import.meta.url);
const kind = process.argv[2];
if (isMain && (kind === 'bare' || kind === 'gateway')) await serve(kind);
else if (isMain) {
  const { bareRequestsPerS, gatewayRequestsPerS, ratio } = await run();
  const rate = (value: number): string => Math.round(value).toLocaleString('en');
  process.stdout.write(
    `bare Fastify ${rate(bareRequestsPerS)} requests/s, gateway ${rate(gatewayRequestsPerS)} requests/s, ` +
      `ratio ${ratio.toFixed(2)}\n`,
  );
}
