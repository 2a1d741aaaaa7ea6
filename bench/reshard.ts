/**
 * Resharding in front of your eyes: three regions as `npm start` runs them, orders that arrive at a steady rate, and
 * the orders of one region that move from four shards to eight and, where MariaDB runs, from files to the server. It
 * prints how long callers were held, what failed, what was verified, and latency before, during and after.
 *
 *   npm run demo:reshard
 *   npm run demo:reshard -- --rate 200 --json
 */
import { parseArgs } from 'node:util';
import { realHost } from '../platform/src/host/real.ts';
import { serverNamed } from '../platform/src/testing/servers.ts';
import { call, type Platform, startPlatform } from './platform.ts';
import { type Latency, latencyOf, steadyLoad } from './steady-load.ts';

const REGION = 'us-east';
const CUSTOMERS = 64;
const PRODUCTS = 20;
const ORDERS_BEFORE = 4_000;
const QUIET_MS = 8_000;
const LOOK_EVERY_MS = 200;

interface Stage {
  readonly name: string;
  readonly partitions: number;
  readonly verified: { readonly entries: number; readonly rows: number };
  readonly tookMs: number;
  readonly longestPauseMs: number;
  readonly errors: number;
  readonly latency: { readonly before: Latency; readonly during: Latency; readonly after: Latency };
}

interface Status {
  readonly reshard: {
    readonly phase: string;
    readonly trouble: string | null;
    readonly moves: readonly {
      readonly held_ms: number | null;
      readonly verified: { readonly entries: number; readonly rows: number } | null;
    }[];
  } | null;
}

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '100' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(`Moves partitions between shards while orders come in.

  npm run demo:reshard                    100 orders a second
  npm run demo:reshard -- --rate 200
  npm run demo:reshard -- --json          for scripts
`);
  process.exit(0);
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function demonstrate(platform: Platform, hasServer: boolean): Promise<Stage[]> {
  const url = platform.urlOf(REGION);
  const operators = `${url}/operators/regions/${REGION}`;
  const ask = (path: string, body?: unknown): Promise<Status> =>
    call(body === undefined ? 'GET' : 'POST', `${operators}/${path}`, platform.staffToken, body);

  async function until(holds: (status: Status) => boolean): Promise<Status> {
    for (;;) {
      const status = await ask('shards');
      if (status.reshard?.trouble) throw new Error(status.reshard.trouble);
      if (holds(status)) return status;
      await sleep(LOOK_EVERY_MS);
    }
  }
  async function finish(): Promise<void> {
    await ask('reshard/finish', {});
    await until(({ reshard }) => reshard === null);
  }

  say(`makes ${PRODUCTS} products and ${CUSTOMERS} customers, and places ${ORDERS_BEFORE} orders`);
  const orders = await ordersOf(platform, url);
  await ask('reshard', { service: 'orders', to: 4 });
  await until(({ reshard }) => reshard?.phase === 'following');
  await finish();
  await orders.placeMany(ORDERS_BEFORE);

  const stages: Stage[] = [];
  const load = steadyLoad(Number(values.rate), orders.place);
  await load.over(QUIET_MS); // warms up
  const wishes = [
    { name: 'four shards to eight', wish: { service: 'orders', to: 8 } },
    { name: 'eight files to four databases of MariaDB', wish: { service: 'orders', to: 4, engine: 'mysql' } },
  ];
  for (const { name, wish } of hasServer ? wishes : wishes.slice(0, 1)) {
    say(`${name}: before`);
    const before = await load.over(QUIET_MS);
    say(`${name}: moves`);
    const begun = performance.now();
    load.mark();
    await ask('reshard', wish);
    const { reshard } = await until((status) => status.reshard?.phase === 'following');
    const during = load.sinceMark();
    const tookMs = Math.round(performance.now() - begun);
    const moves = reshard?.moves ?? [];
    await finish();
    say(`${name}: after`);
    const after = await load.over(QUIET_MS);
    stages.push({
      name,
      partitions: moves.length,
      verified: {
        entries: moves.reduce((sum, { verified }) => sum + (verified?.entries ?? 0), 0),
        rows: moves.reduce((sum, { verified }) => sum + (verified?.rows ?? 0), 0),
      },
      tookMs,
      longestPauseMs: Math.max(...moves.map(({ held_ms: ms }) => ms ?? Number.POSITIVE_INFINITY)),
      errors: before.errors + during.errors + after.errors,
      latency: { before: latencyOf(before), during: latencyOf(during), after: latencyOf(after) },
    });
  }
  await load.stop();
  await orders.checkAll();
  return stages;
}

