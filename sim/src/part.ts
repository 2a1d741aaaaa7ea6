/** Where two runs of one seed part: a run that depends on anything but its seed cannot be replayed. */
import { type RunOptions, run } from './run.ts';

export interface Parting {
  /** Number of the first event that differs; null when all are equal. */
  readonly event: number | null;
  readonly first: readonly string[];
  readonly second: readonly string[];
  readonly events: number;
}

const CONTEXT_EVENTS = 5;

/** Runs the seed twice and compares event by event. */
export async function parting(seed: number, options: RunOptions): Promise<Parting> {
  const [first, second] = [await trace(seed, options), await trace(seed, options)];
  const event = first.findIndex((line, i) => line !== second[i]);
  const at =
    event >= 0 ? event : first.length === second.length ? null : Math.min(first.length, second.length);
  const near = (lines: readonly string[]): string[] =>
    at === null ? [] : lines.slice(Math.max(0, at - CONTEXT_EVENTS), at + CONTEXT_EVENTS);
  return { event: at, first: near(first), second: near(second), events: first.length };
}

async function trace(seed: number, options: RunOptions): Promise<string[]> {
  const lines: string[] = [];
  const { hash } = await run(seed, {
    ...options,
    onEvent: (atMs, kind, label) => void lines.push(`${atMs} ms ${kind} ${label}`),
  });
  lines.push(`the hash of answers and logs: ${hash}`);
  return lines;
}
