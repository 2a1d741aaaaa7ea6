/**
 * Long work behind the platform's own: it rests so that others come first, insists where nothing may be left half done,
 * and ends at the next step that stands by itself.
 */
import { isCardumeError } from '../base/errors.ts';
import type { Clock } from '../host/host.ts';

export type Report = (message: string, fields: Readonly<Record<string, unknown>>) => void;

export interface LongWork {
  readonly isOver: boolean;
  /** Between two steps, times what the first took. */
  rest(sinceMs: number, share?: number, msMax?: number): Promise<void>;
  /** Tries until it is done. @throws what will not change: another has taken over, or the work is over */
  insist(trouble: string, work: () => Promise<void>): Promise<void>;
  end(): void;
}

export const REST = 2;
export const REST_MS_MAX = 200;
export const TRY_AGAIN_MS = 1_000;

export function longWork(clock: Clock, report: Report): LongWork {
  let isOver = false;
  return {
    get isOver() {
      return isOver;
    },
    async rest(sinceMs, share = REST, msMax = REST_MS_MAX) {
      await clock.sleep(Math.min(msMax, (clock.monotonicMs() - sinceMs) * share));
    },
    async insist(trouble, work) {
      for (;;) {
        try {
          await work();
          return;
        } catch (error) {
          const isFinal = (['draining', 'fenced', 'conflict'] as const).some((code) =>
            isCardumeError(error, code),
          );
          if (isOver || isFinal) throw error;
          report(trouble, { error });
          await clock.sleep(TRY_AGAIN_MS);
        }
      }
    },
    end() {
      isOver = true;
    },
  };
}
