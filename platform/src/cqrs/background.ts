/** Work that never comes to its end, a little at a time. */
import type { Clock, Timer } from '../host/host.ts';

export interface Pauses {
  /** Between steps while there is more to do. */
  readonly behindMs: number;
  /** Until it is looked again, and after a failure. */
  readonly idleMs: number;
}

/**
 * @param step says whether there is more to do
 * @returns ends it
 */
export function everAgain(
  clock: Clock,
  { behindMs, idleMs }: Pauses,
  step: () => Promise<boolean>,
  onFailure: (error: unknown) => void,
): () => void {
  let ended = false;
  let timer: Timer = clock.after(behindMs, run);
  function run(): void {
    step().then(
      (isBehind) => again(isBehind ? behindMs : idleMs),
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
