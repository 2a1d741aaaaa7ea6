/**
 * One reader's way through a partition: the log up to what was announced, then live entries.
 *
 * Live entries wait in a bounded buffer. A reader that falls behind loses the buffer, not entries: it reads them from
 * the log, so a slow one never grows memory. Only announced entries are read (durable, and seen by the tail), so that
 * who hears of an entry also finds it in the read models.
 */
import { assert } from '../base/assert.ts';
import type { Entry } from './log.ts';

/** Live entries that wait for one reader, and entries of one read. */
export const BUFFER_ENTRIES_MAX = 256;

export interface Subscription extends AsyncIterableIterator<Entry> {
  /** Entries of the partition, announced now. */
  announce(entries: readonly Entry[]): void;
  /** Ends it: with the error when one is given, after what was announced. */
  end(error: Error | null): void;
}

export interface SubscriptionSource {
  /** Where to begin; checks the token. */
  start(): Promise<number>;
  /** The last announced position. */
  announced(): number;
  read(afterPosition: number, entriesMax: number): Promise<Entry[]>;
  onEnd(): void;
}

export function openSubscription(source: SubscriptionSource): Subscription {
  let last: number | null = null;
  let buffer: Entry[] = [];
  let ended = false;
  let failure: Error | null = null;
  let wake: (() => void) | null = null;
  let busy = false;
  /** Nobody wants more. */
  let over = false;

  async function begin(): Promise<number> {
    try {
      last = await source.start();
      return last;
    } catch (error) {
      ended = true;
      source.onEnd();
      throw error;
    }
  }

  async function next(): Promise<Entry | null> {
    const after = last ?? (await begin());
    while (buffer.length > 0 && (buffer[0] as Entry).position <= after) buffer.shift();
    if (buffer[0]?.position !== after + 1) {
      const behind = source.announced() - after;
      if (behind <= 0) return null;
      // What is announced meanwhile is lost from the buffer, and read later.
      buffer = await source.read(after, Math.min(behind, BUFFER_ENTRIES_MAX));
    }
    const entry = buffer.shift() as Entry;
    last = entry.position;
    return entry;
  }

  /** The log may close while it is read. */
  function nextOrOver(): Promise<Entry | null> {
    return next().catch((error: unknown) => {
      if (over) return null;
      throw error;
    });
  }

  return {
    async next() {
      assert(!busy, 'one `next` of a subscription at a time');
      busy = true;
      try {
        for (;;) {
          const entry = ended ? null : await nextOrOver();
          if (ended) return { done: true, value: undefined };
          if (entry !== null) return { done: false, value: entry };
          if (failure !== null) {
            ended = true;
            source.onEnd();
            throw failure;
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        busy = false;
      }
    },
    async return() {
      this.end(null);
      return { done: true, value: undefined };
    },
    announce(entries) {
      if (buffer.length + entries.length <= BUFFER_ENTRIES_MAX) buffer.push(...entries);
      else buffer = [];
      wake?.();
    },
    end(error) {
      if (ended || failure !== null) return;
      failure = error;
      if (error === null) {
        over = true;
        ended = true;
        buffer = [];
        source.onEnd();
      }
      wake?.();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
