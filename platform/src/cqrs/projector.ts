/**
 * Folds committed entries into read models, on the shard's writer thread, before the commands are answered.
 *
 * Exactly once: rows and checkpoint commit in one transaction, and an entry at or below the checkpoint is passed
 * over. What a failure of the storage took is folded again from the log. All healthy projections share one checkpoint
 * per partition, so that a batch costs one row per partition; one that halts keeps its own from then on.
 */
import { isCardumeError } from '../base/errors.ts';
import type { Entry } from '../events/log.ts';
import type { TailSource } from '../events/tail.ts';
import { isPassing } from '../host/disk.ts';
import type { Typed } from './aggregate.ts';
import type { Projection, RowsOf } from './projection.ts';
import type { Fold, ReadModels } from './storage.ts';
import { readEvent, type UpcastersByType } from './upcasting.ts';

export interface Halt {
  readonly projection: string;
  readonly tables: readonly string[];
  readonly reason: string;
}

export interface Projector {
  /** Brings every projection up to the log's head. A halted one is tried again. */
  catchUp(): Promise<void>;
  /** Projections that stand still now. */
  halts(): readonly Halt[];
  /** Entries in order of position within each partition. @returns the projections that halted on them */
  fold(entries: readonly Entry[]): Promise<readonly Halt[]>;
}

/** Name of the checkpoint that the healthy projections share. */
const SHARED = '';
const CATCH_UP_ENTRIES = 2_000;
/** Rows that are wanted lead to others at most so often, in one fold. */
const LOADS_MAX = 50;

type React = (event: never, about: { stream: string; version: number; atMs: number }, rows: RowsOf) => void;

/** What a fold came to: null, or whose fault it was that nothing of it stands. */
type Failed = { readonly culprit: Projection; readonly error: unknown } | null;

export function openProjector(
  readModels: ReadModels,
  projections: readonly Projection[],
  upcasters: UpcastersByType,
  source: TailSource,
): Projector {
  const { checkpoints } = readModels;
  const halted = new Map<string, Halt>();
  /** Projections that do not share the checkpoint now: they are halted, or catch up alone. */
  let outside = new Set<string>();
  let interest = reactionsByType(projections);

  function leaveOut(names: Iterable<string>): void {
    outside = new Set(names);
    interest = reactionsByType(projections.filter(({ name }) => !outside.has(name)));
  }

  function apply(fold: Fold, projection: Projection, entry: Entry, event: Typed): void {
    const react = projection.on[entry.type] as React;
    for (const table of projection.tables) fold.rows(table).at(entry.partition);
    const { stream, version, atMs } = entry;
    react(event as never, { stream, version: version as number, atMs }, fold.rows);
  }

  /**
   * One transaction; on failure nothing of it stays, and the culprit is named.
   * @param reactors who wants an entry
   */
  async function transact(
    entries: readonly Entry[],
    checkpoint: string,
    reactors: (entry: Entry) => readonly Projection[] | undefined,
  ): Promise<Failed> {
    const fold = await readModels.begin();
    let culprit: Projection | null = null;
    try {
      for (let loads = 0; ; loads += 1) {
        const moved = new Map<number, Entry>();
        for (const entry of entries) {
          if (entry.position <= checkpoints.position(checkpoint, entry.partition)) continue;
          moved.set(entry.partition, entry);
          const concerned = entry.version === null ? undefined : reactors(entry);
          if (concerned === undefined) continue;
          const event = readEvent(upcasters, entry.type, entry.data);
          for (const projection of concerned) {
            try {
              apply(fold, projection, entry, event);
            } catch (error) {
              if (fold.isWanting) continue;
              culprit = projection;
              throw error;
            }
          }
        }
        if (!fold.isWanting) {
          await fold.commit(
            [...moved.values()].map(({ partition, epoch, position: to }) => {
              const from = checkpoints.position(checkpoint, partition);
              return { projection: checkpoint, partition, from, epoch, to };
            }),
          );
          return null;
        }
        if (loads === LOADS_MAX) throw new Error(`a fold wanted other rows ${LOADS_MAX} times`);
        await fold.load();
      }
    } catch (error) {
      await fold.undo();
      // No projection's fault, whoever was at work.
      if (culprit === null || isPassing(error) || isCardumeError(error, 'fenced')) throw error;
      return { culprit, error };
    }
  }

  async function halt(projection: Projection, error: unknown): Promise<Halt> {
    const reason = error instanceof Error ? error.message : String(error);
    const entry = {
      projection: projection.name,
      tables: projection.tables.map((table) => table.name),
      reason,
    };
    await checkpoints.fork(SHARED, projection.name);
    halted.set(projection.name, entry);
    leaveOut([...outside, projection.name]);
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

  async function fold(committed: readonly Entry[]): Promise<readonly Halt[]> {
    const entries = await withMissing(committed);
    const halts: Halt[] = [];
    for (;;) {
      const failed = await transact(entries, SHARED, (entry) => interest.get(entry.type));
      if (failed === null) return halts;
      halts.push(await halt(failed.culprit, failed.error));
    }
  }

  /** A projection that is new, or was halted, walks alone from its own checkpoint to the shared one. */
  async function catchUpAlone(projection: Projection): Promise<void> {
    const { name } = projection;
    const alone = (entry: Entry): readonly Projection[] | undefined =>
      projection.on[entry.type] === undefined ? undefined : [projection];
    for (const { partition } of source.heads()) {
      const target = checkpoints.position(SHARED, partition);
      for (;;) {
        const position = checkpoints.position(name, partition);
        if (position >= target) break;
        const entriesMax = Math.min(CATCH_UP_ENTRIES, target - position);
        const entries = await source.read(partition, position, entriesMax);
        if (entries.length === 0) break;
        const failed = await transact(entries, name, alone);
        if (failed === null) continue;
        await halt(projection, failed.error);
        return;
      }
    }
    await checkpoints.join(name);
  }

  return {
    async catchUp() {
      await checkpoints.refresh();
      const before = [...halted.values()];
      const apart = projections.filter((projection) => checkpoints.isApart(projection.name));
      halted.clear();
      leaveOut(apart.map(({ name }) => name));
      try {
        for (const head of source.heads()) {
          for (;;) {
            const position = checkpoints.position(SHARED, head.partition);
            const entries = await source.read(head.partition, position, CATCH_UP_ENTRIES);
            if (entries.length === 0) break;
            await fold(entries);
          }
        }
        for (const projection of apart) await catchUpAlone(projection);
      } catch (error) {
        // What had halted before has not caught up.
        for (const halt of before) if (!halted.has(halt.projection)) halted.set(halt.projection, halt);
        throw error;
      }
      leaveOut(halted.keys());
    },
    halts: () => [...halted.values()],
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