async function ordersOf({ staffToken }: Platform, url: string) {
  const products: string[] = [];
  for (let i = 0; i < PRODUCTS; i += 1) {
    const price = { amount: '2.55', currency: 'GBP' };
    const body = { sku: `RESHARD-${i}`, name: `Product ${i}`, category: 'reshard', price };
    const { id } = await call<{ id: string }>('POST', `${url}/products`, staffToken, body);
    await call('POST', `${url}/products/${id}/stock`, staffToken, { region: REGION, quantity: 10_000_000 });
    products.push(id);
  }
  const tokens: string[] = [];
  for (let i = 0; i < CUSTOMERS; i += 1) {
    const person = {
      email: `reshard-${i}@example.com`,
      password: 'a-very-long-password',
      name: 'Rita',
      country: 'US',
    };
    tokens.push((await call<{ token: string }>('POST', `${url}/users`, null, person)).token);
  }
  let count = 0;
  let placed = 0;

  async function place(): Promise<void> {
    count += 1;
    const body = {
      lines: [{ product: products[count % PRODUCTS], quantity: 1 }],
      payment: { method: 'card', token: 'tok_approve' },
    };
    await call('POST', `${url}/orders`, tokens[count % CUSTOMERS] as string, body);
    placed += 1;
  }
  return {
    place,
    async placeMany(orders: number): Promise<void> {
      const lane = async (): Promise<void> => {
        while (count < orders) await place();
      };
      await Promise.all(Array.from({ length: 32 }, lane));
    },
    /** Every order that was acknowledged is confirmed, once. */
    async checkAll(): Promise<void> {
      const report = `${url}/orders/reports/revenue?by=country`;
      for (let tries = 0; ; tries += 1) {
        const { rows } = await call<{ rows: { orders: number }[] }>('GET', report, staffToken);
        const confirmed = rows.reduce((sum, row) => sum + row.orders, 0);
        if (confirmed === placed) return;
        if (tries === 100 || confirmed > placed)
          throw new Error(`${placed} were placed, ${confirmed} confirmed`);
        await sleep(100);
      }
    },
  };
}

function text(stages: readonly Stage[]): string {
  const ms = ({ p50Ms, p99Ms }: Latency): string => `${p50Ms.toFixed(1)} / ${p99Ms.toFixed(1)}`;
  return stages
    .map(
      ({ name, partitions, verified, tookMs, longestPauseMs, errors, latency: { before, during, after } }) =>
        [
          name,
          `  partitions moved and verified   ${partitions}, with ${verified.entries.toLocaleString('en')} entries and ${verified.rows.toLocaleString('en')} rows, in ${(tookMs / 1_000).toFixed(1)} s`,
          `  longest pause of a partition    ${longestPauseMs} ms`,
          `  errors seen by clients          ${errors} of ${before.count + during.count + after.count}`,
          `  p50 / p99 before, ms            ${ms(before)}`,
          `  p50 / p99 while they moved, ms  ${ms(during)}   (p99 ${(during.p99Ms / before.p99Ms).toFixed(2)} times)`,
          `  p50 / p99 after, ms             ${ms(after)}`,
        ].join('\n'),
    )
    .join('\n\n');
}

const found = await serverNamed(realHost(), 'mariadb');
if (found.skip !== false) say(`${found.skip}: npm run engines -- start mariadb`);
const platform = await startPlatform({ ...(found.skip === false ? { server: found.server } : {}) });
try {
  const stages = await demonstrate(platform, found.skip === false);
  process.stdout.write(`${values.json ? JSON.stringify(stages) : text(stages)}\n`);
} finally {
  await platform.stop();
  if (found.skip === false) await found.server.admin.close();
}
