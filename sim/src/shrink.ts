/**
 * Makes a failure small: the fewest faults and customers with which the seed still fails. Faults are left out in halves,
 * then in quarters, and so on (delta debugging, Zeller and Hildebrandt 2002); what is left draws as it did before, since
 * every part has a random stream of its own.
 */
import type { Plan, PlanChanges } from './plan.ts';

export interface Shrunk {
  readonly faults: readonly number[];
  readonly customers: number;
  readonly runs: number;
}

const RUNS_MAX = 120;

/** @param fails runs the seed with the changes */
export async function shrink(plan: Plan, fails: (changes: PlanChanges) => Promise<boolean>): Promise<Shrunk> {
  let faults = plan.faults.map(({ number }) => number);
  let { customers } = plan;
  let runs = 0;
  const stillFails = async (changes: PlanChanges): Promise<boolean> => {
    runs += 1;
    return fails(changes);
  };

  for (let pieces = 2; faults.length > 0 && runs < RUNS_MAX; ) {
    const size = Math.ceil(faults.length / pieces);
    let isSmaller = false;
    for (let at = 0; at < faults.length && runs < RUNS_MAX; at += size) {
      const rest = [...faults.slice(0, at), ...faults.slice(at + size)];
      if (await stillFails({ faults: rest, customers })) {
        faults = rest;
        isSmaller = true;
        break;
      }
    }
    if (isSmaller) pieces = Math.max(2, pieces - 1);
    else if (size === 1) break;
    else pieces = Math.min(faults.length, pieces * 2);
  }
  while (customers > 1 && runs < RUNS_MAX && (await stillFails({ faults, customers: customers - 1 })))
    customers -= 1;
  return { faults, customers, runs };
}
