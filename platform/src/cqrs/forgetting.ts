/** Idempotent answers are kept for a stated number of days; then their keys are free. A little at a time, for ever. */
import type { Log } from '../events/log.ts';
import type { Host, Timer } from '../host/host.ts';

const ENTRIES_A_STEP = 10_000;
const PAUSE_MS_WHILE_BEHIND = 1_000;
const PAUSE_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** @returns ends it */
export function forgetOldAnswers(
  host: Host,
  log: Pick<Log, 'forgetAnswers'>,
  days: number,
  report: (message: string, fields: Readonly<Record<string, unknown>>) => void,
): () => void {
  let ended = false;
  let timer: Timer = host.clock.after(PAUSE_MS_WHILE_BEHIND, step);
  function step(): void {
    log.forgetAnswers(host.clock.nowMs() - days * DAY_MS, ENTRIES_A_STEP).then(
      (looked) => again(looked < ENTRIES_A_STEP ? PAUSE_MS : PAUSE_MS_WHILE_BEHIND),
      (error) => {
        report('old idempotent answers were not forgotten', { error });
        again(PAUSE_MS);
      },
    );
  }
  function again(pauseMs: number): void {
    if (!ended) timer = host.clock.after(pauseMs, step);
  }
  return () => {
    ended = true;
    timer.cancel();
  };
}
