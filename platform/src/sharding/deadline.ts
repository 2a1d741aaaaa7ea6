/**
 * One deadline for a whole query. What runs for it elsewhere is told how much is left, since clocks differ, and what
 * nobody waits for any more is ended: behind the deadline, when the asker goes away, and when another part has failed.
 */
import { CardumeError } from '../base/errors.ts';
import type { Clock } from '../host/host.ts';
import { nobodyWaits } from '../links/failure.ts';

/** What a part of the query may take. */
export interface Within {
  /** Milliseconds, at least 1. */
  leftMs(): number;
  /** Its reason is a CardumeError. */
  readonly signal: AbortSignal;
}

/** For whoever asks shards without a query's deadline. */
export const unbounded: Within = { leftMs: () => Infinity, signal: new AbortController().signal };

export interface DeadlineOptions {
  readonly deadlineMs: number;
  /** The asker's. */
  readonly signal?: AbortSignal | undefined;
}

/** @throws CardumeError `deadline-exceeded`, and whatever `work` throws; either way all parts of it are told to end */
export async function withDeadline<T>(
  clock: Clock,
  { deadlineMs, signal }: DeadlineOptions,
  work: (within: Within) => Promise<T>,
): Promise<T> {
  if (signal?.aborted === true) throw nobodyWaits();
  const endMs = clock.monotonicMs() + deadlineMs;
  const parts = new AbortController();
  const ended = Promise.withResolvers<never>();
  const end = (error: CardumeError): void => {
    ended.reject(error);
    parts.abort(error);
  };
  const timer = clock.after(deadlineMs, () =>
    end(new CardumeError('deadline-exceeded', `the query took longer than ${deadlineMs} ms`)),
  );
  const left = (): void => end(nobodyWaits());
  signal?.addEventListener('abort', left);
  try {
    const within = {
      leftMs: () => Math.max(1, Math.ceil(endMs - clock.monotonicMs())),
      signal: parts.signal,
    };
    return await Promise.race([work(within), ended.promise]);
  } catch (error) {
    parts.abort(nobodyWaits());
    throw error;
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', left);
  }
}
