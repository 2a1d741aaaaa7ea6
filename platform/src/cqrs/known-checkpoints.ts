/** Checkpoints in memory, as the engine stores them: by projection and partition. */
import type { CheckpointMove } from './storage.ts';

export interface KnownCheckpoints {
  position(projection: string, partition: number): number;
  set(projection: string, partition: number, position: number): void;
  moved(moves: readonly CheckpointMove[]): void;
  /** One projection keeps the places of another. */
  copy(from: string, to: string): void;
  forget(projection: string): void;
  clear(): void;
}

export function knownCheckpoints(): KnownCheckpoints {
  const known = new Map<string, Map<number, number>>();
  const set = (projection: string, partition: number, position: number): void => {
    const own = known.get(projection) ?? new Map<number, number>();
    known.set(projection, own.set(partition, position));
  };
  return {
    position: (projection, partition) => known.get(projection)?.get(partition) ?? 0,
    set,
    moved(moves) {
      for (const { projection, partition, to } of moves) set(projection, partition, to);
    },
    copy: (from, to) => void known.set(to, new Map(known.get(from))),
    forget: (projection) => void known.delete(projection),
    clear: () => known.clear(),
  };
}

export function refusedMove({ projection, partition, from }: CheckpointMove): string {
  return `the checkpoint of ${projection === '' ? 'the projections' : projection} in partition ${partition} is not at ${from}: another host folds here`;
}
