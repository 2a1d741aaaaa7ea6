/** HTTP load, as all benchmarks here apply it, and the figures that they quote. */
// @ts-expect-error: the package has no types
import autocannon from 'autocannon';

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly pipelining?: number;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Ends after so many seconds, or after so many requests. */
  readonly duration?: number;
  readonly amount?: number;
}

/** The part of autocannon's result that is read. */
interface Result {
  readonly non2xx: number;
  readonly errors: number;
  readonly duration: number;
  readonly '2xx': number;
  readonly requests: { readonly average: number };
}

/** @returns answers per second; any faulty answer is an error */
export async function load(options: LoadOptions): Promise<number> {
  const result = (await autocannon(options)) as Result;
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${options.url}: ${result.non2xx} faulty answers, ${result.errors} errors`);
  }
  return options.amount === undefined ? result.requests.average : result['2xx'] / result.duration;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
