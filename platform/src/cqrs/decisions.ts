/**
 * The command pipeline of one shard: every decision about its aggregates is made here, one after another, in memory.
 *
 * A decision rests on the speculative state: what the log holds plus what was decided and is still on its way to the
 * disk. So a hot aggregate takes as many commands as can be decided, not as many as the disk can sync. What makes it
 * safe: the log commits in order of arrival, every answer (negative ones too) waits for the commit of the state that
 * it read, and when a batch fails all speculative state is dropped and the commands are decided again.
 *
 * An idempotency key finds its answer in three places: among the commands under way, or in the log; the log's unique
 * index is the last guard.
 */
import { LRUCache } from 'lru-cache';
import { CardumeError, type ErrorCode, isCardumeError } from '../base/errors.ts';
import { parseId } from '../base/id.ts';
import type { Json } from '../base/json.ts';
import type { Appended, Log, NewEntry } from '../events/log.ts';
import { encodeToken } from '../events/token.ts';
import type { Host } from '../host/host.ts';
import type { KeyRing } from '../privacy/key-ring.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Aggregate, DecideContext, Decision, Typed } from './aggregate.ts';
import type { Answer, IdempotencyKey, Loaded, SendOptions } from './bus.ts';
import { type Codec, codecOf } from './codec.ts';
import type { SnapshotStore } from './snapshots.ts';

export interface Decisions {
  /** @param partition of the id, when the caller knows it already */
  send(
    aggregate: string,
    id: string,
    command: Typed,
    options?: SendOptions,
    partition?: number,
  ): Promise<Answer>;
  load(aggregate: string, id: string, partition?: number): Promise<Loaded<unknown>>;
  answered(partition: number, key: IdempotencyKey): Promise<Answer | null>;
  /** Event of an entry, personal fields opened. */
  decode(aggregate: string, stream: string, type: string, data: string): Promise<Typed>;
}

export interface DecisionsOptions {
  readonly host: Host;
  readonly log: Log;
  // biome-ignore lint/suspicious/noExplicitAny: definitions of different types stand in one list
  readonly aggregates: readonly Aggregate<any, any, any>[];
  readonly keys: KeyRing;
  readonly snapshots: SnapshotStore;
  readonly aggregatesCachedMax: number;
  readonly snapshotEveryEvents: number;
  /** Throws `overloaded` when no further instance of a process may begin. */
  readonly admit: (aggregate: string) => void;
}

/** One aggregate in memory, as decided so far. */
interface Live {
  readonly partition: number;
  state: unknown;
  version: number;
  /** Appends under way that hold events of this aggregate. */
  pending: number;
  /** What readers see: a copy that no later decision changes, made once for a version. */
  shown: Loaded<unknown> | null;
  /** Token of its newest event, or '' when it has none yet in this epoch. */
  token: string;
}

interface Kind {
  readonly aggregate: Aggregate;
  readonly codec: Codec;
}

/** A command is decided again this often when its batch fails for another's fault. */
const ATTEMPTS_MAX = 8;
const PAGE_EVENTS = 1_000;

/** What stands in an entry's `meta`. */
interface Meta {
  readonly fingerprint?: string;
  readonly result?: Json;
  readonly rejected?: { readonly code: ErrorCode; readonly detail: string };
  readonly trace?: string;
}

