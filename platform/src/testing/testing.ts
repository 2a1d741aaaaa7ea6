/**
 * For whoever writes an engine: what it must do, whoever made it. Each case gets an empty storage from `start`; each rule is
 * proven by a mutant that breaks just that rule (`log-mutants.ts`, `read-model-mutants.ts`).
 *
 *   logConformance('my log', async () => ({ host, open, done: (work) => work, close }));
 *   readModelConformance('my read models', async () => ({ open, read, close }));
 *
 * And for whoever writes a driver of the coordinator: `coordinatorConformance`.
 */
import { describe, test } from 'node:test';
import { type CoordinatorHarness, coordinatorCases } from './coordinator-conformance.ts';
import { type LogHarness, logCases } from './log-conformance.ts';
import { type ReadModelsHarness, readModelCases } from './read-model-conformance.ts';

const CASE_TIMEOUT_MS = 30_000;

/** @param skip why there is nothing to try it on */
export function logConformance(name: string, start: Start<LogHarness>, skip: string | false = false): void {
  suite(name, logCases, start, skip);
}

/** @param skip why there is nothing to try it on */
export function readModelConformance(
  name: string,
  start: Start<ReadModelsHarness>,
  skip: string | false = false,
): void {
  suite(name, readModelCases, start, skip);
}

/** @param skip why there is nothing to try it on */
export function coordinatorConformance(
  name: string,
  start: Start<CoordinatorHarness>,
  skip: string | false = false,
): void {
  suite(name, coordinatorCases, start, skip);
}

interface Harness {
  /** Lets the host work until the promise settles: a simulated one needs someone to pass its time. */
  done?<T>(work: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

type Start<Under extends Harness> = () => Under | Promise<Under>;
type Case<Under> = (under: Under) => Promise<void>;

function suite<Under extends Harness>(
  name: string,
  cases: Readonly<Record<string, Case<Under>>>,
  start: Start<Under>,
  skip: string | false,
): void {
  describe(name, { skip }, () => {
    for (const [title, body] of Object.entries(cases))
      test(title, { timeout: CASE_TIMEOUT_MS }, () => runCase(start, body));
  });
}

/** @throws what the case throws */
export async function runCase<Under extends Harness>(start: Start<Under>, body: Case<Under>): Promise<void> {
  const harness = await start();
  try {
    const work = body(harness);
    await (harness.done?.(work) ?? work);
  } finally {
    await harness.close();
  }
}
