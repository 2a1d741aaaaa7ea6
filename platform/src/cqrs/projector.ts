/**
 * Folds committed entries into read models, on the shard's writer thread, before the commands are answered.
 *
 * Exactly once: rows and checkpoint commit in one transaction, and an entry at or below the checkpoint is passed
 * over. What a failure of the storage took is folded again from the log. All builds that follow the log share one
 * checkpoint per partition, so that a batch costs one row per partition. One that halts keeps its own from then on; so
 * does one that is new, and is built a page at a time while all else goes on. A partition whose log is about to be cut loses
 * what was folded beyond the cut, and is then folded again in the same way.
 */
import type { Entry, Head } from '../events/log.ts';
import type { TailSource } from '../events/tail.ts';
import { AT_ONCE_ENTRIES_MAX, type Building, type Refolding, type Walk, walkAlone } from './building.ts';
import { foldEntries } from './fold-entries.ts';
import type { Projection } from './projection.ts';
import type { ReadModels } from './storage.ts';
import type { Upcasters } from './upcasting.ts';

export interface Halt {
  readonly projection: string;
  readonly tables: readonly string[];
  readonly reason: string;
}

export interface Projector {
  /** Brings the projections up to the log's head, but for those that are far from it. A halted one is tried again. */
  catchUp(): Promise<void>;
  /** Projections that stand still now. */
  halts(): readonly Halt[];
  /** Projections that are far behind the log, and are being built. */
  building(): readonly Building[];
  /** Partitions that are far behind their log, or about to be cut, and are folded again. */
  refolding(): readonly Refolding[];
  /** Folds a page of what is being built, or folded again. */
  build(): Promise<void>;
  /**
   * Discards what of a copy was folded beyond the position, in parts: see `ReadModels.discard`. From the first part on the
   * partition is folded no further, until the log has it as a copy again; then from its beginning, by `build`.
   * @returns how many rows: fewer than `rowsMax` means that none is left
   */
  discard(partition: number, afterPosition: number, rowsMax: number): Promise<number>;
  /** It has moved away. */
  leave(partition: number): void;
  /** Entries in order of position within each partition. @returns the projections that halted on them */
  fold(entries: readonly Entry[]): Promise<readonly Halt[]>;
}

/** Name of the checkpoint that those share which follow the log. */
const SHARED = '';
/** Of a page. */
const CATCH_UP_ENTRIES = 2_000;
/** Short, since appends wait for it. */
const BUILD_ENTRIES = 256;
/** Of what was cut off in the middle. */
const DISCARDED_ROWS = 1_000;

