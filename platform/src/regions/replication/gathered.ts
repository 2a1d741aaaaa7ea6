/**
 * What comes from a home while a follower writes what came before: taken together, it is written in one transaction. One
 * parcel after another, each with the few entries of a commit or two, they would queue on the line behind a slower disk,
 * and copies be seconds behind at a load that a home bears with ease.
 */
import type { Json } from '../../base/json.ts';
import { type Page, type Parcel, type PartitionOf, unpackPages } from './pages.ts';

/** Parcels, unpacked. */
export interface Arrived {
  /** Of each partition one at most. */
  readonly pages: readonly Page[];
  readonly diverged: readonly PartitionOf[];
  readonly gone: readonly PartitionOf[];
  readonly came: readonly PartitionOf[];
}

/** Taken from the line before they are asked for; beyond it they wait there, and then their sender does. */
const PARCELS_AHEAD_MAX = 16;
/** Written together, when each is smaller: appends of this region wait meanwhile. */
const GATHERED_ENTRIES_MAX = 2_048;

/**
 * @param stream parcels, as they come, until the signal: whoever ends early gives it, since the stream may be waiting
 * @throws what the stream does, behind what came before; `internal` for what is no parcel
 */
export async function* gathered(
  stream: AsyncIterable<Json>,
  signal: AbortSignal,
): AsyncGenerator<Arrived, void, undefined> {
  const waiting: Arrived[] = [];
  let isOver = false;
  let failure: unknown = null;
  let came = (): void => undefined;
  let taken = (): void => undefined;

  async function pull(): Promise<void> {
    try {
      for await (const item of stream) {
        if (isOver) return;
        waiting.push(unpacked(item as unknown as Parcel));
        came();
        while (waiting.length >= PARCELS_AHEAD_MAX && !isOver)
          await new Promise<void>((resolve) => {
            taken = resolve;
          });
      }
    } catch (error) {
      failure = error;
    } finally {
      isOver = true;
      came();
    }
  }

  void pull();
  try {
    while (!signal.aborted) {
      if (waiting.length > 0) {
        yield joined(waiting);
        taken();
      } else if (isOver) {
        if (failure !== null) throw failure;
        return;
      } else
        await new Promise<void>((resolve) => {
          came = resolve;
        });
    }
  } finally {
    isOver = true;
    taken();
  }
}

function unpacked({ pages, diverged, gone, came }: Parcel): Arrived {
  return { pages: pages === '' ? [] : unpackPages(pages), diverged, gone, came };
}

/** Takes the first, and those behind it that may be written with it. */
function joined(waiting: Arrived[]): Arrived {
  const first = waiting.shift() as Arrived;
  if (!isPlain(first)) return first;
  const pages = new Map<string, Page>();
  let entries = 0;
  for (let next: Arrived | undefined = first; next !== undefined; ) {
    for (const page of next.pages) {
      const name = `${page.service}/${page.partition}`;
      pages.set(name, continued(pages.get(name), page));
      entries += page.entries.length;
    }
    const [after] = waiting;
    next = after !== undefined && mayJoin(pages, entries, after) ? waiting.shift() : undefined;
  }
  return { ...first, pages: [...pages.values()] };
}

/** Nothing is known by it but entries. */
const isPlain = ({ diverged, gone, came }: Arrived): boolean =>
  diverged.length + gone.length + came.length === 0;

function mayJoin(pages: ReadonlyMap<string, Page>, entries: number, after: Arrived): boolean {
  const own = after.pages.reduce((sum, page) => sum + page.entries.length, 0);
  if (!isPlain(after) || entries + own > GATHERED_ENTRIES_MAX) return false;
  return after.pages.every(({ service, partition, homeEpoch }) => {
    const before = pages.get(`${service}/${partition}`);
    return before === undefined || before.homeEpoch === homeEpoch;
  });
}

function continued(before: Page | undefined, page: Page): Page {
  if (before === undefined) return page;
  return {
    ...page,
    entries: [...before.entries, ...page.entries],
    keys: [...before.keys, ...page.keys],
  };
}
