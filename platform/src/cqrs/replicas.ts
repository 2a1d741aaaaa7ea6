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
import type { Within } from '../sharding/deadline.ts';
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
  readonly freshness: Freshness | null | undefined;
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

export function openReplicas(ground: ReplicasGround): Replicas {
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
    if (!replica.isFed) return false;
    return (
      standing === null || standing.isBuilding || !reaches(standing, { positions: headsNow(), builds: [] })
    );
  }

  const headsNow = (): [number, number][] =>
    log.heads().map(({ partition, position }) => [partition, position]);

  async function look(known: Known): Promise<void> {
    try {
      known.standing = await known.replica.look(log.heads());
      known.nextLookMs = clock.monotonicMs() + LOOK_EVERY_MS;
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
      if (all.length === 0 || freshness == null || freshness.maxStalenessMs <= 0) return null;
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
        leaveOut(chosen, error);
        return null;
      }
    },
    status: () =>
      all.map(({ replica, standing, trouble, reads }) => ({
        name: replica.name,
        entriesBehind:
          standing === null
            ? null
            : headsNow().reduce(
                (sum, [partition, position]) =>
                  sum + Math.max(0, position - (standing.positions.get(partition) ?? 0)),
                0,
              ),
        building: standing?.isBuilding ?? false,
        reads,
        trouble,
      })),
    async close() {
      isClosed = true;
      stopNoting();
      await Promise.all(
        all.map(async ({ timer, looking, replica }) => {
          timer?.cancel();
          await looking;
          await replica.close();
        }),
      );
    },
  };
}

/** A replica that hangs must leave time for the shard. */
export function halfOf({ leftMs, signal }: Within): Within {
  const keptMs = Math.min(leftMs() / 2, Number.MAX_SAFE_INTEGER);
  return { signal, leftMs: () => Math.max(1, leftMs() - keptMs) };
}
