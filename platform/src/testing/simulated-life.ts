/**
 * The life of a simulated process or thread. Everything that the simulation calls back goes through the life of the
 * code it calls, so that ending a life silences it at once: its timers do not fire, its promises stay open, what it
 * opened is closed. That is a crash as the rest of the world sees it.
 */
import { assert } from '../base/assert.ts';
import type { Kernel, Order, Scheduled } from './simulated-kernel.ts';

export class Life {
  readonly kernel: Kernel;
  /** What the trace calls it. */
  readonly name: string;
  ended = false;
  readonly #endings = new Set<() => void>();
  readonly #fail: ((error: unknown) => void) | null;

  /** @param fail takes what a callback throws; without it the run of the simulation ends with the error */
  constructor(kernel: Kernel, name: string, fail: ((error: unknown) => void) | null = null) {
    this.kernel = kernel;
    this.name = name;
    this.#fail = fail;
  }

  /** Calls back after the delay, if the life has not ended by then. */
  later(delayUs: number, kind: string, label: string, callback: () => void, order?: Order): Scheduled {
    return this.kernel.at(delayUs, kind, label, () => this.call(callback), order);
  }

  /** The result of work that happens after the delay. */
  outcome<T>(delayUs: number, kind: string, label: string, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.later(delayUs, kind, label, () => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Runs code of this life now; what it throws ends a thread, as in a worker. */
  call(callback: () => void): void {
    if (this.ended) return;
    if (this.#fail === null) {
      callback();
      return;
    }
    try {
      callback();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @returns forgets the ending: what it would close is closed already */
  onEnd(ending: () => void): () => void {
    assert(!this.ended, `${this.name} has ended: its code cannot run any more`);
    this.#endings.add(ending);
    return () => void this.#endings.delete(ending);
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    for (const ending of this.#endings) ending();
    this.#endings.clear();
  }
}
