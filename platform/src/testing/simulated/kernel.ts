/**
 * The heart of the simulation: virtual time and one queue of events. An event is a call at a time; events due at the
 * same time happen in an order that the seed decides. Between two events the kernel waits for one turn of the real
 * event loop: promises settle in microtasks, all of which run before the next turn, so a chain of promises of any
 * length is at rest when the next event happens. Hence a run is a function of its seed, as long as the code under
 * test waits for nothing outside: real I/O, WebCrypto and thread pools finish in arbitrary order. What must wait for
 * the outside (loading a module) goes through `hold`, which stops virtual time until it is done.
 *
 * Time is counted in whole microseconds from the start: 2^53 of them are 285 years.
 */
import { assert } from '../../base/assert.ts';
import { guardOutside, realTurn } from './guards.ts';
import { type RandomStream, randomStream } from './stream.ts';

export interface Scheduled {
  /** The event will not happen. */
  cancel(): void;
}

/** `seeded`: among events due at the same time, the seed decides. `last`: after them, first in, first out. */
export type Order = 'seeded' | 'last';

export interface Trace {
  /** Running hash over time, kind and label of all events so far: equal runs have equal hashes. */
  readonly hash: string;
  readonly events: number;
}

interface KernelEvent extends Scheduled {
  readonly atUs: number;
  readonly tie: number;
  readonly sequence: number;
  readonly kind: string;
  readonly label: string;
  run: (() => void) | null;
}

interface Held {
  readonly outcome: Promise<PromiseSettledResult<unknown>[]>;
  readonly resume: (outcome: PromiseSettledResult<unknown>) => void;
}

const LAST = 2 ** 32;
const RECENT_EVENTS = 64;
/** Cancelled events leave the queue when they are this many and more than half of it. */
const CANCELLED_EVENTS_MAX = 1024;

const before = (a: KernelEvent, b: KernelEvent): boolean =>
  a.atUs !== b.atUs ? a.atUs < b.atUs : a.tie !== b.tie ? a.tie < b.tie : a.sequence < b.sequence;

export class Kernel {
  readonly seed: number;
  nowUs = 0;
  #queue: KernelEvent[] = [];
  #cancelled = 0;
  #sequence = 0;
  #running = false;
  readonly #ties: RandomStream;
  readonly #held: Held[] = [];
  #hashA = 0x811c9dc5;
  #hashB = 0x9e3779b9;
  #events = 0;
  readonly #recent: string[] = [];
  /** Sees each event as it happens. */
  onEvent: ((atUs: number, kind: string, label: string) => void) | null = null;

  constructor(seed: number) {
    this.seed = seed;
    this.#ties = randomStream(seed, 'kernel');
  }

  stream(name: string): RandomStream {
    return randomStream(this.seed, name);
  }

  /** @param delayUs from now; @param kind @param label what the trace calls it: the same in every run of a seed */
  at(delayUs: number, kind: string, label: string, run: () => void, order: Order = 'seeded'): Scheduled {
    assert(delayUs >= 0, `an event lies in the future, not ${delayUs} us from now`);
    this.#sequence += 1;
    const event: KernelEvent = {
      atUs: this.nowUs + Math.round(delayUs),
      tie: order === 'last' ? LAST : this.#ties.uint32(),
      sequence: this.#sequence,
      kind,
      label,
      run,
      cancel: () => this.#cancel(event),
    };
    this.#queue.push(event);
    this.#rise(this.#queue.length - 1);
    return event;
  }

  /** Stops virtual time until the work is done; several resume in the order in which they were held. */
  hold<T>(work: () => Promise<T>, resume: (outcome: PromiseSettledResult<T>) => void): void {
    guardOutside(false);
    this.#held.push({ outcome: Promise.allSettled([work()]), resume: resume as Held['resume'] });
  }

  #guard(): void {
    guardOutside(this.#running && this.#held.length === 0);
  }

  /**
   * Makes events happen until the promise settles (and hands over its value), the condition holds, or the virtual
   * time has come (milliseconds from the start).
   * @throws Error when that would take more than `virtualMsMax`, or nothing is left that could happen
   */
  run<T>(until: Promise<T>, virtualMsMax?: number): Promise<T>;
  run(until: number | (() => boolean), virtualMsMax?: number): Promise<void>;
  async run<T>(until: Promise<T> | number | (() => boolean), virtualMsMax = 60_000): Promise<T | undefined> {
    if (typeof until === 'number') {
      await this.#advanceTo(Math.round(until * 1000));
      return undefined;
    }
    if (typeof until === 'function') {
      await this.#runUntil(until, virtualMsMax);
      return undefined;
    }
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    until.then(settle, settle);
    await this.#runUntil(() => settled, virtualMsMax);
    return until;
  }

  /** Everything that is due in the next milliseconds happens, and the clock stands at their end. */
  advance(virtualMs: number): Promise<void> {
    return this.#advanceTo(this.nowUs + Math.round(virtualMs * 1000));
  }

