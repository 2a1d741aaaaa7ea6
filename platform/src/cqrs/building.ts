/** A build that is far behind its log walks alone, a page at a time, from its own checkpoints. */
import type { TailSource } from '../events/tail.ts';
import { type Failed, foldEntries } from './fold-entries.ts';
import type { Projection } from './projection.ts';
import type { ReadModels } from './storage.ts';
import type { Upcasters } from './upcasting.ts';

/** A build that is behind by so little is caught up with at once: others wait for it. */
export const AT_ONCE_ENTRIES_MAX = 2_000;

/** A projection whose build is not up to the log yet. Structured-cloneable. */
export interface Building {
  readonly projection: string;
  /** As queries say them. */
  readonly tables: readonly string[];
  readonly entriesFolded: number;
  readonly entriesLeft: number;
}

export interface Walk {
  readonly projection: Projection;
  readonly build: string;
  /**
   * Folds a page.
   * @returns what it came to; 'done': it is where it was to go; 'ahead': it is, and in a partition beyond, where those that
   *   follow the log are folded again
   */
  step(entriesMax: number): Promise<Failed | 'done' | 'ahead'>;
  progress(): Building;
}

/** A partition whose rows were discarded, and that is not folded up to its log again yet. Structured-cloneable. */
export interface Refolding {
  readonly partition: number;
  readonly entriesFolded: number;
  readonly entriesLeft: number;
}

/** @param targetOf up to where it is to be folded in a partition */
export function walkAlone(
  readModels: ReadModels,
  projection: Projection,
  build: string,
  upcasters: Upcasters,
  source: TailSource,
  targetOf: (partition: number) => number,
): Walk {
  const { checkpoints } = readModels;
  const reactors = [projection];
  return {
    projection,
    build,
    async step(entriesMax) {
      let isAhead = false;
      for (const { partition } of source.heads()) {
        const position = checkpoints.position(build, partition);
        const left = targetOf(partition) - position;
        isAhead ||= left < 0;
        if (left <= 0) continue;
        const entries = await source.read(partition, position, Math.min(entriesMax, left));
        if (entries.length === 0) continue;
        return foldEntries(readModels, upcasters, entries, build, (entry) =>
          projection.on[entry.type] === undefined ? undefined : reactors,
        );
      }
      return isAhead ? 'ahead' : 'done';
    },
    progress() {
      let entriesFolded = 0;
      let entriesLeft = 0;
      for (const { partition } of source.heads()) {
        const position = checkpoints.position(build, partition);
        entriesFolded += position;
        entriesLeft += Math.max(0, targetOf(partition) - position);
      }
      const tables = projection.tables.map(({ name }) => name);
      return { projection: projection.name, tables, entriesFolded, entriesLeft };
    },
  };
}
