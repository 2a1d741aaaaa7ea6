/**
 * How long a newcomer waits, and what the house takes of a laptop: from `cardume start` in an empty folder, with the
 * demonstration's catalogue, to the first order answered; then the resident memory of all its processes when they
 * have nothing to do. (Pages that processes share are counted in each.)
 *
 *   node tools/launch.mjs bench/start.ts
 */
import { execFileSync } from 'node:child_process';
import { DEMO_CUSTOMER } from '../cli/src/supervisor/demo.ts';
import { type Figure, median, type Say } from './figure.ts';
import { call, startPlatform } from './platform.ts';

const ROUNDS = 3;
/** After it, what the start has left behind is collected. */
const IDLE_MS = 3_000;
const MEGABYTE = 1_000_000;

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const startsMs: number[] = [];
  const memoriesMb: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    say(`start ${round + 1} of ${ROUNDS}`);
    const begun = performance.now();
    const platform = await startPlatform({ demo: true, isCoordinated: true });
    try {
      await firstOrder(platform.edge);
      startsMs.push(performance.now() - begun);
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      memoriesMb.push(residentBytes(platform.processId) / MEGABYTE);
    } finally {
      await platform.stop();
    }
  }
  const alone = { reference: null, ratio: null, beside: '' };
  return [
    {
      name: 'start to the first order answered',
      unit: 's',
      ours: median(startsMs) / 1_000,
      ...alone,
      target: { atMost: 6 },
    },
    {
      name: 'memory of all processes, idle',
      unit: 'MB',
      ours: median(memoriesMb),
      ...alone,
      target: { atMost: 700 },
    },
  ];
}

async function firstOrder(edge: string): Promise<void> {
  const { email, password } = DEMO_CUSTOMER;
  const { token } = await call<{ token: string }>('POST', `${edge}/users/sign-in`, null, { email, password });
  const { items } = await call<{ items: { id: string }[] }>('GET', `${edge}/products?limit=1`, null);
  await call('POST', `${edge}/orders`, token, {
    lines: [{ product: items[0]?.id, quantity: 1 }],
    payment: { method: 'card', token: 'tok_approve' },
  });
}

/** Of a process and all below it. */
function residentBytes(processId: number): number {
  const rows = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,rss='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [pid: number, parent: number, kilobytes: number]);
  const below = (parent: number): number =>
    rows
      .filter(([pid, of]) => of === parent && pid !== parent)
      .reduce((sum, [pid, , kilobytes]) => sum + kilobytes + below(pid), 0);
  const own = rows.find(([pid]) => pid === processId)?.[2];
  if (own === undefined) throw new Error(`there is no process ${processId}`);
  return (own + below(processId)) * 1_024;
}

if (import.meta.main) console.log(await run(console.error));
