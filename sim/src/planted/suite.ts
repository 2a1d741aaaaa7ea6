/** Does the simulation find what it should? Each planted bug is searched for, seed after seed, up to a bound. */
import type { Host } from 'cardume/host';
import { fleet } from '../fleet.ts';
import type { Planted } from './planted.ts';

export interface Found {
  readonly bug: Planted;
  /** How many seeds it took; null when none of them showed it. */
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
    let first = { seed: Number.POSITIVE_INFINITY, violation: '' };
    await fleet(host, {
      from: 1,
      seeds: seedsMax,
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
    const found = { bug, seeds: Number.isFinite(first.seed) ? first.seed : null, violation: first.violation };
    all.push(found);
    onFound(found);
  }
  return all;
}

/** Of the seeds that each took; those that were not found count as more than all others. */
export function medianSeeds(all: readonly Found[]): number {
  const sorted = all.map(({ seeds }) => seeds ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
