/**
 * How long a newcomer waits, and what the house takes of a laptop: from `cardume start` in an empty folder, with the
 * demonstration's catalogue, to the first order answered; then the resident memory of all its processes when they
 * have nothing to do. Pages that processes share, such as Node itself, are counted in each; on Linux also once.
 *
 *   node tools/launch.mjs bench/start.ts
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { DEMO_CUSTOMER } from '../cli/src/supervisor/demo.ts';
import { type Figure, median, type Say } from './figure.ts';
import { call, startPlatform } from './platform.ts';

const ROUNDS = 3;
/** Longer than it takes until what the start left behind is collected, and V8 has given the pages back. */
const IDLE_MS = 45_000;
const MEGABYTE = 1_000_000;

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const startsMs: number[] = [];
  const memories: Memory[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    say(`start ${round + 1} of ${ROUNDS}`);
    const begun = performance.now();
    const platform = await startPlatform({ demo: true, isCoordinated: true });
    try {
      await firstOrder(platform.edge);
      startsMs.push(performance.now() - begun);
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      memories.push(memoryOf(platform.processId));
    } finally {
      await platform.stop();
    }
  }
  const alone = { reference: null, ratio: null, beside: '' };
  const sharedOnce = memories.flatMap(({ sharedOnceMb: megabytes }) => megabytes ?? []);
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
      ours: median(memories.map(({ residentMb }) => residentMb)),
      ...alone,
      beside:
        sharedOnce.length === 0 ? '' : `${median(sharedOnce).toFixed(0)} with shared pages counted once`,
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

interface Memory {
  readonly residentMb: number;
  /** Proportional set size; null where the system does not tell. */
  readonly sharedOnceMb: number | null;
}

/** Of a process and all below it. */
function memoryOf(processId: number): Memory {
  const rows = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,rss='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [pid: number, parent: number, kilobytes: number]);
  const withAllBelow = (pid: number): number[] => [
    pid,
    ...rows.filter(([of, parent]) => parent === pid && of !== pid).flatMap(([of]) => withAllBelow(of)),
  ];
  const processes = new Set(withAllBelow(processId));
  const resident = rows.filter(([pid]) => processes.has(pid)).map(([, , kilobytes]) => kilobytes);
  const sharedOnce = process.platform === 'linux' ? [...processes].map(proportionalKilobytes) : null;
  return {
    residentMb: megabytes(resident),
    sharedOnceMb: sharedOnce === null ? null : megabytes(sharedOnce),
  };
}

function proportionalKilobytes(processId: number): number {
  const rollup = readFileSync(`/proc/${processId}/smaps_rollup`, 'utf8');
  return Number(/^Pss: +(\d+) kB$/m.exec(rollup)?.[1]);
}

function megabytes(kilobytes: readonly number[]): number {
  return (kilobytes.reduce((sum, one) => sum + one, 0) * 1_024) / MEGABYTE;
}

if (import.meta.main) console.log(await run(console.error));
