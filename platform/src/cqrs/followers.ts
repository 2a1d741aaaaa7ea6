/** Live streams: whoever follows an aggregate reads its events from the log and is woken by each commit. */
import { notOpenError } from '../events/group-commit.ts';
import type { Entry, Log } from '../events/log.ts';

export interface Followers {
  committed(entries: readonly Entry[]): void;
  /**
   * Events behind `afterVersion`, then live ones, until the signal.
   * @throws CardumeError `partition-unavailable` when the partition has moved away
   */
  follow(partition: number, stream: string, afterVersion: number, signal: AbortSignal): AsyncIterable<Entry>;
}

const PAGE_EVENTS = 100;

interface Follower {
  /** New events may be there. */
  dirty: boolean;
  wake: () => void;
}

export function openFollowers(log: Log): Followers {
  const byStream = new Map<string, Set<Follower>>();
  const isHere = (partition: number): boolean => log.heads().some((head) => head.partition === partition);
  // Whoever waits for events of a partition that has moved away looks up, and is told.
  log.onFailed(() => {
    for (const followers of byStream.values()) for (const { wake } of followers) wake();
  });
  return {
    committed(entries) {
      if (byStream.size === 0) return;
      for (const entry of entries) {
        for (const follower of byStream.get(entry.stream) ?? []) {
          follower.dirty = true;
          follower.wake();
        }
      }
    },
    async *follow(partition, stream, afterVersion, signal) {
      const follower: Follower = { dirty: true, wake: () => undefined };
      const peers = byStream.get(stream) ?? new Set();
      byStream.set(stream, peers.add(follower));
      const onAbort = (): void => follower.wake();
      signal.addEventListener('abort', onAbort);
      try {
        let after = afterVersion;
        while (!signal.aborted) {
          if (!isHere(partition)) throw notOpenError(partition);
          if (!follower.dirty) {
            await new Promise<void>((resolve) => {
              follower.wake = resolve;
              if (follower.dirty || signal.aborted) resolve();
            });
            continue;
          }
          follower.dirty = false;
          let page: Entry[];
          do {
            page = await log.readStream(partition, stream, after + 1, PAGE_EVENTS);
            for (const entry of page) {
              if (signal.aborted) return;
              after = entry.version as number;
              yield entry;
            }
          } while (page.length === PAGE_EVENTS);
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
        peers.delete(follower);
        if (peers.size === 0) byStream.delete(stream);
      }
    },
  };
}
