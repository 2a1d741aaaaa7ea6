/** Does the simulation find what it should? Each planted bug is searched for, seed after seed, up to a bound. */
import type { Host } from 'cardume/host';
import { fleet, seedsFrom } from '../fleet.ts';
import { planOf } from '../plan.ts';
import type { Planted } from './planted.ts';

export interface Found {
  readonly bug: Planted;
  /** How many seeds it took, of those in which it may show; null when none of them showed it. */
  readonly seeds: number | null;
  readonly violation: string;
}

export interface SuiteOptions {
  readonly bugs: readonly Planted[];
  readonly seedsMax: number;
  readonly jobs: number;
  readonly onFound: (found: Found) => void;
}

export async function plantedSuite(
  host: Host,
  { bugs, seedsMax, jobs, onFound }: SuiteOptions,
): Promise<readonly Found[]> {
  const all: Found[] = [];
  for (const bug of bugs) {
    const seeds = [...seedsFrom(1, seedsMax, (seed) => mayShow(bug, seed))];
    let first = { seed: Number.POSITIVE_INFINITY, violation: '' };
    await fleet(host, {
      seeds,
      minutes: Number.POSITIVE_INFINITY,
      jobs,
      untilFailure: true,
      isRegional: bug.isRegional === true,
      isTwice: false,
      bug: bug.name,
      onDone({ result: { seed, violations } }) {
        const [violation] = violations;
        if (violation !== undefined && seed < first.seed) first = { seed, violation };
      },
    });
    const at = seeds.indexOf(first.seed);
    const found = { bug, seeds: at < 0 ? null : at + 1, violation: first.violation };
    all.push(found);
    onFound(found);
  }
  return all;
}

function mayShow({ shownBy, isRegional }: Planted, seed: number): boolean {
  if (shownBy === undefined) return true;
  const kinds = new Set(planOf(seed, { isRegional }).faults.map(({ kind }) => kind));
  return shownBy.every((kind) => kinds.has(kind));
}

/** Of the seeds that each took; those that were not found count as more than all others. */
export function medianSeeds(all: readonly Found[]): number {
  const sorted = all.map(({ seeds }) => seeds ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
