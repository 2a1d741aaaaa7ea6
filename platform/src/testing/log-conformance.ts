/** What every event log must do, whatever its engine. Each case gets an empty storage; `log-mutants.ts` proves it. */
import { describe, test } from 'node:test';
import { append } from './log-conformance-append.ts';
import type { LogCases, LogUnderTest } from './log-conformance-case.ts';
import { moving } from './log-conformance-move.ts';
import { opening } from './log-conformance-open.ts';
import { reading } from './log-conformance-read.ts';

export interface LogHarness extends LogUnderTest {
  /** Lets the host work until the promise settles: the simulated one needs someone to pass its time. */
  done<T>(work: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export const logCases: LogCases = { ...append, ...opening, ...reading, ...moving };

const CASE_TIMEOUT_MS = 20_000;

/** @param skip why there is nothing to try it on */
export function logConformance(
  name: string,
  start: () => LogHarness | Promise<LogHarness>,
  skip: string | false = false,
): void {
  describe(name, { skip }, () => {
    for (const [title, body] of Object.entries(logCases)) {
      test(title, { timeout: CASE_TIMEOUT_MS }, () => runCase(start, body));
    }
  });
}

/** @throws what the case throws */
export async function runCase(
  start: () => LogHarness | Promise<LogHarness>,
  body: LogCases[string],
): Promise<void> {
  const harness = await start();
  try {
    await harness.done(body(harness));
  } finally {
    await harness.close();
  }
}
