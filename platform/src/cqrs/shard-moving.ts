/** How a partition with all that a shard keeps of it comes and goes: the log's moves, and keys, read models, processes. */
import type { Copied, CopyPage, Head, Log } from '../events/log.ts';
import type { KeyRing } from '../privacy/key-ring.ts';
import type { WrappedKey } from '../privacy/key-store.ts';
import type { Digest } from './digest.ts';
import type { ProcessRunner } from './process-runner.ts';
import type { ShardRequest } from './shard-thread.ts';
import type { ProcessCheckpoint, Reading } from './storage.ts';

export interface ShardMoving {
  /** Begins a copy, or takes one up. @returns its head */
  begin(partition: number): Promise<Head>;
  /** Takes a copy up: see `Moving.follow`. @returns its head */
  follow(partition: number, aboveEpoch?: number): Promise<Head>;
  /** Homes' next entries, with what read models make of them: see `Moving.copy`. */
  copy(pages: readonly CopyPage[]): Promise<readonly Copied[]>;
  /** Keys of a home's subjects, in order of subject. */
  listKeys(partition: number, afterSubject: string, keysMax: number): Promise<WrappedKey[]>;
  /** @throws CardumeError `conflict` when the partition is at home here */
  putKeys(partition: number, keys: readonly WrappedKey[]): Promise<void>;
  /** Keys that a home makes from now on. */
  watchKeys(partition: number): KeyWatch;
  digest(partition: number): Promise<Digest>;
  /** The home goes away: see `Moving.release`. */
  release(partition: number): Promise<Released>;
  /** Of processes: for whoever is about to adopt. */
  putCheckpoints(partition: number, checkpoints: readonly ProcessCheckpoint[]): Promise<void>;
  /** The copy is the home from now on: see `Moving.adopt`. */
  adopt(partition: number, epoch: number, floor?: number): Promise<void>;
  /** Deletes a part of a copy. @returns how many rows: fewer than `rowsMax` means that nothing is left */
  drop(partition: number, rowsMax: number): Promise<number>;
}

export interface KeyWatch {
  /** Those that were made since the last time. */
  take(): WrappedKey[];
  end(): void;
}

export interface Released {
  readonly head: Head;
  readonly checkpoints: readonly ProcessCheckpoint[];
}

export interface ShardMovingGround {
  readonly log: Log;
  readonly ask: <T>(request: ShardRequest) => Promise<T>;
  /** Partitions whose home it is. */
  readonly own: Set<number>;
  readonly keys: KeyRing;
  readonly runner: ProcessRunner;
  readonly reading: Reading;
}

export function shardMoving(ground: ShardMovingGround): {
  readonly moving: ShardMoving;
  keyMade(key: WrappedKey): void;
} {
  const { log, ask, own, keys, runner, reading } = ground;
  const watched = new Map<number, WrappedKey[]>();

  const tend = (partition: number, request: ShardRequest): Promise<unknown> =>
    log.moving.tend(partition, request);

  return {
    keyMade: (key) => void watched.get(key.partition)?.push(key),
    moving: {
      begin: log.moving.begin,
      follow: log.moving.follow,
      copy: log.moving.copy,
      listKeys: (partition, afterSubject, keysMax) =>
        ask({ kind: 'list-keys', partition, afterSubject, keysMax }),
      async putKeys(partition, given) {
        if (given.length > 0) await tend(partition, { kind: 'put-keys', keys: given });
      },
      watchKeys(partition) {
        watched.set(partition, []);
        return {
          take: () => watched.get(partition)?.splice(0) ?? [],
          end: () => void watched.delete(partition),
        };
      },
      digest: reading.digest,
      async release(partition) {
        const head = await log.moving.release(partition);
        own.delete(partition);
        keys.forget();
        return { head, checkpoints: runner.release(partition) };
      },
      async putCheckpoints(partition, checkpoints) {
        for (const checkpoint of checkpoints) await tend(partition, { kind: 'checkpoint', checkpoint });
      },
      async adopt(partition, epoch, floor) {
        const head = await log.moving.adopt(partition, epoch, floor);
        keys.forget();
        await runner.adopt(partition, head.position);
        own.add(partition);
      },
      async drop(partition, rowsMax) {
        log.moving.abandon(partition);
        const rows = (await tend(partition, { kind: 'drop', partition, rowsMax })) as number;
        if (rows === rowsMax) return rows;
        return rows + (await log.moving.drop(partition, rowsMax - rows));
      },
    },
  };
}
