/**
 * The aggregates of one shard in memory, as decided so far: a bounded cache in front of snapshots and the log. State
 * that rests on appends under way is speculative: the cache may not forget it while they are, and must when they fail.
 */
import { LRUCache } from 'lru-cache';
import type { Entry, Log } from '../events/log.ts';
import { encodeToken } from '../events/token.ts';
import type { KeyRing } from '../privacy/key-ring.ts';
import type { Aggregate } from './aggregate.ts';
import type { Loaded } from './bus.ts';
import type { Codec } from './codec.ts';
import type { Frozen, SnapshotStore } from './snapshots.ts';

/** An aggregate's definition and how its events are written. */
export interface Kind {
  readonly aggregate: Aggregate;
  readonly codec: Codec;
}

export interface Live {
  readonly id: string;
  readonly partition: number;
  state: unknown;
  version: number;
  /** Appends under way that hold events of this aggregate. */
  pending: number;
  /** What readers see: a copy that no later decision changes, made once for a version. */
  shown: Loaded<unknown> | null;
  /** Token of its newest event, or '' when it has none yet in this epoch. */
  token: string;
  /** Folded with the key of its subject: personal fields may stand open in the state. */
  opened: boolean;
}

export interface Lives {
  /** From the cache, or folded from its snapshot and the events behind it. */
  find(kind: Kind, partition: number, id: string): Live | Promise<Live>;
  /**
   * An id that was made a moment ago: nothing is looked for. Should it exist after all, the log refuses its first
   * version, and the command is decided on what the log holds.
   */
  born(kind: Kind, partition: number, id: string): Live | Promise<Live>;
  /** Folded from the log each time: of a copy, which others write. */
  read(kind: Kind, partition: number, id: string): Promise<Live>;
  /** An append with its events begins. */
  hold(live: Live): void;
  /** It stands in the log. */
  release(live: Live): void;
  /** It may be half evolved: the next look reads the log. */
  drop(id: string): void;
  /** Grows when a partition's speculative state is dropped: what was read before then must not be trusted. */
  generationOf(partition: number): number;
}

export interface LivesOptions {
  readonly log: Log;
  readonly keys: KeyRing;
  readonly snapshots: SnapshotStore;
  readonly aggregatesCachedMax: number;
  readonly snapshotEveryEvents: number;
}

const PAGE_EVENTS = 1_000;

export function openLives(options: LivesOptions): Lives {
  const { log, keys, snapshots, aggregatesCachedMax, snapshotEveryEvents } = options;
  const cached = new LRUCache<string, Live>({ max: aggregatesCachedMax });
  const held = new Map<string, Live>();
  const loading = new Map<string, Promise<Live>>();
  const generations = new Map<number, number>();
  const generationOf = (partition: number): number => generations.get(partition) ?? 0;

  log.onFailed((partition) => {
    generations.set(partition, generationOf(partition) + 1);
    for (const [id, live] of held) if (live.partition === partition) held.delete(id);
    for (const [id, live] of cached.entries()) if (live.partition === partition) cached.delete(id);
  });

  function fresh(kind: Kind, partition: number, id: string): Live {
    const state = kind.aggregate.initial();
    return { id, partition, state, version: 0, pending: 0, shown: null, token: '', opened: false };
  }

  function load(kind: Kind, partition: number, id: string): Promise<Live> {
    const begun = generationOf(partition);
    const pending = read(kind, partition, id).then((found) => {
      if (loading.get(id) === pending) loading.delete(id);
      if (begun !== generationOf(partition)) return find(kind, partition, id);
      cached.set(id, found);
      return found;
    });
    pending.catch(() => {
      if (loading.get(id) === pending) loading.delete(id);
    });
    loading.set(id, pending);
    return pending;
  }

  function find(kind: Kind, partition: number, id: string): Live | Promise<Live> {
    return cached.get(id) ?? held.get(id) ?? loading.get(id) ?? load(kind, partition, id);
  }

  async function read(kind: Kind, partition: number, id: string): Promise<Live> {
    const { aggregate, codec } = kind;
    const subject = subjectOf(kind, id);
    const key = codec.personal ? await keys.find(partition, subject) : null;
    const revision = revisionOf(kind, key);
    const live = fresh(kind, partition, id);
    live.opened = key !== null;
    const snapshot = await snapshots.find(partition, id, revision, key);
    // The page begins with the snapshot's own event: it names the token, and proves that the log still has it.
    let page = await log.readStream(partition, id, Math.max(1, snapshot?.version ?? 1), PAGE_EVENTS);
    const [first] = page;
    if (snapshot !== null && first !== undefined && standsBehind(snapshot, first)) {
      live.state = snapshot.state;
      live.version = snapshot.version;
      live.token = encodeToken(first);
      page = page.slice(1);
    } else if (snapshot !== null) {
      page = await log.readStream(partition, id, 1, PAGE_EVENTS);
    }
    const { version: unfolded } = live;
    let last: Entry | null = null;
    while (page.length > 0) {
      last = page.at(-1) as Entry;
      for (const entry of page) {
        live.state = aggregate.evolve(live.state, codec.decode(entry.type, entry.data, subject, key));
        live.version = entry.version as number;
        live.token = encodeToken(entry);
      }
      page =
        page.length < PAGE_EVENTS - 1
          ? []
          : await log.readStream(partition, id, live.version + 1, PAGE_EVENTS);
    }
    // There was none, or an old one: the next load need not do the same again.
    if (last !== null && live.version - unfolded >= snapshotEveryEvents) {
      const { epoch, position } = last;
      const state = snapshots.freeze(id, live.state, key);
      snapshots.save({ partition, stream: id, version: live.version, epoch, position, revision, state });
    }
    return live;
  }

  return {
    find,
    read,
    born(kind, partition, id) {
      if (cached.has(id) || held.has(id) || loading.has(id)) return find(kind, partition, id);
      const live = fresh(kind, partition, id);
      cached.set(id, live);
      return live;
    },
    hold(live) {
      live.pending += 1;
      held.set(live.id, live);
    },
    release(live) {
      live.pending -= 1;
      if (live.pending === 0 && held.get(live.id) === live) held.delete(live.id);
    },
    drop(id) {
      cached.delete(id);
      held.delete(id);
    },
    generationOf,
  };
}

/** The entry is of the snapshot's version, and where it was. */
function standsBehind({ version, epoch, position }: Frozen, entry: Entry): boolean {
  return entry.version === version && entry.epoch === epoch && entry.position === position;
}

export function subjectOf({ aggregate }: Kind, stream: string): string {
  return aggregate.subjectOf?.(stream) ?? stream;
}

/**
 * What a snapshot's state is made of. One that was folded without its subject's key has other fields than one with it,
 * and is not sealed.
 */
export function revisionOf({ aggregate, codec }: Kind, key: Uint8Array | null): number {
  return (aggregate.stateRevision ?? 1) + (codec.personal && key === null ? WITHOUT_KEY : 0);
}

/** Above all revisions that code states. */
const WITHOUT_KEY = 2 ** 31;
