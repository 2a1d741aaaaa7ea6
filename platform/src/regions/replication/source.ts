/**
 * The home's end of replication: each other region follows, over one stream, all partitions that are at home here. What
 * was committed a moment ago is sent from memory, the rest is read from the log; a region that reads slowly holds up
 * nobody, since what is sent is pulled, a parcel at a time. A region is sent no more of a partition than it may hold.
 */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import type { ShardMoving } from '../../cqrs/shard-moving.ts';
import { sameChecksum } from '../../events/checksum.ts';
import type { Entry, Head, Log } from '../../events/log.ts';
import type { Residency } from '../../topology/residency.ts';
import type { RegionName, ServiceName } from '../../topology/topology.ts';
import type { Watermarks } from '../watermarks.ts';
import { charsOf, PARCEL_CHARS_MAX, type Page, type Parcel, type PartitionOf, packPages } from './pages.ts';

/** What the source needs of a shard. */
export interface SourceShard {
  readonly log: Pick<Log, 'head' | 'readPartition' | 'onCommit'>;
  readonly moving: Pick<ShardMoving, 'keysFor'>;
}

export interface SourceGround {
  readonly here: RegionName;
  /** The shard that is home to the partition; undefined: none is, here. */
  readonly homeOf: (service: ServiceName, partition: number) => SourceShard | undefined;
  readonly watermarks: Watermarks;
  readonly residency: Pick<Residency, 'holding' | 'homes'>;
  /**
   * @throws CardumeError `partition-unavailable` when the region may not write now, `fenced` when another process has its
   *   files: others may know more than this one does
   */
  readonly check: () => void;
  /** What is told of the partition here would be wrong: it has lost entries that a copy has. */
  readonly lost: (service: ServiceName, partition: number) => void;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** JSON. */
export interface ReplicateRequest {
  /** Unique to the asker: acknowledgements name it. */
  readonly session: string;
  readonly from: readonly FollowFrom[];
}

/** Where the asker stands; the checksum is 16 bytes in base64. */
export type FollowFrom = readonly [service: string, partition: number, position: number, checksum: string];

/** JSON. */
export interface AckRequest {
  readonly session: string;
  readonly at: readonly (readonly [service: string, partition: number, position: number])[];
}

/** Partitions of which there is more than was acknowledged, and where their heads stand; -1: it is not known here. JSON. */
export type AckAnswer = readonly (readonly [service: string, partition: number, position: number])[];

export interface Source {
  /** A shard's commits are sent from now on. @returns ends it */
  add(service: ServiceName, shard: SourceShard): () => void;
  /**
   * The partition has come home, or has gone: those who follow it tell again how far they are, and those who asked for it in
   * vain hear that it is here.
   */
  remind(service: ServiceName, partition: number): void;
  /** Parcels, until the signal. */
  replicate(region: RegionName, request: ReplicateRequest, signal: AbortSignal): AsyncIterable<Parcel>;
  /** @throws CardumeError `conflict` for a session that has ended */
  acked(region: RegionName, request: AckRequest): AckAnswer;
  /** Checksums of entries, in base64, or null where there is none: for who looks where two histories part. */
  checksums(
    region: RegionName,
    service: ServiceName,
    partition: number,
    positions: readonly number[],
  ): Promise<Json>;
}

/** One region follows one partition. */
interface Lane {
  readonly service: ServiceName;
  readonly partition: number;
  /** Position of the last entry that was sent. */
  sent: number;
  /** In what epoch the asker was told that we are home. */
  toldEpoch: number;
}

interface Session {
  readonly region: RegionName;
  readonly lanes: Map<string, Lane>;
  /** Lanes with something to send, in turn. */
  readonly due: Set<Lane>;
  /** Partitions that it was told are gone. */
  readonly gone: Map<string, PartitionOf>;
  /** Those of them that have come home since, and were not told yet. */
  came: PartitionOf[];
  wake: () => void;
}

/** Of a partition, the last ones. */
const RECENT_ENTRIES_MAX = 256;
const PAGE_ENTRIES = 512;
export const UNKNOWN = -1;

export function openSource(ground: SourceGround): Source {
  const { here, homeOf, watermarks, residency, check, report } = ground;
  const sessions = new Map<string, Session>();
  /** By partition, gapless, the newest last. */
  const recent = new Map<string, Entry[]>();
  const toldLosses = new Set<string>();

  function committed(service: ServiceName, entries: readonly Entry[]): void {
    if (sessions.size === 0) {
      recent.clear();
      return;
    }
    for (const entry of entries) {
      const key = `${service}/${entry.partition}`;
      const known = recent.get(key) ?? [];
      if (known.length > 0 && (known.at(-1) as Entry).position !== entry.position - 1) known.length = 0;
      known.push(entry);
      if (known.length > RECENT_ENTRIES_MAX) known.splice(0, RECENT_ENTRIES_MAX / 2);
      recent.set(key, known);
      for (const session of sessions.values()) {
        const lane = session.lanes.get(key);
        if (lane !== undefined) session.due.add(lane);
      }
    }
    for (const session of sessions.values()) if (session.due.size > 0) session.wake();
  }

  async function entriesAfter(lane: Lane, shard: SourceShard, head: Head): Promise<readonly Entry[]> {
    if (lane.sent >= head.position) return [];
    const known = recent.get(`${lane.service}/${lane.partition}`) ?? [];
    const first = known[0]?.position ?? Number.POSITIVE_INFINITY;
    if (first <= lane.sent + 1) {
      const live = known.slice(lane.sent + 1 - first);
      if (live.length > 0) return live;
    }
    return shard.log.readPartition(
      lane.partition,
      lane.sent,
      Math.min(PAGE_ENTRIES, head.position - lane.sent),
    );
  }

  /** @returns null when the partition is not at home here any more */
  async function nextPage(
    region: RegionName,
    lane: Lane,
    charsMax: number,
  ): Promise<{ page: Page; chars: number } | null> {
    const { service, partition } = lane;
    const shard = homeOf(service, partition);
    const head = shard?.log.head(partition);
    if (shard === undefined || head === undefined) return null;
    const entries: Entry[] = [];
    let chars = 0;
    for (const entry of await entriesAfter(lane, shard, head)) {
      if (chars >= charsMax) break;
      entries.push(entry);
      chars += charsOf(entry);
    }
    const isSealed = residency.holding(service, partition, region) !== 'whole';
    const keys = entries.length === 0 || isSealed ? [] : await shard.moving.keysFor(entries);
    lane.toldEpoch = head.epoch;
    lane.sent = entries.at(-1)?.position ?? lane.sent;
    return { page: { service, partition, homeEpoch: head.epoch, entries, keys }, chars };
  }

  async function nextParcel(session: Session): Promise<Parcel> {
    const pages: Page[] = [];
    const gone: PartitionOf[] = [];
    let chars = 0;
    for (const lane of [...session.due]) {
      if (chars >= PARCEL_CHARS_MAX) break;
      session.due.delete(lane);
      const next = await nextPage(session.region, lane, PARCEL_CHARS_MAX - chars);
      if (next === null) {
        session.lanes.delete(`${lane.service}/${lane.partition}`);
        gone.push([lane.service, lane.partition]);
        continue;
      }
      chars += next.chars;
      pages.push(next.page);
      // More of it comes with the next parcels, when others had their turn.
      const head = homeOf(lane.service, lane.partition)?.log.head(lane.partition);
      if ((head?.position ?? 0) > lane.sent) session.due.add(lane);
    }
    const { came } = session;
    session.came = [];
    return {
      pages: pages.length === 0 ? '' : packPages(pages),
      diverged: [],
      gone: goneFrom(session, gone),
      came,
    };
  }

  /** Whether what stands there at the position is what the asker has. */
  async function isOurs(
    shard: SourceShard,
    head: Head,
    [, partition, position, checksum]: FollowFrom,
  ): Promise<boolean> {
    if (position > head.position) return false;
    if (position === 0) return true;
    const own =
      position === head.position
        ? head.checksum
        : (await shard.log.readPartition(partition, position - 1, 1))[0]?.checksum;
    return own !== undefined && sameChecksum(own, Uint8Array.fromBase64(checksum));
  }

  /** Joins those partitions to the session whose history is the asker's. */
  async function begin(session: Session, from: readonly FollowFrom[]): Promise<Parcel> {
    const diverged: PartitionOf[] = [];
    const gone: PartitionOf[] = [];
    for (const asked of from) {
      const [service, partition, position] = asked;
      const shard = homeOf(service, partition);
      const head = shard?.log.head(partition);
      if (shard === undefined || head === undefined || !mayHold(session.region, service, partition))
        gone.push([service, partition]);
      else if (await isOurs(shard, head, asked)) {
        const lane = { service, partition, sent: position, toldEpoch: 0 };
        session.lanes.set(`${service}/${partition}`, lane);
        session.due.add(lane); // the asker learns at least the epoch
        watermarks.acked(session.region, service, partition, position);
      } else if (!isOnlyHome(service, partition)) diverged.push([service, partition]);
      else {
        foundLoss(session.region, asked);
        gone.push([service, partition]);
      }
    }
    return { pages: '', diverged, gone: goneFrom(session, gone), came: [] };
  }

  /** Then its history cannot have parted from a copy's: what the copy has was here, and is not. */
  const isOnlyHome = (service: ServiceName, partition: number): boolean =>
    residency.homes(service, partition).every((region) => region === here);

  function foundLoss(region: RegionName, [service, partition, position]: FollowFrom): void {
    ground.lost(service, partition);
    const key = `${region}/${service}/${partition}`;
    if (toldLosses.has(key)) return;
    toldLosses.add(key);
    report('a home has lost entries that a copy has: it is not served, and the copy is not cut', {
      service,
      partition,
      copy: region,
      position,
    });
  }

  function mayHold(region: RegionName, service: ServiceName, partition: number): boolean {
    return residency.holding(service, partition, region) !== 'nothing';
  }

  function goneFrom(session: Session, gone: readonly PartitionOf[]): readonly PartitionOf[] {
    for (const one of gone) session.gone.set(one.join('/'), one);
    return gone;
  }

  function isServing(): boolean {
    try {
      check();
      return true;
    } catch (error) {
      if (!isCardumeError(error)) throw error;
      return false;
    }
  }

  return {
    add: (service, shard) => shard.log.onCommit((entries) => committed(service, entries)),
    remind(service, partition) {
      for (const session of sessions.values()) {
        const key = `${service}/${partition}`;
        const lane = session.lanes.get(key);
        const gone = session.gone.get(key);
        if (lane !== undefined) session.due.add(lane);
        else if (gone !== undefined && homeOf(service, partition) !== undefined) {
          session.gone.delete(key);
          session.came.push(gone);
        }
        session.wake();
      }
    },
    async *replicate(region, { session: name, from }, signal) {
      const session: Session = {
        region,
        lanes: new Map(),
        due: new Set(),
        gone: new Map(),
        came: [],
        wake: () => undefined,
      };
      const wake = (): void => session.wake();
      sessions.set(name, session);
      signal.addEventListener('abort', wake);
      try {
        yield await begin(session, from);
        while (!signal.aborted) {
          if (session.due.size + session.came.length > 0) {
            yield await nextParcel(session);
            continue;
          }
          await new Promise<void>((resolve) => {
            session.wake = resolve;
            if (session.due.size + session.came.length > 0 || signal.aborted) resolve();
          });
        }
      } finally {
        signal.removeEventListener('abort', wake);
        if (sessions.get(name) === session) sessions.delete(name);
      }
    },
    acked(region, { session: name, at }) {
      const session = sessions.get(name);
      if (session === undefined || session.region !== region)
        throw new CardumeError('conflict', `region ${region} follows nothing here under this session`);
      const behind: (readonly [string, number, number])[] = [];
      const isCertain = isServing();
      for (const [service, partition, position] of at) {
        const lane = session.lanes.get(`${service}/${partition}`);
        if (lane === undefined || homeOf(service, partition) === undefined) continue;
        if (position > lane.sent) continue; // it is of another history, or of a time before this one
        watermarks.acked(region, service, partition, position);
      }
      for (const { service, partition } of session.lanes.values()) {
        // Of what may not be at home here any more nobody here knows how much there is.
        const head = homeOf(service, partition)?.log.head(partition);
        if (!isCertain || head === undefined) behind.push([service, partition, UNKNOWN]);
        else if ((watermarks.by(service, partition, region) ?? 0) < head.position)
          behind.push([service, partition, head.position]);
      }
      return behind;
    },
    async checksums(region, service, partition, positions) {
      const shard = mayHold(region, service, partition) ? homeOf(service, partition) : undefined;
      const found: (string | null)[] = [];
      for (const position of positions) {
        const [entry] = (await shard?.log.readPartition(partition, position - 1, 1)) ?? [];
        found.push(entry === undefined ? null : entry.checksum.toBase64());
      }
      return found;
    },
  };
}
