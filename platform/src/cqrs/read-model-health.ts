/**
 * What a shard's main thread knows of its read models: which have halted, which are being built, and whether all are
 * behind the log, since a fold failed for the storage's sake. Then it has them try again, until they have caught up; and
 * it has those built go on, page by page, with a rest between.
 */
import { CardumeError } from '../base/errors.ts';
import type { Clock, Timer } from '../host/host.ts';
import type { Building, Refolding } from './building.ts';
import type { Halt } from './projector.ts';

/** What does not follow the log now, or why none does; null: nothing has changed. */
export type FoldReport =
  | {
      readonly halts: readonly Halt[];
      readonly building: readonly Building[];
      readonly refolding: readonly Refolding[];
    }
  | { readonly error: string }
  | null;

export interface ReadModelHealth {
  /** Takes what the writer thread reports, in order. */
  told(report: FoldReport): void;
  /** @throws CardumeError `read-model-halted`, `read-model-building` */
  refuseHalted(table: string): void;
  /** @throws CardumeError `read-model-building` while one of them is folded again, or about to be */
  refuseRefolding(partitions: readonly number[]): void;
  /** Of the partition something is about to be discarded. @returns when a report tells of it, or there was nothing */
  expectRefolding(partition: number): () => void;
  building(): readonly Building[];
  close(): void;
}

export interface ReadModelHealthOptions {
  readonly clock: Clock;
  /** Has the writer thread fold what is missing. */
  readonly catchUp: () => Promise<FoldReport>;
  /** Has it fold a page of what is being built. */
  readonly build: () => Promise<FoldReport>;
  /** A line for the operator. */
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

const PAUSE_MS = 500;
/** Between pages, times what the page took: appends come first. */
const REST = 1;
const REST_MS_MAX = 200;

export function readModelHealth(options: ReadModelHealthOptions): ReadModelHealth {
  const { clock, catchUp, build, report } = options;
  const halted = new Map<string, Halt>();
  let building: readonly Building[] = [];
  let refolding: ReadonlyMap<number, Refolding> = new Map();
  const expected = new Set<number>();
  let behind: string | null = null;
  let nextTry: Timer | null = null;
  let nextPage: Timer | null = null;
  let isClosed = false;

  function halt(halts: readonly Halt[]): void {
    const before = new Set([...halted.values()].map(({ projection }) => projection));
    halted.clear();
    for (const one of halts) {
      if (!before.has(one.projection)) report('a projection has halted', { ...one });
      for (const table of one.tables) halted.set(table, one);
    }
  }

  function learnBuilding(now: readonly Building[]): void {
    const isAmong = (some: readonly Building[], name: string): boolean =>
      some.some(({ projection }) => projection === name);
    for (const { projection, entriesLeft } of now)
      if (!isAmong(building, projection)) report('a read model is being built', { projection, entriesLeft });
    for (const { projection, tables } of building)
      if (!isAmong(now, projection) && !tables.some((table) => halted.has(table)))
        report('a read model is built', { projection });
    building = now;
  }

  function learnRefolding(now: readonly Refolding[]): void {
    const before = refolding;
    refolding = new Map(now.map((one) => [one.partition, one]));
    for (const { partition, entriesLeft } of now)
      if (!before.has(partition))
        report('read models of a partition are folded again', { partition, entriesLeft });
    for (const partition of before.keys())
      if (!refolding.has(partition))
        report('read models of a partition are folded up to the log', { partition });
  }

  const hasWork = (): boolean => building.length > 0 || refolding.size > 0;

  function buildOn(restMs: number): void {
    if (hasWork() && !isClosed) nextPage ??= clock.after(restMs, () => void buildPage());
  }

  async function buildPage(): Promise<void> {
    const sinceMs = clock.monotonicMs();
    const before = entriesLeft([...building, ...refolding.values()]);
    try {
      const now = await build();
      const left = now !== null && 'halts' in now ? entriesLeft([...now.building, ...now.refolding]) : before;
      // What has not come further waits for something else, such as a cut that is under way.
      const tookMs = (clock.monotonicMs() - sinceMs) * REST;
      const restMs = left === before ? REST_MS_MAX : Math.min(REST_MS_MAX, tookMs);
      // Before it is told: whoever is told goes on at once.
      if (isClosed) return;
      nextPage = clock.after(behind === null ? restMs : PAUSE_MS, () => void buildPage());
      told(now);
      if (!hasWork()) stopBuilding();
    } catch (error) {
      if (!isClosed) report('a read model could not be built further', { error });
      stopBuilding();
      buildOn(PAUSE_MS);
    }
  }

  function stopBuilding(): void {
    nextPage?.cancel();
    nextPage = null;
  }

  function told(fold: FoldReport): void {
    if (fold === null) {
      behind = null;
    } else if ('halts' in fold) {
      behind = null;
      halt(fold.halts);
      learnBuilding(fold.building);
      learnRefolding(fold.refolding);
      buildOn(0);
    } else {
      if (behind === null) report('the read models could not follow', { error: fold.error });
      behind = fold.error;
      // The next commit would catch up, too, but there may be none.
      if (!isClosed) nextTry ??= clock.after(PAUSE_MS, () => void tryAgain());
    }
  }

  async function tryAgain(): Promise<void> {
    nextTry = null;
    if (behind !== null && !isClosed)
      told(await catchUp().catch(({ message }: Error) => ({ error: message })));
  }

  return {
    told,
    refuseHalted(table) {
      const one = halted.get(table);
      if (one !== undefined) throw new CardumeError('read-model-halted', `'${one.projection}' has halted`);
      if (behind !== null) throw new CardumeError('read-model-halted', 'the read models are behind the log');
      const built = building.find(({ tables }) => tables.includes(table));
      if (built === undefined) return;
      const { projection, entriesFolded, entriesLeft } = built;
      const share = Math.floor((100 * entriesFolded) / Math.max(1, entriesFolded + entriesLeft));
      throw new CardumeError('read-model-building', `'${projection}' is being built: ${share} % of the log`);
    },
    refuseRefolding(partitions) {
      if (refolding.size === 0 && expected.size === 0) return;
      for (const partition of partitions) {
        const one = refolding.get(partition);
        if (one === undefined && !expected.has(partition)) continue;
        const { entriesFolded = 0, entriesLeft = 0 } = one ?? {};
        const share = Math.floor((100 * entriesFolded) / Math.max(1, entriesFolded + entriesLeft));
        throw new CardumeError(
          'read-model-building',
          `the read models of partition ${partition} are folded again: ${share} % of its log`,
        );
      }
    },
    expectRefolding(partition) {
      expected.add(partition);
      return () => void expected.delete(partition);
    },
    building: () => building,
    close() {
      isClosed = true;
      nextTry?.cancel();
      stopBuilding();
    },
  };
}

function entriesLeft(some: readonly Pick<Building, 'entriesLeft'>[]): number {
  return some.reduce((sum, one) => sum + one.entriesLeft, 0);
}
