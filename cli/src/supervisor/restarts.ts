/** When a region's process that ended is started again: a pure function of how its starts went. */

export interface Restarts {
  /** Starts in a row that did not lead to a lasting run. */
  readonly attempts: number;
  /** Of those, starts that did not even get ready. */
  readonly neverReady: number;
}

export const NO_RESTARTS: Restarts = { attempts: 0, neverReady: 0 };

const DELAY_MS_MIN = 200;
const DELAY_MS_MAX = 10_000;
/** A run of this length clears what went before. */
const LASTING_MS = 30_000;
const NEVER_READY_MAX = 5;

export interface Restart {
  readonly restarts: Restarts;
  /** Wait before the next start; null: give up, it does not get ready. */
  readonly delayMs: number | null;
}

/** @param readyForMs how long it was ready; null: it never was */
export function afterExit(before: Restarts, readyForMs: number | null): Restart {
  if (readyForMs !== null && readyForMs >= LASTING_MS) {
    return { restarts: { attempts: 1, neverReady: 0 }, delayMs: DELAY_MS_MIN };
  }
  const restarts = {
    attempts: before.attempts + 1,
    neverReady: readyForMs === null ? before.neverReady + 1 : 0,
  };
  if (restarts.neverReady >= NEVER_READY_MAX) return { restarts, delayMs: null };
  return { restarts, delayMs: Math.min(DELAY_MS_MAX, DELAY_MS_MIN * 2 ** (restarts.attempts - 1)) };
}
