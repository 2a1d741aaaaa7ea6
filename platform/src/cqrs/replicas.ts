/**
 * Reads that may be a little old go to a shard's replicas, in turn; one that lags, or fails, is left out, and comes back by
 * itself. Whatever a replica cannot answer the shard does.
 *
 * Nothing here waits for a replica: what it had when it was last looked at decides whether it is asked, and whoever finds it
 * wanting has it looked at again.
 */
import { isCardumeError } from '../base/errors.ts';
import type { Log } from '../events/log.ts';
import type { Clock, Timer } from '../host/host.ts';
import type { Freshness } from '../sharding/query.ts';
import { floorOf, openPast } from './freshness.ts';
import { type Floor, type Replica, reaches, type Standing } from './replica.ts';

export interface Replicas {
  /**
   * @param ask of one replica; null when it lacks something
   * @returns null when none can answer: then the shard must
   * @throws CardumeError `query-refused`, or why nobody waits any more
   */
  read<T>(wanted: Wanted, ask: (replica: Replica, floor: Floor) => Promise<T | null>): Promise<T | null>;
  status(): ReplicaStatus[];
  close(): Promise<void>;
}

export interface Wanted {
  readonly freshness: Freshness;
  readonly partitions: readonly number[];
  /** Names of the builds that it reads. */
  readonly builds: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** JSON. */
export interface ReplicaStatus {
  readonly name: string;
  /** Entries of its shard that it has not folded yet; null: it is not known, since it has not been looked at. */
  readonly entriesBehind: number | null;
  /** Projections that it is still building. */
  readonly building: boolean;
  /** Reads that it has answered since the start. */
  readonly reads: number;
  /** Why it is left out; null: it is not. */
  readonly trouble: string | null;
}

export interface ReplicasGround {
  readonly clock: Clock;
  readonly log: Pick<Log, 'heads' | 'onCommit'>;
  readonly service: string;
  readonly replicas: readonly Replica[];
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** Between two looks. */
const LOOK_EVERY_MS = 50;
/** One that is fed is brought up to its shard with each, so what comes meanwhile shares a transaction. */
const FEED_EVERY_MS = 200;
/** Behind a failure. */
const LOOK_AGAIN_MS = 1_000;

interface Known {
  readonly replica: Replica;
  standing: Standing | null;
  looking: Promise<void> | null;
  /** No look before; monotonic. */
  nextLookMs: number;
  timer: Timer | null;
  trouble: string | null;
  reads: number;
}

const NONE: Replicas = { read: async () => null, status: () => [], close: async () => undefined };

export function openReplicas(ground: ReplicasGround): Replicas {
  if (ground.replicas.length === 0) return NONE;
  const { clock, log, report } = ground;
  const all = ground.replicas.map(
    (replica): Known => ({
      replica,
      standing: null,
      looking: null,
      nextLookMs: 0,
      timer: null,
      trouble: null,
      reads: 0,
    }),
  );
  const past = openPast(clock, log.heads);
  let turn = 0;
  let isClosed = false;

  /** Not at once, when the last look was a moment ago. */
  function lookSoon(known: Known): void {
    if (known.looking !== null || known.timer !== null || isClosed) return;
    const waitMs = Math.max(0, known.nextLookMs - clock.monotonicMs());
    known.timer = clock.after(waitMs, () => {
      known.timer = null;
      known.looking = look(known).finally(() => {
        known.looking = null;
        if (isLagging(known)) lookSoon(known);
      });
    });
  }

  /** One that is fed is brought up to its shard, whether anybody reads or not. */
  function isLagging({ replica, standing }: Known): boolean {
    if (!replica.isFed || log.heads().length === 0) return false;
    return (
      standing === null || standing.isBuilding || !reaches(standing, { positions: headsNow(), builds: [] })
    );
  }

  const headsNow = (): [number, number][] =>
    log.heads().map(({ partition, position }) => [partition, position]);

  function entriesBehind(standing: Standing | null): number {
    const missing = headsNow().map(([partition, position]) =>
      Math.max(0, position - (standing?.positions.get(partition) ?? 0)),
    );
    return missing.reduce((sum, entries) => sum + entries, 0);
  }

  async function look(known: Known): Promise<void> {
    const heads = log.heads();
    if (heads.length === 0) return; // nothing is at home here, or others have taken all of it over
    try {
      const standing = await known.replica.look(heads);
      known.standing = standing;
      // What stands still is tried again with each look.
      const everyMs = known.replica.isFed && !standing.isBuilding ? FEED_EVERY_MS : LOOK_EVERY_MS;
      const restMs = standing.halts.length > 0 ? LOOK_AGAIN_MS : everyMs;
      known.nextLookMs = clock.monotonicMs() + restMs;
      if (known.trouble !== null) report('a replica is back', { replica: known.replica.name });
      known.trouble = null;
    } catch (error) {
      leaveOut(known, error);
    }
  }

  function leaveOut(known: Known, error: unknown): void {
    known.standing = null;
    known.nextLookMs = clock.monotonicMs() + LOOK_AGAIN_MS;
    if (known.trouble === null && !isClosed)
      report('a replica is left out, and will be tried again', { replica: known.replica.name, error });
    known.trouble = (error as Error).message;
  }

  const stopNoting = log.onCommit(() => {
    past.note();
    for (const known of all) if (known.replica.isFed) lookSoon(known);
  });
  for (const known of all) if (known.replica.isFed) lookSoon(known);

  /** The next in turn that has, as far as is known, what is wanted. */
  function choose(floor: Floor): Known | null {
    for (let i = 0; i < all.length; i += 1) {
      turn = (turn + 1) % all.length;
      const known = all[turn] as Known;
      if (known.standing !== null && reaches(known.standing, floor)) return known;
      lookSoon(known);
    }
    return null;
  }

  return {
    async read({ freshness, partitions, builds, signal }, ask) {
      if (freshness.maxStalenessMs <= 0) return null;
      const floor = { positions: floorOf(freshness, ground.service, partitions, past), builds };
      const chosen = choose(floor);
      if (chosen === null) return null;
      try {
        const answer = await ask(chosen.replica, floor);
        if (answer !== null) chosen.reads += 1;
        else chosen.standing = null;
        return answer;
      } catch (error) {
        signal?.throwIfAborted();
        if (isCardumeError(error, 'query-refused')) throw error;
        // What took long, or found no reader, says nothing of the replica: the next look will.
        if (isCardumeError(error, 'deadline-exceeded')) chosen.standing = null;
        else if (!isCardumeError(error, 'overloaded')) leaveOut(chosen, error);
        return null;
      }
    },
    status() {
      // Who asks will ask again; and a partition that has come tells of itself with its next commit only.
      for (const known of all) if (!known.replica.isFed || isLagging(known)) lookSoon(known);
      return all.map(({ replica, standing, trouble, reads }) => ({
        name: replica.name,
        entriesBehind: standing === null && log.heads().length > 0 ? null : entriesBehind(standing),
        building: standing?.isBuilding ?? false,
        reads,
        // Where nothing is at home there is nothing to be had, and nothing is tried.
        trouble: log.heads().length === 0 ? null : (trouble ?? standing?.halts[0] ?? null),
      }));
    },
    async close() {
      isClosed = true;
      stopNoting();
      await Promise.all(
        all.map(async ({ timer, looking, replica }) => {
          timer?.cancel();
          await replica.close();
          await looking;
        }),
      );
    },
  };
}
