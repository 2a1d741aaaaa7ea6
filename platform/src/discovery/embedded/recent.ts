/**
 * The last changes, for whoever watches. Watchers hold a revision and no queue: one that is slow costs nothing, and one that
 * falls behind what is kept is told so.
 */
import { CardumeError } from '../../base/errors.ts';
import type { News } from '../coordinator.ts';

export interface Recent {
  /** What one revision brought; later than any before. */
  publish(news: readonly News[]): void;
  /** Ends when the signal does. @throws CardumeError `partition-unavailable` when what lies behind the revision is forgotten */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<readonly News[]>;
}

export interface RecentBounds {
  readonly newsMax: number;
  /** Keys and values. */
  readonly charsMax: number;
}

/** @param revision what came before it is not known here */
export function recentNews(revision: number, { newsMax, charsMax }: RecentBounds): Recent {
  /** In order; `first` and those behind it are kept. */
  let batches: (readonly News[])[] = [];
  let first = 0;
  let forgottenTo = revision;
  let latest = revision;
  let count = 0;
  let chars = 0;
  const waiting = new Set<() => void>();

  const revisionOf = (batch: readonly News[]): number => (batch[0] as News).revision;
  const charsOf = (batch: readonly News[]): number =>
    batch.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);

  /** @returns the first batch behind the revision */
  function behind(afterRevision: number): readonly News[] | undefined {
    let low = first;
    let high = batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (revisionOf(batches[middle] as readonly News[]) > afterRevision) high = middle;
      else low = middle + 1;
    }
    return batches[low];
  }

  function checkKnown(afterRevision: number): void {
    if (afterRevision >= forgottenTo && afterRevision <= latest) return;
    const why =
      afterRevision > latest
        ? `the coordinator stands at revision ${latest} and knows nothing of ${afterRevision}`
        : `the coordinator has forgotten what came before revision ${forgottenTo}`;
    throw new CardumeError('partition-unavailable', `${why}: read again, and watch from there`);
  }

  return {
    publish(news) {
      if (news.length === 0) return;
      batches.push(news);
      latest = revisionOf(news);
      count += news.length;
      chars += charsOf(news);
      while (first < batches.length && (count > newsMax || chars > charsMax)) {
        const batch = batches[first] as readonly News[];
        count -= batch.length;
        chars -= charsOf(batch);
        forgottenTo = revisionOf(batch);
        first += 1;
      }
      // What was forgotten leaves the list when it is half of it: each batch is moved once at most, on average.
      if (first * 2 > batches.length) {
        batches = batches.slice(first);
        first = 0;
      }
      for (const wake of [...waiting]) wake();
    },
    async *watch(prefix, afterRevision, signal) {
      let at = afterRevision;
      while (!signal.aborted) {
        checkKnown(at);
        const batch = behind(at);
        if (batch === undefined) {
          await new Promise<void>((resolve) => {
            const wake = (): void => {
              waiting.delete(wake);
              signal.removeEventListener('abort', wake);
              resolve();
            };
            waiting.add(wake);
            signal.addEventListener('abort', wake);
          });
          continue;
        }
        at = revisionOf(batch);
        const news = batch.filter(({ key }) => key.startsWith(prefix));
        if (news.length > 0) yield news;
      }
    },
  };
}
