/**
 * The same clients and the same checks over real processes: three regions on this machine, real disks, real sockets,
 * and `kill -9` again and again. It keeps the simulation honest: what holds there must hold here.
 */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { realHost } from 'cardume/host/real';
import { openTokens } from 'cardume/identity/tokens';
import { randomStream } from 'cardume/testing/simulated/stream';
import type { RegionTopology, Topology } from 'cardume/topology';
import house from '../../cardume.config.ts';
import { moved } from '../../cli/src/configuration.ts';
import { openSecrets } from '../../cli/src/secrets.ts';
import { freeBlock } from '../../cli/src/started.fixture.ts';
import { checkLines } from './checks/alarms.ts';
import { checkDisks } from './checks/disks.ts';
import { checkHistory } from './checks/history.ts';
import { Customer } from './clients/customer.ts';
import { Staff } from './clients/staff.ts';
import { Coverage } from './coverage.ts';
import { allEnded } from './ending.ts';
import { newHistory } from './history.ts';
import { headersOf, type Reply, type Transport } from './transport.ts';

const SEED = Number(process.env['CARDUME_SIM_SEED'] ?? 1);
const KILLED_EVERY_MS = 1_500;
const KILLS_MIN = 6;
const ORDERS_MIN = 50;
const HANDS = 3;
const ENTRY = fileURLToPath(new URL('../../cli/src/cardume.ts', import.meta.url));
const HOUSE = new URL('../../cardume.config.ts', import.meta.url).href;

const host = realHost();
const data = await mkdtemp(join(tmpdir(), 'cardume-sim-'));
const children = new Map<string, ChildProcess>();
/** The house's topology, whose homes never move: a kill is no loss here. */
const config = join(data, 'config.ts');
await writeFile(
  config,
  `import house from ${JSON.stringify(HOUSE)};
  const { coordinator, ...alone } = house;
  export default alone;`,
);
/** What operators are told. */
const lines: string[] = [];
after(async () => {
  for (const child of children.values()) child.kill('SIGKILL');
  await rm(data, { recursive: true, force: true });
});

function boot(region: string, port: number): void {
  const place = ['--config', config, '--data', data, '--port', String(port)];
  const child = spawn(process.execPath, [ENTRY, 'instance', '--region', region, ...place], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CARDUME_LOG_LEVEL: 'error' },
  });
  child.stdout?.setEncoding('utf8').on('data', (text: string) => lines.push(...text.split('\n')));
  children.set(region, child);
}

async function ended(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null) return; // it had ended by itself
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}

function transportTo(topology: Topology): Transport {
  const agent = new Agent({ keepAlive: true });
  return {
    ask(region, asked, timeoutMs) {
      const { host: hostname, port } = topology.regions[region] as RegionTopology;
      const { method, path, body } = asked;
      return new Promise((resolve) => {
        const outgoing = request({
          hostname,
          port,
          method,
          path,
          agent,
          headers: headersOf(asked),
          timeout: timeoutMs,
        });
        const late = setTimeout(() => outgoing.destroy(new Error('late')), timeoutMs);
        const end = (reply: Reply | null): void => {
          clearTimeout(late);
          resolve(reply);
        };
        outgoing.once('error', () => end(null));
        outgoing.once('response', (incoming) => {
          let text = '';
          incoming.setEncoding('utf8');
          incoming.on('data', (chunk) => (text += chunk));
          incoming.once('error', () => end(null));
          incoming.once('end', () => {
            const { statusCode: status = 0, headers } = incoming;
            const isJson = /json/.test(headers['content-type'] ?? '') && text !== '';
            end({ status, headers: headers as Reply['headers'], body: isJson ? JSON.parse(text) : text });
          });
        });
        outgoing.end(body === undefined ? undefined : JSON.stringify(body));
      });
    },
  };
}

test('three real regions, killed again and again under load, pass every check of the simulation', {
  timeout: 175_000,
}, async () => {
  const port = await freeBlock();
  const { coordinator: _, ...alone } = house;
  const topology = moved(alone, port);
  const regions = Object.keys(topology.regions);
  const secrets = await openSecrets(host, data);
  const wrongs: string[] = [];
  const wrong = (what: string): void => void wrongs.push(what);
  const history = newHistory();
  const coverage = new Coverage();
  const chance = randomStream(SEED, 'kills');
  const startMs = host.clock.monotonicMs();
  const transport = transportTo(topology);
  const tokens = openTokens(host, { key: secrets.tokenKey, issuer: topology.name, tokensCachedMax: 1 });
  let isOver = false;
  const ground = {
    clock: host.clock,
    elapsedMs: () => host.clock.monotonicMs() - startMs,
    regions,
    history,
    coverage,
    staffToken: tokens.issue({ id: 'operator', role: 'staff' }).token,
    thinkMs: 20,
    isRush: false,
    mayLoseOrders: false,
    canMove: true,
    isOver: () => isOver,
    wrong,
    note: () => undefined,
  };
  for (const region of regions) boot(region, port);
  await allEnded(regions, transport, host.clock);

  const staff = new Staff('staff-1', ground, transport, randomStream(SEED, 'staff'));
  const products = await Promise.all(['P-1', 'P-2', 'P-3'].map((sku) => staff.list(sku, 60)));
  const emails = Array.from({ length: 7 }, (_, i) => `customer${i + 1}@example.com`);
  const customers = Array.from({ length: 4 }, (_, i) => {
    const name = `customer-${i + 1}`;
    return new Customer(name, ground, transport, randomStream(SEED, name), products, emails);
  });
  const living = Promise.all([...customers.map((customer) => customer.live(HANDS)), staff.live(products)]);

  let kills = 0;
  const placed = (): number => history.orders.filter(({ answer }) => answer?.id != null).length;
  // However slow the machine is: the test's own bound ends it.
  for (; kills < KILLS_MIN || placed() < ORDERS_MIN; kills += 1) {
    await host.clock.sleep(KILLED_EVERY_MS * (0.3 + chance.fraction()));
    const region = regions[chance.below(regions.length)] as string;
    const child = children.get(region) as ChildProcess;
    await ended(child, 'SIGKILL');
    boot(region, port);
    // A slow machine must not be killed faster than it starts.
    while ((await transport.ask(region, { method: 'GET', path: '/health/ready' }, 1_000))?.status !== 200)
      await host.clock.sleep(50);
  }
  isOver = true;
  await living;
  for (const customer of customers) await customer.goOn();
  await staff.goOn(products);
  await allEnded(regions, transport, host.clock);
  for (const customer of customers) await customer.conclude();
  const revenue = await staff.revenue();
  for (const child of children.values()) await ended(child, 'SIGTERM');
  const hostOf = () => host;
  const { books, cuts } = await checkDisks({
    topology,
    dataFolder: data,
    hostOf,
    history,
    coverage,
    bank: null,
    homeOf: null,
    mayLose: [],
    revenue,
    wrong,
  });
  checkHistory(history, { books, cuts, codeOf: (region) => topology.regions[region]?.code ?? 0, wrong });
  checkLines(lines, coverage, wrong);

  deepStrictEqual(wrongs, [], `CARDUME_SIM_SEED=${SEED}`);
  ok(
    coverage.counts.has('an order was carried over a restart'),
    'an order was on its way when its region was killed',
  );
});
