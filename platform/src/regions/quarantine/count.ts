/** How many entries of each shelf nobody has decided about: counted at the start and after a cut, and kept by what is decided. */
import { isCardumeError } from '../../base/errors.ts';
import { nameOf, pagesOf, type Shelf } from './shelf.ts';

export interface QuarantineCount {
  /** Counts anew, by and by. */
  begin(shelves: readonly Shelf[]): void;
  settled(shelf: Shelf, entries: number): void;
  sum(): number;
}

/** Of a shelf; what stands behind them is not counted. */
const COUNTED_ENTRIES_MAX = 100_000;

export function openCount(): QuarantineCount {
  const counts = new Map<string, number>();
  /** What was decided while the shelf is counted may be in the count, or not. */
  const underWay = new Map<string, { isStale: boolean }>();

  async function count(shelf: Shelf): Promise<void> {
    const name = nameOf(shelf);
    const own = { isStale: false };
    underWay.set(name, own);
    let undecided = 0;
    let lookedAt = 0;
    for await (const page of pagesOf(shelf, null, null)) {
      undecided += page.filter(({ settled }) => settled === null).length;
      lookedAt += page.length;
      if (lookedAt >= COUNTED_ENTRIES_MAX) break;
    }
    if (underWay.get(name) !== own) return;
    underWay.delete(name);
    counts.set(name, undecided);
    if (own.isStale) await count(shelf);
  }

  return {
    begin(shelves) {
      void (async () => {
        for (const shelf of shelves) await count(shelf);
      })().catch((error: unknown) => {
        // The log closes, or cannot be read now: it is a number for people, and counted again at the next start.
        if (!isCardumeError(error)) throw error;
      });
    },
    settled(shelf, entries) {
      const name = nameOf(shelf);
      counts.set(name, Math.max(0, (counts.get(name) ?? 0) - entries));
      const counting = underWay.get(name);
      if (counting !== undefined) counting.isStale = true;
    },
    sum: () => [...counts.values()].reduce((sum, own) => sum + own, 0),
  };
}
