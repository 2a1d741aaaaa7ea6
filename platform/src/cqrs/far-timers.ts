/**
 * Timers on the wall clock, most of which are cancelled long before they are due: an order that ends within
 * milliseconds had a quarter of an hour. Far ones wait in a set that is looked through once a second, which costs less
 * than a timer of the runtime each, and follows a wall clock that jumps.
 */
import type { Clock, Timer } from '../host/host.ts';

export interface FarTimers {
  /** Runs `due` when the wall clock has reached the time, at once when it has already. */
  at(atMs: number, due: () => void): Timer;
  close(): void;
}

const NEAR_MS = 1_000;

export function openFarTimers(clock: Clock): FarTimers {
  const far = new Set<Armed>();
  let look: Timer | null = null;
  let closed = false;

  class Armed implements Timer {
    readonly #atMs: number;
    readonly #due: () => void;
    #near: Timer | null = null;

    constructor(atMs: number, due: () => void) {
      this.#atMs = atMs;
      this.#due = due;
      this.arm();
    }

    /** Sets the runtime's timer when the time is near, else waits for the next look. */
    arm(): void {
      const delayMs = this.#atMs - clock.nowMs();
      if (delayMs > NEAR_MS) {
        far.add(this);
        look ??= clock.after(NEAR_MS, lookThrough);
        return;
      }
      far.delete(this);
      this.#near = clock.after(Math.max(0, delayMs), () => {
        if (closed) return;
        if (clock.nowMs() < this.#atMs) this.arm();
        else this.#due();
      });
    }

    cancel(): void {
      far.delete(this);
      this.#near?.cancel();
    }
  }

  function lookThrough(): void {
    look = null;
    if (closed) return;
    for (const one of far) one.arm();
    if (far.size > 0) look ??= clock.after(NEAR_MS, lookThrough);
  }

  return {
    at: (atMs, due) => new Armed(atMs, due),
    close() {
      closed = true;
      look?.cancel();
      far.clear();
    },
  };
}
