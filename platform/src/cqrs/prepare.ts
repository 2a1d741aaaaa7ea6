/**
 * What a program that comes will need is built beside one that has the shard and goes on with its own: when they change
 * over, little is left to fold.
 */
import { CardumeError } from '../base/errors.ts';
import type { TailSource } from '../events/tail.ts';
import { type Building, walkAlone } from './building.ts';
import type { Projection } from './projection.ts';
import type { ReadModels } from './storage.ts';
import type { Upcasters } from './upcasting.ts';

export interface Preparation {
  /** What is not where the log was at the beginning. */
  left(): readonly Building[];
  /**
   * Folds a page.
   * @returns whether there is more up to where the log was at the beginning
   * @throws CardumeError `conflict` when a projection cannot fold this log, `fenced` when another process builds the same
   */
  step(): Promise<boolean>;
}

const PAGE_ENTRIES = 256;

export async function prepare(
  readModels: ReadModels,
  projections: readonly Projection[],
  upcasters: Upcasters,
  source: TailSource,
): Promise<Preparation> {
  const { builds, checkpoints } = readModels;
  await checkpoints.refresh();
  const ends = new Map(source.heads().map(({ partition, position }) => [partition, position]));
  const walks = projections
    .map((projection, i) => ({ projection, build: builds[i]?.name as string }))
    .filter(({ build }) => checkpoints.isApart(build))
    .map(({ projection, build }) =>
      walkAlone(readModels, projection, build, upcasters, source, (partition) => ends.get(partition) ?? 0),
    );
  return {
    left: () => walks.map((walk) => walk.progress()).filter(({ entriesLeft }) => entriesLeft > 0),
    async step() {
      for (const walk of walks) {
        const result = await walk.step(PAGE_ENTRIES);
        if (result === 'done' || result === 'ahead') continue;
        if (result === null) return true;
        const { culprit, error } = result;
        throw new CardumeError(
          'conflict',
          `'${culprit.name}' fails on this log: ${(error as Error).message}`,
          {
            cause: error,
          },
        );
      }
      return false;
    },
  };
}
