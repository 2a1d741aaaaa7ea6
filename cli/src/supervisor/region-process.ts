/**
 * One region's process over its restarts. A process that ends is started again with growing delays; one that says that
 * another try is of no use, or that never gets ready, is left down and said so.
 */
import type { Clock } from 'cardume/host';
import { Failure } from '../failure.ts';
import type { Child, ChildOptions } from './child.ts';
import { afterExit, NO_RESTARTS, type Restarts } from './restarts.ts';

export interface RegionProcessOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly start: (listeners: Pick<ChildOptions, 'onReport' | 'onLine' | 'onExit'>) => Child;
  /** A line of the process's log or of its standard error. */
  readonly onLine: (line: string) => void;
  /** What happened to the process, in words. */
  readonly note: (level: 'info' | 'warn' | 'error', message: string) => void;
}

export interface RegionProcess {
  /** Ready for the first time. Rejects with a Failure when it will never be. */
  readonly ready: Promise<void>;
  /** Ends with a Failure once the region is left down, whether or not it was ready before. */
  readonly lost: Promise<Failure>;
  /** Drains, and kills what still runs after the time. */
  stop(graceMs: number): Promise<void>;
  kill(): void;
}

export function runRegion({ name, clock, start, onLine, note }: RegionProcessOptions): RegionProcess {
  const ready = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<Failure>();
  const ended = Promise.withResolvers<void>();
  ready.promise.catch(() => {}); // whoever waits is told; nobody has to wait
  let child: Child | null = null;
  let restarts: Restarts = NO_RESTARTS;
  let readyAtMs: number | null = null;
  let refusal: { readonly sentence: string; readonly lasting: boolean } | null = null;
  let stopping = false;

  const launch = (): void => {
    readyAtMs = null;
    refusal = null;
    child = start({
      onLine,
      onReport(report) {
        if (report.kind === 'failed') {
          refusal = report;
          return;
        }
        readyAtMs = clock.monotonicMs();
        if (restarts.attempts > 0) note('info', 'is ready again');
        ready.resolve();
      },
      onExit,
    });
  };

  const giveUp = (failure: Failure): void => {
    note('error', `is left down: ${failure.message}`);
    ready.reject(failure);
    lost.resolve(failure);
    ended.resolve();
  };

  const onExit = (how: string): void => {
    child = null;
    if (stopping) {
      ended.resolve();
      return;
    }
    if (refusal?.lasting) {
      giveUp(new Failure(`Region ${name} cannot start: ${refusal.sentence}`));
      return;
    }
    const plan = afterExit(restarts, readyAtMs === null ? null : clock.monotonicMs() - readyAtMs);
    restarts = plan.restarts;
    const why = refusal === null ? `its process ended (${how})` : refusal.sentence;
    if (plan.delayMs === null) {
      giveUp(
        new Failure(`Region ${name} did not get ready in ${restarts.neverReady} starts; at last ${why}`),
      );
      return;
    }
    note('warn', `is down: ${why}; starting it again in ${plan.delayMs / 1000} s`);
    void clock.sleep(plan.delayMs).then(() => (stopping ? ended.resolve() : launch()));
  };

  launch();
  return {
    ready: ready.promise,
    lost: lost.promise,
    async stop(graceMs) {
      stopping = true;
      if (child === null) return;
      child.tell({ kind: 'drain' });
      const late = clock.after(graceMs, () => {
        note('warn', `did not stop within ${graceMs / 1000} s and is killed`);
        child?.kill();
      });
      await ended.promise;
      late.cancel();
    },
    kill() {
      stopping = true;
      child?.kill();
    },
  };
}
