/** Checkpoints in memory, as the engine stores them: by projection and partition. */
import { CardumeError } from '../base/errors.ts';
import type { CheckpointMove } from './storage.ts';
import type { StoredCheckpoint } from './stored-checkpoint.ts';

export interface KnownCheckpoints {
  position(projection: string, partition: number): number;
  set(projection: string, partition: number, position: number): void;
  moved(moves: readonly CheckpointMove[]): void;
  /** One projection keeps the places of another. */
  copy(from: string, to: string): void;
  forget(projection: string): void;
  /** Of all projections. */
  forgetPartition(partition: number): void;
  clear(): void;
  /** @throws CardumeError `fenced` when a projection's checkpoints are stored elsewhere than we have put them */
  checkAgrees(projection: string, stored: readonly StoredCheckpoint[]): void;
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
    forgetPartition(partition) {
      for (const own of known.values()) own.delete(partition);
    },
    clear: () => known.clear(),
    checkAgrees(projection, stored) {
      for (const one of stored) {
        const position = known.get(projection)?.get(one.partition) ?? 0;
        if (one.projection !== projection || one.position === position) continue;
        const detail = refusedMove({ projection, partition: one.partition, from: position });
        throw new CardumeError('fenced', detail);
      }
    },
  };
}

export function refusedMove({
  projection,
  partition,
  from,
}: Pick<CheckpointMove, 'projection' | 'partition' | 'from'>): string {
  return `the checkpoint of ${projection === '' ? 'the projections' : projection} in partition ${partition} is not at ${from}: another host folds here`;
}
