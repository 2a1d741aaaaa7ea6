/** What every event log must do, whatever its engine. Each case gets an empty storage; `log-mutants.ts` proves it. */
import { append } from './log-conformance-append.ts';
import { archives } from './log-conformance-archive.ts';
import type { LogCases, LogUnderTest } from './log-conformance-case.ts';
import { moving } from './log-conformance-move.ts';
import { opening } from './log-conformance-open.ts';
import { reading } from './log-conformance-read.ts';
import { regions } from './log-conformance-regions.ts';

export interface LogHarness extends LogUnderTest {
  /** Lets the host work until the promise settles: the simulated one needs someone to pass its time. */
  done<T>(work: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export const logCases: LogCases = { ...append, ...opening, ...reading, ...moving, ...archives, ...regions };
