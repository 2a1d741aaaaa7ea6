/** How a partition with all that a shard keeps of it comes and goes: the log's moves, and keys, read models, processes. */
import { CardumeError } from '../base/errors.ts';
import type { Copied, CopyPage, Entry, Head, Log } from '../events/log.ts';
import type { Clock } from '../host/host.ts';
import type { KeyRing } from '../privacy/key-ring.ts';
import type { WrappedKey } from '../privacy/key-store.ts';
import type { Digest } from './digest.ts';
import type { ProcessRunner } from './process-runner.ts';
import type { ReadModelHealth } from './read-model-health.ts';
import type { Discarded, ShardRequest } from './shard-thread.ts';
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
  /**
   * Keys of the subjects whose personal fields entries hold, each once: for whoever copies the entries, and puts the keys
   * before. A key that was destroyed is none.
   * @param entries at most as many as a read of the log returns
   */
  keysFor(entries: readonly Entry[]): Promise<WrappedKey[]>;
  /** @throws CardumeError `conflict` when the partition is at home here */
  putKeys(partition: number, keys: readonly WrappedKey[]): Promise<void>;
  /** Keys that a home makes from now on. */
  watchKeys(partition: number): KeyWatch;
  digest(partition: number): Promise<Digest>;
  /** The home goes away: see `Moving.release`. */
  release(partition: number): Promise<Released>;
  /**
   * Takes the partition from another process that has it open: see `Moving.unseat`.
   * @returns its head
   * @throws CardumeError `conflict` also when this very process adopts it, or has
   */
  unseat(partition: number): Promise<Head>;
  /** Of processes: for whoever is about to adopt. */
  putCheckpoints(partition: number, checkpoints: readonly ProcessCheckpoint[]): Promise<void>;
  /** Of processes, as they were last saved; none when some were not. */
  savedCheckpoints(partition: number): Promise<readonly ProcessCheckpoint[]>;
  /** Whether the partition is at home here, with its processes: an adoption, or a release, may have been cut off. */
  owns(partition: number): boolean;
  /** The copy is the home from now on: see `Moving.adopt`. Asked for again, it goes on where it was cut off. */
  adopt(partition: number, epoch: number, floor?: number): Promise<void>;
  /**
   * Cuts a copy's log behind the position: see `Moving.cut`. What was derived from what is cut is discarded before, and read
   * models are folded again from the log, a page at a time; until then reads of the partition are told that they are being
   * built. Keys of subjects stay. Asked for again, it goes on where it was cut off. Pages of the copy are refused meanwhile.
   * @param seen where the copy ended
   * @throws CardumeError `conflict` when the partition is at home here, or its copy ends elsewhere by now, or the position is
   *   not beyond the archive's segments
   */
  cut(seen: Head, afterPosition: number): Promise<void>;
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
  readonly clock: Clock;
  readonly log: Log;
  readonly ask: <T>(request: ShardRequest) => Promise<T>;
  /** Partitions whose home it is. */
  readonly own: Set<number>;
  readonly keys: KeyRing;
  readonly runner: ProcessRunner;
  readonly reading: Reading;
  /** See `personalSubjects`. */
  readonly personalSubject: (entry: Entry) => string | null;
  readonly health: Pick<ReadModelHealth, 'told' | 'expectRefolding'>;
}

/** A writer thread serves several shards, which wait for one part. */
const DISCARDED_ROWS = 1_000;
const CUT_ENTRIES = 1_000;
/** Between parts. */
const REST_MS = 20;

