/** What a benchmark gives: rows of the table that `bench.ts` prints. */

export interface Figure {
  readonly name: string;
  /** Of `ours` and `reference`. */
  readonly unit: string;
  readonly ours: number;
  readonly reference: number | null;
  /** What the reference is, in a few words. */
  readonly beside: string;
  /** Ours over the reference's: the median of the rounds, not of the two medians. Null without a reference. */
  readonly ratio: number | null;
  readonly target: Target | null;
}

/** Of the ratio, or of `ours` where there is no reference. */
export type Target = { readonly atLeast: number } | { readonly atMost: number };

export interface Benchmark {
  /** As the table and `--only` name it. */
  readonly letter: string;
  readonly title: string;
  /** @param say tells how far it is, in a few words */
  run(say: Say): Promise<Figure[]>;
}

export type Say = (progress: string) => void;

/** Null: nothing was promised. */
export function isReached({ ours, ratio, target }: Figure): boolean | null {
  if (target === null) return null;
  const value = ratio ?? ours;
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

/** Medians of rounds in which both were measured side by side. */
export function compared(
  rounds: readonly { readonly ours: number; readonly reference: number }[],
): Pick<Figure, 'ours' | 'reference' | 'ratio'> {
  return {
    ours: median(rounds.map(({ ours }) => ours)),
    reference: median(rounds.map(({ reference }) => reference)),
    ratio: median(rounds.map(({ ours, reference }) => ours / reference)),
  };
}