  trace(): Trace {
    const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, '0');
    return { hash: hex(this.#hashA) + hex(this.#hashB), events: this.#events };
  }

  /** Takes something that happened beside the events (an answer, a file's bytes) into the hash. */
  note(text: string): void {
    for (let i = 0; i < text.length; i += 1) this.#mix(text.charCodeAt(i));
    this.#mix(-1);
  }

  /** The last events, oldest first: where two runs part, or why one stands still. */
  recent(): readonly string[] {
    const oldest = this.#events % RECENT_EVENTS;
    return [...this.#recent.slice(oldest), ...this.#recent.slice(0, oldest)];
  }

  async #runUntil(done: () => boolean, virtualMsMax: number): Promise<void> {
    const endUs = this.nowUs + virtualMsMax * 1000;
    await this.#alone(async () => {
      for (;;) {
        await this.#rest();
        if (done()) return;
        const next = this.#next();
        if (next === undefined) throw this.#standstill('nothing is left that could happen');
        if (next.atUs > endUs) throw this.#standstill(`${virtualMsMax} virtual ms have passed`);
        this.#execute();
      }
    });
  }

  async #advanceTo(endUs: number): Promise<void> {
    assert(endUs >= this.nowUs, `virtual time does not go back from ${this.nowUs} to ${endUs} us`);
    await this.#alone(async () => {
      for (;;) {
        await this.#rest();
        const next = this.#next();
        if (next === undefined || next.atUs > endUs) break;
        this.#execute();
      }
    });
    this.nowUs = endUs;
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    assert(!this.#running, 'one run at a time: await the first, or pass both conditions as one');
    this.#running = true;
    this.#guard();
    try {
      await work();
    } finally {
      this.#running = false;
      this.#guard();
    }
  }

  /** Until all promises that can settle now have settled. */
  async #rest(): Promise<void> {
    await realTurn();
    for (let held = this.#held[0]; held !== undefined; held = this.#held[0]) {
      const [outcome] = await held.outcome;
      this.#held.shift();
      this.#guard();
      held.resume(outcome as PromiseSettledResult<unknown>);
      await realTurn();
    }
  }

  #execute(): void {
    const event = this.#pop();
    this.nowUs = event.atUs;
    this.#mix(event.atUs % LAST);
    this.#mix(Math.floor(event.atUs / LAST));
    for (const text of [event.kind, event.label]) {
      for (let i = 0; i < text.length; i += 1) this.#mix(text.charCodeAt(i));
      this.#mix(-1);
    }
    this.#recent[this.#events % RECENT_EVENTS] = `${event.atUs / 1000} ms ${event.kind} ${event.label}`;
    this.#events += 1;
    this.onEvent?.(event.atUs, event.kind, event.label);
    const { run } = event;
    event.run = null;
    run?.();
  }

  #mix(value: number): void {
    this.#hashA = Math.imul(this.#hashA ^ value, 0x01000193);
    this.#hashA ^= this.#hashA >>> 15;
    this.#hashB = Math.imul(this.#hashB ^ value, 0x85ebca77);
    this.#hashB ^= this.#hashB >>> 13;
  }

  #standstill(why: string): Error {
    const last = this.recent().slice(-8).join('\n  ');
    return new Error(
      `seed ${this.seed}, ${this.nowUs / 1000} ms: ${why}, and what was awaited is not there. The last events:\n  ${last}`,
    );
  }

  #cancel(event: KernelEvent): void {
    if (event.run === null) return;
    event.run = null;
    this.#cancelled += 1;
    if (this.#cancelled < CANCELLED_EVENTS_MAX || this.#cancelled * 2 < this.#queue.length) return;
    this.#queue = this.#queue.filter(({ run }) => run !== null).sort((a, b) => (before(a, b) ? -1 : 1));
    this.#cancelled = 0;
  }

  /** The next event that will happen. */
  #next(): KernelEvent | undefined {
    for (;;) {
      const first = this.#queue[0];
      if (first === undefined || first.run !== null) return first;
      this.#pop();
      this.#cancelled -= 1;
    }
  }

  /** A binary heap: the children of i stand at 2 i + 1 and 2 i + 2, and none happens before its parent. */
  #pop(): KernelEvent {
    const queue = this.#queue;
    const first = queue[0] as KernelEvent;
    const last = queue.pop() as KernelEvent;
    if (queue.length > 0) {
      queue[0] = last;
      this.#sink();
    }
    return first;
  }

  #rise(from: number): void {
    const queue = this.#queue;
    const event = queue[from] as KernelEvent;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, queue[parent] as KernelEvent)) break;
      queue[at] = queue[parent] as KernelEvent;
      at = parent;
    }
    queue[at] = event;
  }

  #sink(): void {
    const queue = this.#queue;
    const event = queue[0] as KernelEvent;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= queue.length) break;
      const right = queue[child + 1];
      if (right !== undefined && before(right, queue[child] as KernelEvent)) child += 1;
      if (!before(queue[child] as KernelEvent, event)) break;
      queue[at] = queue[child] as KernelEvent;
      at = child;
    }
    queue[at] = event;
  }
}