export function shardMoving(ground: ShardMovingGround): {
  readonly moving: ShardMoving;
  keyMade(key: WrappedKey): void;
} {
  const { clock, log, ask, own, keys, runner, reading, health, personalSubject } = ground;
  /** Partitions whose logs are being cut. */
  const cutting = new Set<number>();
  /** Whose release was begun: it may have failed, or nobody knows. */
  const leaving = new Set<number>();
  /** Whose adoption is under way: the log's files say so before the log does. */
  const coming = new Set<number>();
  const watched = new Map<number, WrappedKey[]>();

  const tend = (partition: number, request: ShardRequest): Promise<unknown> =>
    log.moving.tend(partition, request);

  async function keysFor(entries: readonly Entry[]): Promise<WrappedKey[]> {
    const wanted = new Map<number, Set<string>>();
    for (const entry of entries) {
      const subject = personalSubject(entry);
      if (subject === null) continue;
      const own = wanted.get(entry.partition) ?? new Set();
      wanted.set(entry.partition, own.add(subject));
    }
    if (wanted.size === 0) return [];
    const request = [...wanted].map(([partition, subjects]) => [partition, [...subjects]] as const);
    return ask({ kind: 'find-keys', wanted: request });
  }

  async function discard(partition: number, afterPosition: number): Promise<void> {
    const request = { kind: 'discard', partition, afterPosition, rowsMax: DISCARDED_ROWS } as const;
    for (;;) {
      const { isMore, report } = (await tend(partition, request)) as Discarded;
      health.told(report);
      if (!isMore) return;
      await clock.sleep(REST_MS);
    }
  }

  async function cut(seen: Head, afterPosition: number): Promise<void> {
    const { partition } = seen;
    if (cutting.has(partition))
      throw new CardumeError('conflict', `the log of partition ${partition} is being cut already`);
    cutting.add(partition);
    const expected = health.expectRefolding(partition);
    try {
      await discard(partition, afterPosition);
      let head = await log.moving.cut(seen, afterPosition, CUT_ENTRIES);
      while (head.position > afterPosition) {
        await clock.sleep(REST_MS);
        head = await log.moving.cut(head, afterPosition, CUT_ENTRIES);
      }
    } finally {
      expected();
      cutting.delete(partition);
    }
  }

  async function copy(pages: readonly CopyPage[]): Promise<readonly Copied[]> {
    if (cutting.size === 0) return log.moving.copy(pages);
    const copied = await log.moving.copy(pages.filter(({ partition }) => !cutting.has(partition)));
    return pages.map(({ partition }) => {
      const detail = `the log of partition ${partition} is being cut`;
      const one = copied.find((other) => other.partition === partition);
      return one ?? { partition, refused: { code: 'conflict', detail } };
    });
  }

  return {
    keyMade: (key) => void watched.get(key.partition)?.push(key),
    moving: {
      begin: log.moving.begin,
      follow: log.moving.follow,
      copy,
      cut,
      listKeys: (partition, afterSubject, keysMax) =>
        ask({ kind: 'list-keys', partition, afterSubject, keysMax }),
      keysFor,
      async putKeys(partition, given) {
        if (given.length === 0) return;
        // One that was made here, for an append that a release refused, counts no more.
        const put = tend(partition, { kind: 'put-keys', keys: given });
        await put.finally(() => keys.forget(given.map(({ subject }) => subject)));
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
        leaving.add(partition);
        const head = await log.moving.release(partition);
        leaving.delete(partition);
        own.delete(partition);
        keys.forget();
        return { head, checkpoints: runner.release(partition) };
      },
      async unseat(partition) {
        if (coming.has(partition) || log.head(partition) !== undefined)
          throw new CardumeError('conflict', `partition ${partition} is this process's own`);
        const head = await log.moving.unseat(partition);
        leaving.delete(partition);
        own.delete(partition);
        runner.release(partition);
        return head;
      },
      async putCheckpoints(partition, checkpoints) {
        for (const checkpoint of checkpoints) await tend(partition, { kind: 'checkpoint', checkpoint });
      },
      savedCheckpoints: runner.saved,
      owns: (partition) => own.has(partition) && !leaving.has(partition),
      async adopt(partition, epoch, floor) {
        coming.add(partition);
        const head = await log.moving.adopt(partition, epoch, floor).finally(() => coming.delete(partition));
        keys.forget();
        await runner.adopt(partition, head.position);
        leaving.delete(partition);
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
