/** Entries and their checkpoint into the tables, in one transaction; and whose fault it was when that failed. */
import { isCardumeError } from '../base/errors.ts';
import type { Entry } from '../events/log.ts';
import { isPassing } from '../host/disk.ts';
import type { Typed } from './aggregate.ts';
import type { Projection, RowsOf } from './projection.ts';
import type { Fold, ReadModels } from './storage.ts';
import { readEvent, type Upcasters } from './upcasting.ts';

/** What a fold came to: null, or whose fault it was that nothing of it stands. */
export type Failed = { readonly culprit: Projection; readonly error: unknown } | null;

type React = (event: never, about: { stream: string; version: number; atMs: number }, rows: RowsOf) => void;

/** Rows that are wanted lead to others at most so often, in one fold. */
const LOADS_MAX = 50;

/**
 * Entries at or below the checkpoint are passed over.
 * @param entries in order of position within each partition
 * @param checkpoint name of a build, or '' for the shared one
 * @param reactors who wants an entry
 * @throws what is no projection's fault: the storage's, or another host's
 */
export async function foldEntries(
  readModels: ReadModels,
  upcasters: Upcasters,
  entries: readonly Entry[],
  checkpoint: string,
  reactors: (entry: Entry) => readonly Projection[] | undefined,
): Promise<Failed> {
  const { checkpoints } = readModels;
  const fold = await readModels.begin();
  let culprit: Projection | null = null;
  let isUnreadable = false;
  try {
    for (let loads = 0; ; loads += 1) {
      const moved = new Map<number, Entry>();
      for (const entry of entries) {
        if (entry.position <= checkpoints.position(checkpoint, entry.partition)) continue;
        moved.set(entry.partition, entry);
        const concerned = entry.version === null ? undefined : reactors(entry);
        if (concerned === undefined) continue;
        let event: Typed | null = null;
        for (const projection of concerned) {
          try {
            isUnreadable = event === null;
            event ??= readEvent(upcasters, entry.stream.slice(0, 3), entry.type, entry.data);
            isUnreadable = false;
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
            return { build: checkpoint, partition, from, epoch, to };
          }),
        );
        return null;
      }
      if (loads === LOADS_MAX) throw new Error(`a fold wanted other rows ${LOADS_MAX} times`);
      await fold.load();
    }
  } catch (error) {
    await fold.undo();
    if (culprit !== null && isUnreadable) return { culprit, error };
    // No projection's fault, whoever was at work.
    if (culprit === null || isPassing(error) || isCardumeError(error, 'fenced')) throw error;
    return { culprit, error };
  }
}

function apply(fold: Fold, projection: Projection, entry: Entry, event: Typed): void {
  const react = projection.on[entry.type] as React;
  for (const table of projection.tables) fold.rows(table).at(entry.partition);
  const { stream, version, atMs } = entry;
  react(event as never, { stream, version: version as number, atMs }, fold.rows);
}
