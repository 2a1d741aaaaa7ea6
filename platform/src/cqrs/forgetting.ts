/** Idempotent answers are kept for a stated number of days; then their keys are free. */
import type { Log } from '../events/log.ts';
import type { Host } from '../host/host.ts';
import { everAgain } from './background.ts';

const ENTRIES_A_STEP = 10_000;
const PAUSES = { behindMs: 1_000, idleMs: 3_600_000 };
const DAY_MS = 86_400_000;

/** @returns ends it */
export function forgetOldAnswers(
  { clock }: Pick<Host, 'clock'>,
  log: Pick<Log, 'forgetAnswers'>,
  days: number,
  report: (message: string, fields: Readonly<Record<string, unknown>>) => void,
): () => void {
  return everAgain(
    clock,
    PAUSES,
    async () => (await log.forgetAnswers(clock.nowMs() - days * DAY_MS, ENTRIES_A_STEP)) >= ENTRIES_A_STEP,
    (error) => report('old idempotent answers were not forgotten', { error }),
  );
}
