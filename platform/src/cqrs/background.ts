/** Work that never comes to its end, a little at a time. */
import type { Clock, Timer } from '../host/host.ts';

export interface Pauses {
  /** Between steps while there is more to do; at most, with a `share`. */
  readonly behindMs: number;
  /** Times what the last step took. */
  readonly share?: number;
  /** Until it is looked again, and after a failure. */
  readonly idleMs: number;
}

/**
 * @param step says whether there is more to do
 * @returns ends it
 */
export function everAgain(
  clock: Clock,
  { behindMs, share, idleMs }: Pauses,
  step: () => Promise<boolean>,
  onFailure: (error: unknown) => void,
): () => void {
  let ended = false;
  let timer: Timer = clock.after(behindMs, run);
  function run(): void {
    const sinceMs = clock.monotonicMs();
    const pauseMs = (): number =>
      share === undefined ? behindMs : Math.min(behindMs, share * (clock.monotonicMs() - sinceMs));
    step().then(
      (isBehind) => again(isBehind ? pauseMs() : idleMs),
      (error) => {
        onFailure(error);
        again(idleMs);
      },
    );
  }
  function again(pauseMs: number): void {
    if (!ended) timer = clock.after(pauseMs, run);
  }
  return () => {
    ended = true;
    timer.cancel();
  };
}
