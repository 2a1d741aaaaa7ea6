/** The real clock, and ahead of it by as much as a test has moved it: time-outs pass without waiting. */
import type { Clock, Timer } from 'cardume/host';

interface Due {
  readonly dueMs: number;
  readonly call: () => void;
  timer: Timer | null;
}

export class MovedClock implements Clock {
  readonly #real: Clock;
  readonly #due = new Set<Due>();
  #aheadMs = 0;

  constructor(real: Clock) {
    this.#real = real;
  }

  readonly nowMs = (): number => this.#real.nowMs() + this.#aheadMs;
  readonly monotonicMs = (): number => this.#real.monotonicMs() + this.#aheadMs;
  readonly soon = (callback: () => void): void => this.#real.soon(callback);
  readonly sleep = (delayMs: number): Promise<void> =>
    new Promise((resolve) => void this.after(delayMs, resolve));

  readonly after = (delayMs: number, callback: () => void): Timer => {
    const due: Due = { dueMs: this.monotonicMs() + delayMs, call: callback, timer: null };
    this.#due.add(due);
    due.timer = this.#real.after(delayMs, () => this.#fire(due));
    return {
      cancel: () => {
        this.#due.delete(due);
        due.timer?.cancel();
      },
    };
  };

  #fire(due: Due): void {
    if (this.#due.delete(due)) due.call();
  }

  /** With time between the steps for what they set off. */
  async advance(forMs: number, stepMs: number): Promise<void> {
    for (let leftMs = forMs; leftMs > 0; leftMs -= stepMs) {
      this.#aheadMs += Math.min(stepMs, leftMs);
      const nowMs = this.monotonicMs();
      for (const due of [...this.#due].sort((a, b) => a.dueMs - b.dueMs)) {
        due.timer?.cancel();
        if (due.dueMs <= nowMs) this.#fire(due);
        else due.timer = this.#real.after(due.dueMs - nowMs, () => this.#fire(due));
      }
      await this.#real.sleep(5);
    }
  }
}
