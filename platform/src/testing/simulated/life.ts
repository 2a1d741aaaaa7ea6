/**
 * The life of a simulated process or thread. Everything that the simulation calls back goes through the life of the
 * code it calls, so that ending a life silences it at once: its timers do not fire, its promises stay open, what it
 * opened is closed. That is a crash as the rest of the world sees it.
 *
 * A life that is busy (a thread in a slow `fsync`, a process that the system has paused) hears nothing either, but
 * only until it is free: then all that it was called for happens, in order.
 */
import { assert } from '../../base/assert.ts';
import type { Kernel, Order, Scheduled } from './kernel.ts';

export class Life {
  readonly kernel: Kernel;
  /** What the trace calls it. */
  readonly name: string;
  ended = false;
  /** The process that this thread belongs to; null for a process. */
  readonly #parent: Life | null;
  readonly #endings = new Set<() => void>();
  readonly #fail: ((error: unknown) => void) | null;
  #busyUntilUs = 0;
  #deferred: (() => void)[] = [];
  #wakes = false;

  /** @param fail takes what a callback throws; without it the run of the simulation ends with the error */
  constructor(
    kernel: Kernel,
    name: string,
    parent: Life | null = null,
    fail: ((error: unknown) => void) | null = null,
  ) {
    this.kernel = kernel;
    this.name = name;
    this.#parent = parent;
    this.#fail = fail;
  }

  /** Nothing happens in this life, or a thread of it, for so long. */
  busy(us: number): void {
    this.#busyUntilUs = Math.max(this.#busyUntilUs, this.kernel.nowUs) + Math.round(us);
  }

  /** When it is free again, microseconds from now. */
  busyUs(): number {
    const own = Math.max(0, this.#busyUntilUs - this.kernel.nowUs);
    return this.#parent === null ? own : Math.max(own, this.#parent.busyUs());
  }

  /** Calls back after the delay, if the life has not ended by then. */
  later(delayUs: number, kind: string, label: string, callback: () => void, order?: Order): Scheduled {
    let isCancelled = false;
    const call = (): void => {
      if (!isCancelled) callback();
    };
    const event = this.kernel.at(delayUs, kind, label, () => this.call(call), order);
    return {
      cancel() {
        isCancelled = true;
        event.cancel();
      },
    };
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

  /** Runs code of this life now, or when it is free; what it throws ends a thread, as in a worker. */
  call(callback: () => void): void {
    if (this.ended) return;
    if (this.#deferred.length > 0 || this.busyUs() > 0) {
      this.#deferred.push(callback);
      this.#wake();
    } else {
      this.#run(callback);
    }
  }

  #wake(): void {
    if (this.#wakes) return;
    this.#wakes = true;
    this.kernel.at(this.busyUs(), 'awake', this.name, () => {
      this.#wakes = false;
      // Each call is an event of its own, as the real loop makes them: promises settle in between.
      if (!this.ended && this.busyUs() === 0) this.#run(this.#deferred.shift() as () => void);
      if (!this.ended && this.#deferred.length > 0) this.#wake();
    });
  }

  #run(callback: () => void): void {
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
    this.#deferred = [];
    for (const ending of this.#endings) ending();
    this.#endings.clear();
  }
}
