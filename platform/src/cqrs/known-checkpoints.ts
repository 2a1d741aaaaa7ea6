/** Checkpoints in memory, as the engine stores them: by build and partition. */
import { CardumeError } from '../base/errors.ts';
import type { CheckpointMove } from './storage.ts';
import type { StoredCheckpoint } from './stored-checkpoint.ts';

export interface KnownCheckpoints {
  position(build: string, partition: number): number;
  partitions(): readonly number[];
  set(build: string, partition: number, position: number): void;
  moved(moves: readonly CheckpointMove[]): void;
  /** One build keeps the places of another. */
  copy(from: string, to: string): void;
  forget(build: string): void;
  /** Of all builds. */
  forgetPartition(partition: number): void;
  clear(): void;
  /** @throws CardumeError `fenced` when a build's checkpoints are stored elsewhere than we have put them */
  checkAgrees(build: string, stored: readonly StoredCheckpoint[]): void;
}

export function knownCheckpoints(): KnownCheckpoints {
  const known = new Map<string, Map<number, number>>();
  const set = (build: string, partition: number, position: number): void => {
    const own = known.get(build) ?? new Map<number, number>();
    known.set(build, own.set(partition, position));
  };
  return {
    position: (build, partition) => known.get(build)?.get(partition) ?? 0,
    partitions: () => [...new Set([...known.values()].flatMap((own) => [...own.keys()]))],
    set,
    moved(moves) {
      for (const { build, partition, to } of moves) set(build, partition, to);
    },
    copy: (from, to) => void known.set(to, new Map(known.get(from))),
    forget: (build) => void known.delete(build),
    forgetPartition(partition) {
      for (const own of known.values()) own.delete(partition);
    },
    clear: () => known.clear(),
    checkAgrees(build, stored) {
      for (const one of stored) {
        const position = known.get(build)?.get(one.partition) ?? 0;
        if (one.build !== build || one.position === position) continue;
        const detail = refusedMove({ build, partition: one.partition, from: position });
        throw new CardumeError('fenced', detail);
      }
    },
  };
}

export function refusedMove({
  build,
  partition,
  from,
}: Pick<CheckpointMove, 'build' | 'partition' | 'from'>): string {
  return `the checkpoint of ${build === '' ? 'the projections' : build} in partition ${partition} is not at ${from}: another host folds here`;
}
