/**
 * The other end of replication: this region follows all partitions whose home is one other region, over one stream. What
 * comes is durable, and in the read models, before it is acknowledged. A stream that breaks begins again where the copies
 * stand.
 *
 * How old a copy may be is known without comparing clocks: what had been committed when an acknowledgement was asked for is
 * named in its answer.
 */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import type { ShardMoving } from '../../cqrs/shard-moving.ts';
import type { CopyPage, Head } from '../../events/log.ts';
import type { Clock, Timer } from '../../host/host.ts';
import type { RegionName, ServiceName } from '../../topology/topology.ts';
import { type CheckpointsGround, openCheckpoints } from './checkpoints.ts';
import { type Arrived, gathered } from './gathered.ts';
import type { PartitionOf } from './pages.ts';
import {
  type AckAnswer,
  type AckRequest,
  type FollowFrom,
  type ReplicateRequest,
  UNKNOWN,
} from './source.ts';

/** What a follower needs of the shard that holds a copy. */
export interface FollowerShard {
  readonly moving: Pick<ShardMoving, 'copy' | 'putKeys' | 'putCheckpoints'>;
}

export interface FollowerGround extends Pick<CheckpointsGround, 'checkpointsOf'> {
  readonly clock: Clock;
  readonly home: RegionName;
  /** Of the home. */
  readonly link: {
    replicate(request: ReplicateRequest, signal: AbortSignal): AsyncIterable<Json>;
    ack(request: AckRequest): Promise<Json>;
  };
  /** A name that no session had before. */
  readonly newSession: () => string;
  /** Partitions that are to be followed from this home. */
  readonly wanted: () => readonly PartitionOf[];
  readonly shardOf: (service: ServiceName, partition: number) => FollowerShard | undefined;
  /** Whether its keys may be held here. */
  readonly mayOpen: (service: ServiceName, partition: number) => boolean;
  /** Takes a copy up: see takenUp. @returns its head @throws CardumeError `conflict` when it is at home here */
  readonly takeUp: (service: ServiceName, partition: number) => Promise<Head>;
  /** The copy has entries that its home does not: they are cut, and then it is followed again. */
  readonly diverged: (service: ServiceName, partition: number) => Promise<void>;
  /** The copy was fenced for another home, and the home is the one that it was: it has to go on in a later term. */
  readonly fenced: (service: ServiceName, partition: number) => Promise<void>;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export interface Follower {
  /** What is wanted has changed. */
  restart(): void;
  /**
   * How far the copy is; all that its home had committed at `asOfMs` of the monotonic clock is in it, null: nothing is
   * known.
   */
  copyOf(
    service: ServiceName,
    partition: number,
  ): { readonly position: number; readonly asOfMs: number | null } | undefined;
  /** That were begun. */
  sessions(): number;
  /** How long the home has said nothing; null: it never did. */
  silentMs(): number | null;
  status(): FollowerStatus;
  close(): Promise<void>;
}

/** JSON. */
export interface FollowerStatus {
  readonly home: RegionName;
  /** That are to be followed. */
  readonly partitions: number;
  /** Entries that the home had, when it last said so, and that are not here. */
  readonly entriesBehind: number;
  /** Milliseconds since all copies were known to be up to date; null: they never were, or some are not followed now. */
  readonly behindMs: number | null;
  /** Why nothing is followed now; null: it is. */
  readonly trouble: string | null;
}

interface Refused {
  readonly diverged: PartitionOf[];
  readonly fenced: PartitionOf[];
}

interface Lane {
  readonly service: ServiceName;
  readonly partition: number;
  position: number;
  /** Acknowledged, or about to be. */
  told: number;
  /** The home has forgotten it: what it knew of a partition that left and came back at once is gone. */
  isForgotten: boolean;
  asOfMs: number | null;
  /** The home had this when it was asked. */
  target: { readonly position: number; readonly askedMs: number } | null;
}

/** An acknowledgement leaves when something has come, and as often as this. */
const ACK_EVERY_MS = 250;
const ACKS_UNDER_WAY_MAX = 32;
const RESTART_MS = 50;
const GONE_AGAIN_MS = 1_000;
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 2_000;
/** A region that starts again, or has just been lost, is no news yet. */
const TOLD_AFTER_MS = 5_000;

export function openFollower(ground: FollowerGround): Follower {
  const { clock, home, link, shardOf, report } = ground;
  let lanes = new Map<string, Lane>();
  let stream = new AbortController();
  let wake = (): void => undefined;
  let isClosed = false;
  let trouble: string | null = null;
  let troubledSinceMs: number | null = null;
  let isTold = false;
  let failures = 0;
  let begun = 0;
  let restarting: Timer | null = null;
  let heardMs: number | null = null;

  const checkpoints = openCheckpoints({ checkpointsOf: ground.checkpointsOf, shardOf });

  const nameOf = (service: string, partition: number): string => `${service}/${partition}`;

  /** How old copies are that were followed before, and not cut since, is known still. */
  async function takeAllUp(): Promise<FollowFrom[]> {
    const from: FollowFrom[] = [];
    const taken = new Map<string, Lane>();
    for (const [service, partition] of ground.wanted()) {
      const shard = shardOf(service, partition);
      if (shard === undefined) continue;
      let head: Head;
      try {
        head = await ground.takeUp(service, partition);
      } catch (error) {
        // It is at home here still, or already: what changes that begins the follower again.
        if (!isCardumeError(error, 'conflict')) throw error;
        continue;
      }
      from.push([service, partition, head.position, head.checksum.toBase64()]);
      const { position } = head;
      const name = nameOf(service, partition);
      const asOfMs = lanes.get(name)?.asOfMs ?? null;
      const told = { told: position, isForgotten: false };
      taken.set(name, { service, partition, position, ...told, asOfMs, target: null });
    }
    lanes = taken;
    return from;
  }

  async function apply({ pages: arrivals }: Arrived): Promise<Refused> {
    const refused: Refused = { diverged: [], fenced: [] };
    const byShard = new Map<FollowerShard, { service: string; pages: CopyPage[] }>();
    for (const { service, partition, homeEpoch, entries, keys } of arrivals) {
      const shard = shardOf(service, partition);
      if (shard === undefined || !lanes.has(nameOf(service, partition))) continue;
      if (keys.length > 0 && ground.mayOpen(service, partition)) await shard.moving.putKeys(partition, keys);
      const group = byShard.get(shard) ?? { service, pages: [] };
      byShard.set(shard, group);
      group.pages.push({ partition, homeEpoch, entries });
    }
    await Promise.all(
      [...byShard].map(async ([shard, { service, pages }]) => {
        for (const copied of await shard.moving.copy(pages)) {
          if ('refused' in copied) {
            report('a page of another region is refused', { service, home, ...copied });
            lanes.delete(nameOf(service, copied.partition));
            const { code } = copied.refused;
            (code === 'fenced' ? refused.fenced : refused.diverged).push([service, copied.partition]);
          } else arrived(lanes.get(nameOf(service, copied.partition)), copied.head.position);
        }
      }),
    );
    return refused;
  }

  function arrived(lane: Lane | undefined, position: number): void {
    if (lane === undefined) return;
    lane.position = position;
    checkpoints.reached(lane.service, lane.partition, position);
    lane.told = Math.min(lane.told, position - 1); // a page without entries asks how far the copy is
    const { target } = lane;
    if (target === null || target.position > position) return;
    lane.asOfMs = target.askedMs;
    lane.target = null;
  }

  /** Acknowledges what has come, until the session ends. */
  function acknowledging(session: string, onFailure: (error: unknown) => void) {
    let underWay = 0;
    let isOver = false;
    let lastMs = Number.NEGATIVE_INFINITY;
    let timer: Timer | null = null;

    async function ask(): Promise<void> {
      const askedMs = clock.monotonicMs();
      const due = [...lanes.values()].filter((lane) => lane.position > lane.told);
      if ((due.length === 0 && askedMs - lastMs < ACK_EVERY_MS) || underWay >= ACKS_UNDER_WAY_MAX) return;
      lastMs = askedMs;
      for (const lane of due) lane.told = lane.position;
      const asked = [...lanes.values()];
      const at = due.map(({ service, partition, position }) => [service, partition, position] as const);
      underWay += 1;
      try {
        const behind = (await link.ack({ session, at })) as unknown as AckAnswer;
        heardMs = clock.monotonicMs();
        if (!isOver) learn(asked, behind, askedMs);
      } catch (error) {
        if (!isOver) onFailure(error);
      } finally {
        underWay -= 1;
      }
      if (!isOver && [...lanes.values()].some((lane) => lane.position > lane.told)) void ask();
    }

    const tick = (): void => {
      // Not at once: what is under way may have been told meanwhile.
      for (const lane of lanes.values())
        if (lane.isForgotten) lane.told = Math.min(lane.told, lane.position - 1);
      void ask();
      timer = clock.after(ACK_EVERY_MS, tick);
    };
    timer = clock.after(0, tick);
    return {
      now: () => void ask(),
      end() {
        isOver = true;
        timer?.cancel();
      },
    };
  }

  function learn(asked: readonly Lane[], behind: AckAnswer, askedMs: number): void {
    const heads = new Map(behind.map(([service, partition, head]) => [nameOf(service, partition), head]));
    for (const lane of asked) {
      const head = heads.get(nameOf(lane.service, lane.partition)) ?? 0;
      if (head === UNKNOWN) continue;
      lane.isForgotten = head > 0 && head <= lane.told;
      if (head <= lane.position) lane.asOfMs = Math.max(lane.asOfMs ?? 0, askedMs);
      else lane.target ??= { position: head, askedMs };
    }
  }

  /** One session, until it breaks or something else is wanted. */
  async function follow(signal: AbortSignal): Promise<void> {
    begun += 1;
    const from = await takeAllUp();
    if (from.length === 0) {
      trouble = null;
      return idle(signal);
    }
    const session = ground.newSession();
    let failure: unknown = null;
    const ended = new AbortController();
    const end = (): void => ended.abort();
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    let acks: ReturnType<typeof acknowledging> | null = null;
    const refused: Refused = { diverged: [], fenced: [] };
    let again: Timer | null = null;
    let isAgain = false;
    const parcels = gathered(link.replicate({ session, from }, ended.signal), ended.signal);
    try {
      for await (const arrived of parcels) {
        heardMs = clock.monotonicMs();
        acks ??= acknowledging(session, (error) => {
          failure ??= error;
          end();
        });
        for (const [service, partition] of [...arrived.gone, ...arrived.diverged])
          lanes.delete(nameOf(service, partition));
        if (arrived.came.length > 0) restart();
        // It comes to its home in a moment, or a later map says where it is; whoever has it may not tell.
        if (arrived.gone.length > 0)
          again ??= clock.after(GONE_AGAIN_MS, () => {
            isAgain = true;
            end();
          });
        const { diverged, fenced } = await apply(arrived);
        refused.diverged.push(...arrived.diverged, ...diverged);
        refused.fenced.push(...fenced);
        acks.now();
        if (refused.diverged.length + refused.fenced.length > 0) break;
        if (again !== null) continue;
        failures = 0;
        if (isTold) report('a region is followed again', { home });
        isTold = false;
        trouble = null;
        troubledSinceMs = null;
      }
    } finally {
      end();
      acks?.end();
      again?.cancel();
      signal.removeEventListener('abort', end);
    }
    for (const [service, partition] of refused.fenced) await ground.fenced(service, partition);
    for (const [service, partition] of refused.diverged) await ground.diverged(service, partition);
    if (failure !== null) throw failure;
    // Also to ask again for what was gone: the others are not to wait for it.
    if (refused.diverged.length > 0 || isAgain) return;
    if (!signal.aborted) throw new CardumeError('partition-unavailable', `${home} has ended the stream`);
  }

  function idle(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve());
      if (signal.aborted) resolve();
    });
  }

  async function run(): Promise<void> {
    while (!isClosed) {
      stream = new AbortController();
      try {
        await follow(stream.signal);
      } catch (error) {
        if (!isCardumeError(error)) throw error;
        if (isClosed) return;
        const nowMs = clock.monotonicMs();
        troubledSinceMs ??= nowMs;
        if (!isTold && nowMs - troubledSinceMs > TOLD_AFTER_MS) {
          isTold = true;
          report('a region cannot be followed, and will be tried again', { home, error });
        }
        trouble = error.message;
        await pause(pauseMs());
      }
    }
  }

  function pauseMs(): number {
    const ms = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** failures);
    failures += 1;
    return ms;
  }

  function restart(): void {
    // Homes move one after another: what changes together is taken up together.
    restarting ??= clock.after(RESTART_MS, () => {
      restarting = null;
      stream.abort();
      wake();
    });
  }

  /** Ends early when something else is wanted. */
  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = clock.after(ms, resolve);
      wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  const running = run();
  return {
    restart,
    copyOf: (service, partition) => lanes.get(nameOf(service, partition)),
    sessions: () => begun,
    silentMs: () => (heardMs === null ? null : clock.monotonicMs() - heardMs),
    status() {
      const all = [...lanes.values()];
      const partitions = ground.wanted().length;
      const nowMs = clock.monotonicMs();
      const oldest = all.map(({ asOfMs }) => asOfMs ?? Number.NEGATIVE_INFINITY);
      const behindMs =
        partitions === 0 || all.length < partitions ? null : Math.max(0, nowMs - Math.min(...oldest));
      return {
        home,
        partitions,
        entriesBehind: all.reduce(
          (sum, { target, position }) => sum + Math.max(0, (target?.position ?? position) - position),
          0,
        ),
        behindMs: behindMs === null || !Number.isFinite(behindMs) ? null : Math.round(behindMs),
        trouble,
      };
    },
    async close() {
      isClosed = true;
      restarting?.cancel();
      stream.abort();
      wake();
      await running;
    },
  };
}
