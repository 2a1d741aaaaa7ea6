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
  start(): number;
  /** The last announced position. */
  announced(): number;
  read(afterPosition: number, entriesMax: number): Entry[];
  onEnd(): void;
}

export function openSubscription(source: SubscriptionSource): Subscription {
  let last: number | null = null;
  let buffer: Entry[] = [];
  let ended = false;
  let failure: Error | null = null;
  let wake: (() => void) | null = null;
  let waiting = false;

  function begin(): number {
    try {
      last = source.start();
      return last;
    } catch (error) {
      ended = true;
      source.onEnd();
      throw error;
    }
  }

  function next(): Entry | null {
    const after = last ?? begin();
    while (buffer.length > 0 && (buffer[0] as Entry).position <= after) buffer.shift();
    if (buffer[0]?.position !== after + 1) {
      const behind = source.announced() - after;
      if (behind <= 0) return null;
      buffer = source.read(after, Math.min(behind, BUFFER_ENTRIES_MAX));
    }
    const entry = buffer.shift() as Entry;
    last = entry.position;
    return entry;
  }

  return {
    async next() {
      assert(!waiting, 'one `next` of a subscription at a time');
      for (;;) {
        if (ended) return { done: true, value: undefined };
        const entry = next();
        if (entry !== null) return { done: false, value: entry };
        if (failure !== null) {
          ended = true;
          source.onEnd();
          throw failure;
        }
        waiting = true;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        waiting = false;
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
