/**
 * Many seeds over the cores of this machine: each thread takes the next seed as soon as it is done with one. A seed that
 * runs twice runs on two threads, if there are two: what one of them remembers must not matter.
 */
import type { Host } from 'cardume/host';
import type { SeedDone, SeedsInit } from './seeds-thread.ts';

export interface FleetOptions extends SeedsInit {
  /** In this order; those without an end go on until the time is over. */
  readonly seeds: Iterable<number>;
  readonly minutes: number;
  readonly jobs: number;
  /** Each seed runs twice, and both runs must be equal. */
  readonly isTwice: boolean;
  readonly untilFailure: boolean;
  readonly onDone: (done: SeedDone) => void;
}

interface Job {
  readonly number: number;
  /** The run that is to be compared with the one under way; null for a first run. */
  first: SeedDone | null;
}

/** A run makes some 100 MB of garbage a second. */
const YOUNG_MIB_MAX = 192;
/** A thread keeps about a megabyte of each run: after so many it is begun anew. */
const SEEDS_A_THREAD = 200;
const MODULE = new URL('./seeds-thread.ts', import.meta.url);

/** @param isAsked those for which it says no are passed over, and not counted */
export function* seedsFrom(
  from: number,
  count: number,
  isAsked: (seed: number) => boolean = () => true,
): Generator<number> {
  let left = count;
  for (let seed = from; left > 0; seed += 1) {
    if (!isAsked(seed)) continue;
    left -= 1;
    yield seed;
  }
}

/** @returns when all seeds are done, the time is over, or one has failed and that is what was waited for */
export async function fleet(host: Host, options: FleetOptions): Promise<void> {
  const { bug, isRegional, isTwice, jobs, onDone } = options;
  const endMs = host.clock.monotonicMs() + options.minutes * 60_000;
  const toRepeat: { readonly done: SeedDone; readonly by: number }[] = [];
  const seeds = options.seeds[Symbol.iterator]();
  let next = seeds.next();
  let hasFailed = false;
  const isOver = (): boolean =>
    next.done === true || host.clock.monotonicMs() >= endMs || (hasFailed && options.untilFailure);

  /** @returns the seed to run now, null when there is none left */
  function take(job: Job): number | null {
    const others = toRepeat.findIndex(({ by }) => by !== job.number || jobs === 1);
    const at = others >= 0 ? others : isOver() ? 0 : -1;
    const [repeated] = at < 0 ? [] : toRepeat.splice(at, 1);
    job.first = repeated?.done ?? null;
    if (repeated !== undefined) return repeated.done.result.seed;
    if (isOver()) return null;
    const { value } = next;
    next = seeds.next();
    return value;
  }

  function finish(job: Job, done: SeedDone): void {
    const { first } = job;
    if (isTwice && first === null) {
      toRepeat.push({ done, by: job.number });
      return;
    }
    const { seed, hash } = done.result;
    const violations = [...(first?.result.violations ?? done.result.violations)];
    if (first !== null && first.result.hash !== hash)
      violations.push(`two runs differ: ${first.result.hash} and ${hash}; see --seed ${seed} --twice`);
    if (violations.length > 0) hasFailed = true;
    onDone({ ...done, result: { ...done.result, violations } });
  }

  /** @returns whether there is more to run: this thread has run its share */
  async function workOneThread(job: Job): Promise<boolean> {
    const init: SeedsInit = { bug, isRegional };
    const thread = host.threads.spawn(MODULE, `seeds-${job.number}`, init, YOUNG_MIB_MAX);
    let done = 0;
    const isLeft = await new Promise<boolean>((resolve, reject) => {
      const give = (): void => {
        const hasRoom = done < SEEDS_A_THREAD;
        const seed = hasRoom ? take(job) : null;
        if (seed === null) resolve(!hasRoom);
        else thread.post(seed);
      };
      thread.onExit((error) => reject(error ?? new Error('a thread of the fleet ended')));
      thread.onMessage((result: SeedDone) => {
        done += 1;
        finish(job, result);
        give();
      });
      give();
    });
    await thread.stop();
    return isLeft;
  }

  async function work(number: number): Promise<void> {
    const job: Job = { number, first: null };
    while (await workOneThread(job));
  }

  await Promise.all(Array.from({ length: jobs }, (_, job) => work(job + 1)));
}