export function openDecisions(options: DecisionsOptions): Decisions {
  const { host, log, keys, snapshots, admit, snapshotEveryEvents } = options;
  const kinds = new Map<string, Kind>();
  for (const aggregate of options.aggregates) {
    kinds.set(aggregate.name, { aggregate, codec: codecOf(host.crypto, aggregate) });
  }
  const cached = new LRUCache<string, Live>({ max: options.aggregatesCachedMax });
  /** Aggregates with appends under way; the cache may not forget these. */
  const underWay = new Map<string, Live>();
  const loading = new Map<string, Promise<Live>>();
  const keysUnderWay = new Map<string, Promise<Answer>>();
  /** By partition; grows when its speculative state is dropped: what was loaded before then must not be kept. */
  const generations = new Map<number, number>();
  const generationOf = (partition: number): number => generations.get(partition) ?? 0;
  log.onFailed((partition) => {
    generations.set(partition, generationOf(partition) + 1);
    for (const [id, live] of underWay) if (live.partition === partition) underWay.delete(id);
    for (const [id, live] of cached.entries()) if (live.partition === partition) cached.delete(id);
  });

  function kindOf(name: string): Kind {
    const kind = kinds.get(name);
    if (kind === undefined) throw new Error(`no aggregate '${name}' in this shard's service`);
    return kind;
  }

  function subjectOf(kind: Kind, stream: string): string {
    return kind.aggregate.subjectOf?.(stream) ?? stream;
  }

  /** The aggregate in memory: from the cache, or folded from its snapshot and the events behind it. */
  function live(kind: Kind, partition: number, id: string): Live | Promise<Live> {
    const hit = cached.get(id) ?? underWay.get(id);
    if (hit !== undefined) return hit;
    let pending = loading.get(id);
    if (pending === undefined) {
      const begun = generationOf(partition);
      pending = read(kind, partition, id).then((found) => {
        if (loading.get(id) === pending) loading.delete(id);
        if (begun !== generationOf(partition)) return live(kind, partition, id);
        cached.set(id, found);
        return found;
      });
      pending.catch(() => {
        if (loading.get(id) === pending) loading.delete(id);
      });
      loading.set(id, pending);
    }
    return pending;
  }

  /** Should the id exist after all, the log refuses its first version, and the command is decided on what it holds. */
  function born(kind: Kind, partition: number, id: string): Live | Promise<Live> {
    if (cached.has(id) || underWay.has(id) || loading.has(id)) return live(kind, partition, id);
    const fresh: Live = {
      partition,
      state: kind.aggregate.initial(),
      version: 0,
      pending: 0,
      shown: null,
      token: '',
    };
    cached.set(id, fresh);
    return fresh;
  }

  async function read(kind: Kind, partition: number, id: string): Promise<Live> {
    const { aggregate, codec } = kind;
    const key = codec.personal ? await keys.find(partition, subjectOf(kind, id)) : null;
    const snapshot =
      kind.codec.personal && key === null
        ? null
        : snapshots.find(partition, id, aggregate.stateRevision ?? 1, key);
    let state = snapshot === null ? aggregate.initial() : snapshot.state;
    let version = snapshot?.version ?? 0;
    let token = '';
    // The page begins with the snapshot's own event: it names the token, and proves that the log still has it.
    let page = await log.readStream(partition, id, Math.max(1, version), PAGE_EVENTS);
    const [first] = page;
    if (snapshot !== null && first?.version === version) {
      token = encodeToken(first);
      page = page.slice(1);
    } else if (snapshot !== null) {
      state = aggregate.initial();
      version = 0;
      page = await log.readStream(partition, id, 1, PAGE_EVENTS);
    }
    while (page.length > 0) {
      for (const entry of page) {
        state = aggregate.evolve(state, codec.decode(entry.type, entry.data, subjectOf(kind, id), key));
        version = entry.version as number;
        token = encodeToken(entry);
      }
      page =
        page.length < PAGE_EVENTS - 1 ? [] : await log.readStream(partition, id, version + 1, PAGE_EVENTS);
    }
    return { partition, state, version, pending: 0, shown: null, token };
  }

  /** Negative answers and reads: what they saw must be durable before they are told. */
  function settled(partition: number): Promise<void> {
    return log.settled(partition).catch((error) => {
      throw isOthers(error) ? new Discarded('decide again', { cause: error }) : error;
    });
  }

  function append(partition: number, entries: readonly NewEntry[]): Promise<Appended> {
    return log.append(partition, entries).catch(again);
  }

  async function decideOnce(
    kind: Kind,
    partition: number,
    id: string,
    command: Typed,
    options: SendOptions,
  ): Promise<Answer> {
    const subject = subjectOf(kind, id);
    const key = kind.codec.personal ? await keys.ensure(partition, subject) : null;
    const found = options.born === true ? born(kind, partition, id) : live(kind, partition, id);
    const now = found instanceof Promise ? await found : found;
    // From here to the append nothing waits: the decision and its place in the log belong together.
    if (options.ifVersion !== undefined && options.ifVersion !== now.version) {
      const error = new CardumeError('precondition-failed', `it stands at version ${now.version} now`);
      await settled(partition);
      throw error;
    }
    if (now.version === 0) admit(kind.aggregate.name);
    const about = { id, version: now.version, atMs: host.clock.nowMs() };
    const decision: Decision = kind.aggregate.decide(command, now.state, about);
    if (decision.outcome === 'rejected') {
      const { code, detail } = decision;
      await noted(partition, about, options, { rejected: { code, detail } });
      throw new CardumeError(code, detail);
    }
    const { events, result } = decision;
    if (events.length === 0) {
      const known = { id, version: now.version, result, token: now.token, replayed: false };
      const token = await noted(partition, about, options, { result });
      return token === null ? known : { ...known, token };
    }

    const entries = events.map((event, i): NewEntry => {
      const last = i === events.length - 1;
      return {
        stream: id,
        version: about.version + i + 1,
        type: event.type,
        data: kind.codec.encode(event, subject, key),
        // Whoever listens gets personal fields as the log holds them: sealed.
        ...(kind.codec.personal ? {} : { decided: event }),
        key: last ? (options.key?.text ?? null) : null,
        meta: last ? metaOf(options, { result }) : null,
        atMs: about.atMs,
      };
    });
    // Evolved before it is appended: a bug in `evolve` must not leave an event behind that answers 500.
    let frozen: Uint8Array | null = null;
    let committing: Promise<Appended>;
    const version = about.version + events.length;
    try {
      for (const event of events) now.state = kind.aggregate.evolve(now.state, event);
      if (isOccasion(about.version, version)) frozen = snapshots.freeze(id, now.state, key);
      committing = append(partition, entries);
    } catch (error) {
      drop(id); // it may be half evolved
      throw error;
    }
    now.version = version;
    now.pending += 1;
    underWay.set(id, now);
    const appended = await committing;
    now.pending -= 1;
    if (now.pending === 0 && underWay.get(id) === now) underWay.delete(id);
    now.token = encodeToken({ ...appended, position: appended.position + entries.length - 1 });
    if (frozen !== null) {
      snapshots.save({
        partition,
        stream: id,
        version,
        revision: kind.aggregate.stateRevision ?? 1,
        state: frozen,
      });
    }
    return { id, version, result, token: now.token, replayed: false };
  }

  function drop(id: string): void {
    cached.delete(id);
    underWay.delete(id);
  }

  /** An answer without an event: remembered in the log when it has a key, told when what it read is durable. */
  async function noted(
    partition: number,
    about: DecideContext,
    options: SendOptions,
    what: Meta,
  ): Promise<string | null> {
    if (options.key === undefined) {
      await settled(partition);
      return null;
    }
    const entry: NewEntry = {
      stream: about.id,
      version: null,
      type: '',
      data: '{}',
      meta: metaOf(options, what),
      key: options.key.text,
      atMs: about.atMs,
    };
    return encodeToken(await append(partition, [entry]));
  }

  function isOccasion(before: number, after: number): boolean {
    return Math.floor(after / snapshotEveryEvents) > Math.floor(before / snapshotEveryEvents);
  }

  async function decide(
    kind: Kind,
    partition: number,
    id: string,
    command: Typed,
    asked: SendOptions,
  ): Promise<Answer> {
    let options = asked;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await decideOnce(kind, partition, id, command, options);
      } catch (error) {
        if (!(error instanceof Discarded)) throw error;
        options = { ...options, born: false };
        if (attempt === ATTEMPTS_MAX)
          throw new CardumeError('overloaded', 'the write collided with others too often');
      }
    }
  }

  async function find(partition: number, key: IdempotencyKey): Promise<Answer | null> {
    const entry = await log.findAnswer(partition, key.text);
    if (entry === null) return null;
    const meta = JSON.parse(entry.meta ?? '{}') as Meta;
    refuseOther(key, meta.fingerprint);
    if (meta.rejected !== undefined) throw new CardumeError(meta.rejected.code, meta.rejected.detail);
    const version = entry.version ?? 0;
    return {
      id: entry.stream,
      version,
      result: meta.result ?? null,
      token: encodeToken(entry),
      replayed: true,
    };
  }

  async function sendKeyed(
    kind: Kind,
    partition: number,
    id: string,
    command: Typed,
    send: SendOptions,
    key: IdempotencyKey,
  ): Promise<Answer> {
    const name = `${partition}/${key.text}`;
    const other = keysUnderWay.get(name);
    if (other !== undefined) {
      // The same key with another fingerprint is refused below, from the log, once the first is answered.
      await other.catch(() => undefined);
      return (await find(partition, key)) ?? sendKeyed(kind, partition, id, command, send, key);
    }
    const answer =
      key.fresh === true
        ? decideOnceForKey(kind, partition, id, command, send, key)
        : find(partition, key).then(
            (known) => known ?? decideOnceForKey(kind, partition, id, command, send, key),
          );
    keysUnderWay.set(name, answer);
    try {
      return await answer;
    } finally {
      keysUnderWay.delete(name);
    }
  }

  /** The log's unique index has the last word: a key that it knows already is answered from there. */
  async function decideOnceForKey(
    kind: Kind,
    partition: number,
    id: string,
    command: Typed,
    send: SendOptions,
    key: IdempotencyKey,
  ): Promise<Answer> {
    try {
      return await decide(kind, partition, id, command, send);
    } catch (error) {
      const known = error instanceof Answered ? await find(partition, key) : null;
      if (known === null) throw error;
      return known;
    }
  }

  /** @throws CardumeError `not-found` when the id is none of the aggregate's */
  function partitionOf({ aggregate }: Kind, id: string, known?: number): number {
    if (known !== undefined && id.startsWith(aggregate.idType)) return known;
    return partitionKey(parseId(id, aggregate.idType));
  }

  return {
    async send(name, id, command, send = {}, known) {
      const kind = kindOf(name);
      const partition = partitionOf(kind, id, known);
      if (send.key !== undefined) return sendKeyed(kind, partition, id, command, send, send.key);
      return decide(kind, partition, id, command, send);
    },
    async load(name, id, known) {
      const kind = kindOf(name);
      const partition = partitionOf(kind, id, known);
      for (;;) {
        const begun = generationOf(partition);
        const found = live(kind, partition, id);
        const now = found instanceof Promise ? await found : found;
        if (now.pending === 0) {
          if (now.shown?.version !== now.version) {
            now.shown = { state: structuredClone(now.state), version: now.version, token: now.token };
          }
          return now.shown as Loaded<unknown>;
        }
        const seen = { state: structuredClone(now.state), version: now.version, token: now.token };
        const durable = await log.settled(partition).then(
          () => true,
          (error) => (isOthers(error) ? false : Promise.reject(error)),
        );
        if (durable && begun === generationOf(partition)) return seen;
      }
    },
    answered: find,
    async decode(name, stream, type, data) {
      const kind = kindOf(name);
      const partition = partitionOf(kind, stream);
      const subject = subjectOf(kind, stream);
      const key = kind.codec.personal ? await keys.find(partition, subject) : null;
      return kind.codec.decode(type, data, subject, key);
    },
  };
}

/** The batch fell with another's fault, or with ours: the command is to be decided again on what the log holds. */
class Discarded extends Error {}

/** An append before us failed for a reason of its own; we read what it would have left. */
function isOthers(error: unknown): boolean {
  return isCardumeError(error, 'conflict') || isCardumeError(error, 'already-exists');
}

/** The log has an answer under the key. */
class Answered extends Error {}

function again(error: unknown): never {
  if (isCardumeError(error, 'conflict')) throw new Discarded('decide again', { cause: error });
  if (isCardumeError(error, 'already-exists')) throw new Answered('the key has an answer', { cause: error });
  throw error;
}

function metaOf(options: SendOptions, what: Meta): string | null {
  const { key, trace } = options;
  // A trace has only hexadecimal digits and dashes, so it needs no escaping.
  if (key === undefined) return trace === undefined ? null : `{"trace":"${trace}"}`;
  return JSON.stringify({ ...what, fingerprint: key.fingerprint, trace });
}

function refuseOther(key: IdempotencyKey, fingerprint: string | undefined): void {
  if (fingerprint !== undefined && fingerprint !== key.fingerprint) {
    throw new CardumeError('idempotency-key-reused', 'the key was used before with another body or path');
  }
}