export function openProjector(
  readModels: ReadModels,
  projections: readonly Projection[],
  upcasters: Upcasters,
  source: TailSource,
): Projector {
  const { checkpoints } = readModels;
  const buildOf = new Map(readModels.builds.map(({ projection, name }) => [projection, name]));
  const halted = new Map<string, Halt>();
  const walks = new Map<string, Walk>();
  const refolding = new Set<number>();
  /** Partitions of which nothing is left that somebody had begun to discard. */
  const whole = new Set<number>();
  let interest = reactionsByType(projections);

  const nameOf = ({ name }: Projection): string => buildOf.get(name) as string;

  function leaveOut(names: ReadonlySet<string>): void {
    interest = reactionsByType(projections.filter(({ name }) => !names.has(name)));
  }

  const leaveOutThose = (): void => leaveOut(new Set([...halted.keys(), ...walks.keys()]));

  function walkApart(): void {
    walks.clear();
    for (const projection of projections) {
      if (!checkpoints.isApart(nameOf(projection))) continue;
      const walk = walkAlone(readModels, projection, nameOf(projection), upcasters, source, (partition) =>
        checkpoints.position(SHARED, partition),
      );
      walks.set(projection.name, walk);
    }
  }

  async function halt(projection: Projection, error: unknown): Promise<Halt> {
    const reason = error instanceof Error ? error.message : String(error);
    const entry = {
      projection: projection.name,
      tables: projection.tables.map((table) => table.name),
      reason,
    };
    await checkpoints.fork(SHARED, nameOf(projection));
    halted.set(projection.name, entry);
    walks.delete(projection.name);
    leaveOutThose();
    return entry;
  }

  /** Entries that an earlier fold missed, because the storage failed then, are read from the log first. */
  async function withMissing(entries: readonly Entry[]): Promise<readonly Entry[]> {
    const missing: Entry[] = [];
    const seen = new Set<number>();
    for (const entry of entries) {
      if (seen.has(entry.partition)) continue;
      seen.add(entry.partition);
      let position = checkpoints.position(SHARED, entry.partition);
      while (position < entry.position - 1) {
        const page = await source.read(
          entry.partition,
          position,
          Math.min(CATCH_UP_ENTRIES, entry.position - 1 - position),
        );
        missing.push(...page);
        position = page.at(-1)?.position ?? entry.position;
      }
    }
    return missing.length === 0 ? entries : [...missing, ...entries];
  }

  /** Where nobody follows, the last entry is enough to say where those stand who will. */
  async function passOver({ partition, position }: Head): Promise<void> {
    const from = Math.max(checkpoints.position(SHARED, partition), position - 1);
    const last = await source.read(partition, from, CATCH_UP_ENTRIES);
    if (last.length > 0) await foldEntries(readModels, upcasters, last, SHARED, () => undefined);
  }

  async function fold(committed: readonly Entry[]): Promise<readonly Halt[]> {
    const now =
      refolding.size === 0 ? committed : committed.filter(({ partition }) => !refolding.has(partition));
    return now.length === 0 ? [] : foldNow(now);
  }

  async function foldNow(committed: readonly Entry[]): Promise<readonly Halt[]> {
    const entries = interest.size === 0 ? committed : await withMissing(committed);
    const halts: Halt[] = [];
    for (;;) {
      const failed = await foldEntries(readModels, upcasters, entries, SHARED, ({ type }) =>
        interest.get(type),
      );
      if (failed === null) return halts;
      halts.push(await halt(failed.culprit, failed.error));
    }
  }

  /** @returns whether there is more to fold */
  async function step(walk: Walk, entriesMax: number): Promise<boolean> {
    const result = await walk.step(entriesMax);
    if (result === null) return true;
    if (result === 'ahead') return false;
    if (result !== 'done') {
      await halt(walk.projection, result.error);
      return false;
    }
    await checkpoints.join(walk.build);
    walks.delete(walk.projection.name);
    leaveOutThose();
    return false;
  }

  const isFar = ({ partition, position }: Head): boolean =>
    checkpoints.position(SHARED, partition) === 0 && position > AT_ONCE_ENTRIES_MAX;

  /** @returns whether there is more to delete of what a process that ended had begun to discard */
  async function discardRest(partition: number): Promise<boolean> {
    if (whole.has(partition) || checkpoints.position(SHARED, partition) > 0) return false;
    const rows = await readModels.discard(partition, Number.MAX_SAFE_INTEGER, DISCARDED_ROWS);
    if (rows < DISCARDED_ROWS) whole.add(partition);
    return rows === DISCARDED_ROWS;
  }

  async function follow(head: Head): Promise<void> {
    while (await discardRest(head.partition));
    if (interest.size === 0) {
      await passOver(head);
      return;
    }
    if (isFar(head)) {
      refolding.add(head.partition);
      return;
    }
    for (;;) {
      const position = checkpoints.position(SHARED, head.partition);
      const entries = await source.read(head.partition, position, CATCH_UP_ENTRIES);
      if (entries.length === 0) return;
      await foldNow(entries);
    }
  }

  /** A page of the partition, if its log is not being cut. */
  async function refold(partition: number): Promise<void> {
    refolding.delete(partition);
    refolding.add(partition); // behind the others
    const head = source.heads().find((one) => one.partition === partition);
    if (head === undefined || (await discardRest(partition))) return;
    if (interest.size === 0) await passOver(head);
    else {
      const position = checkpoints.position(SHARED, partition);
      const entries = await source.read(partition, position, BUILD_ENTRIES);
      if (entries.length > 0) await foldNow(entries);
    }
    if (checkpoints.position(SHARED, partition) >= head.position) refolding.delete(partition);
  }

  return {
    async catchUp() {
      await checkpoints.refresh();
      const before = [...halted.values()];
      halted.clear();
      walkApart();
      leaveOutThose();
      try {
        for (const head of source.heads()) if (!refolding.has(head.partition)) await follow(head);
        for (const walk of [...walks.values()]) {
          if (walk.progress().entriesLeft > AT_ONCE_ENTRIES_MAX) continue;
          while (await step(walk, CATCH_UP_ENTRIES));
        }
      } catch (error) {
        // What had halted before has not caught up.
        for (const halt of before) if (!halted.has(halt.projection)) halted.set(halt.projection, halt);
        throw error;
      }
    },
    halts: () => [...halted.values()],
    building: () => [...walks.values()].map((walk) => walk.progress()),
    refolding() {
      const heads = new Map(source.heads().map(({ partition, position }) => [partition, position]));
      return [...refolding].map((partition) => {
        const entriesFolded = checkpoints.position(SHARED, partition);
        const entriesLeft = Math.max(0, (heads.get(partition) ?? 0) - entriesFolded);
        return { partition, entriesFolded, entriesLeft };
      });
    },
    async discard(partition, afterPosition, rowsMax) {
      if (checkpoints.position(SHARED, partition) > afterPosition) refolding.add(partition);
      whole.delete(partition);
      return readModels.discard(partition, afterPosition, rowsMax);
    },
    leave: (partition) => void refolding.delete(partition),
    async build() {
      const [partition] = refolding;
      if (partition !== undefined) await refold(partition);
      const [walk] = walks.values();
      if (walk === undefined) return;
      try {
        await step(walk, BUILD_ENTRIES);
      } catch (error) {
        // Another process may build the same; and one build that fails holds up no other.
        await checkpoints.refresh();
        if (walks.delete(walk.projection.name)) walks.set(walk.projection.name, walk);
        throw error;
      }
    },
    fold,
  };
}

function reactionsByType(projections: readonly Projection[]): Map<string, Projection[]> {
  const byType = new Map<string, Projection[]>();
  for (const projection of projections) {
    for (const type of Object.keys(projection.on))
      byType.set(type, [...(byType.get(type) ?? []), projection]);
  }
  return byType;
}
