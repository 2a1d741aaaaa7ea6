/**
 * The command pipeline of one shard: every decision about its aggregates is made here, one after another, in memory.
 *
 * A decision rests on the speculative state: what the log holds plus what was decided and is still on its way to the
 * disk. So a hot aggregate takes as many commands as can be decided, not as many as the disk can sync. What makes it
 * safe: the log commits in order of arrival, every answer (negative ones too) waits for the commit of the state that
 * it read, and when a batch fails all speculative state is dropped and the commands are decided again.
 *
 * An idempotency key finds its answer in two places: among the commands under way, or in the log; the log's unique
 * index is the last guard.
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import { parseId } from '../base/id.ts';
import type { Json } from '../base/json.ts';
import type { Appended, Log, NewEntry } from '../events/log.ts';
import { decodeToken, encodeToken } from '../events/token.ts';
import type { Host } from '../host/host.ts';
import type { KeyRing } from '../privacy/key-ring.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Aggregate, Decision, Typed } from './aggregate.ts';
import { answerOf, type Came, metaOf } from './answers.ts';
import type { Answer, IdempotencyKey, Loaded, SendOptions } from './bus.ts';
import { codecOf } from './codec.ts';
import { type Kind, type Live, openLives, revisionOf, subjectOf } from './live.ts';
import type { SnapshotStore } from './snapshots.ts';
import type { Snapshot } from './storage.ts';

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
  /** Of a copy, as far as it is here; null: it has personal fields, and no key here opens them. */
  loadHeld(aggregate: string, id: string, partition?: number): Promise<Loaded<unknown> | null>;
  answered(partition: number, key: IdempotencyKey): Promise<Answer | null>;
  /**
   * Appends what was decided before, of one aggregate, all or nothing, with the time of now: see resubmitting.ts.
   * @throws CardumeError `conflict` when it stands at another version than the one before the first event, `already-exists` when
   *   a key has an answer
   */
  append(partition: number, stream: string, entries: readonly NewEntry[]): Promise<void>;
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
  /** See `DecideContext.unclean`. */
  readonly unclean: (partition: number) => number;
  /** Throws when nothing further may be decided in the partition now. */
  readonly mayDecide?: (partition: number) => void;
}

/** One that waits for the commit that says where its event stands. */
type Unplaced = Omit<Snapshot, 'epoch' | 'position'>;

/** A command on its way. */
interface Sent {
  readonly kind: Kind;
  readonly partition: number;
  readonly id: string;
  readonly command: Typed;
  readonly options: SendOptions;
}

/** What is written of it. */
type Written = Pick<Sent, 'kind' | 'partition' | 'id'>;

/** A command is decided again this often when its batch fails for another's fault. */
const ATTEMPTS_MAX = 8;
const NO_OPTIONS: SendOptions = {};

export function openDecisions(options: DecisionsOptions): Decisions {
  const { host, log, keys, snapshots, admit, mayDecide, snapshotEveryEvents, unclean } = options;
  const kinds = new Map<string, Kind>();
  for (const aggregate of options.aggregates) {
    kinds.set(aggregate.name, { aggregate, codec: codecOf(host.crypto, aggregate) });
  }
  const lives = openLives(options);
  const keysUnderWay = new Map<string, Promise<Answer>>();

  function kindOf(name: string): Kind {
    const kind = kinds.get(name);
    if (kind === undefined) throw new Error(`no aggregate '${name}' in this shard's service`);
    return kind;
  }

  /** @throws CardumeError `not-found` when the id is none of the aggregate's */
  function partitionOf({ aggregate }: Kind, id: string, known?: number): number {
    if (known !== undefined && id.startsWith(aggregate.idType)) return known;
    return partitionKey(parseId(id, aggregate.idType));
  }

  function copyOf({ partition, state, version, token }: Live): Loaded<unknown> {
    return { state: structuredClone(state), version, token, unclean: unclean(partition) };
  }

  async function decide(sent: Sent): Promise<Answer> {
    const { kind, partition, id } = sent;
    let isBorn = sent.options.born === true;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      try {
        const key = kind.codec.personal ? await keys.find(partition, subjectOf(kind, id)) : null;
        const found = isBorn ? lives.born(kind, partition, id) : lives.find(kind, partition, id);
        const live = found instanceof Promise ? await found : found;
        // From here to the append nothing waits: the decision and its place in the log belong together.
        return await judge(sent, live, key);
      } catch (error) {
        if (error instanceof KeyWanted) await keys.ensure(partition, subjectOf(kind, id));
        else if (!(error instanceof Discarded)) throw error;
        isBorn = false;
      }
    }
    throw new CardumeError('overloaded', 'the write collided with others too often');
  }

  /** Decides on the state as it is now, and appends. */
  function judge(sent: Sent, live: Live, key: Uint8Array | null): Promise<Answer> {
    const { kind, id, command, options } = sent;
    const { version } = live;
    mayDecide?.(sent.partition);
    if (options.ifVersion !== undefined && options.ifVersion !== version) {
      return toldWhenSettled(
        sent.partition,
        new CardumeError('precondition-failed', `it stands at version ${version} now`),
      );
    }
    if (version === 0) admit(kind.aggregate.name);
    const atMs = host.clock.nowMs();
    const context = { id, version, atMs, unclean: unclean(sent.partition) };
    const decision = kind.aggregate.decide(command, live.state, context);
    if (decision.outcome === 'rejected') return reject(sent, decision, atMs);
    const { events, result } = decision;
    if (events.length === 0) return nothing(sent, live, result, atMs);
    const entries = entriesOf(sent, version, events, result, key, atMs);
    return write(sent, live, entries, events, result, key);
  }

  async function reject(
    sent: Sent,
    { code, detail }: Extract<Decision, { outcome: 'rejected' }>,
    atMs: number,
  ): Promise<never> {
    await noted(sent, { rejected: { code, detail } }, atMs);
    throw new CardumeError(code, detail);
  }

  /** Nothing happened, and the answer says so. */
  async function nothing(sent: Sent, live: Live, result: Json, atMs: number): Promise<Answer> {
    const { id } = sent;
    const { version, token } = live;
    const entry = await noted(sent, { result }, atMs);
    return { id, version, result, token: entry ?? token, replayed: false };
  }

  function entriesOf(
    { kind, id, options }: Sent,
    version: number,
    events: readonly Typed[],
    result: Json,
    key: Uint8Array | null,
    atMs: number,
  ): NewEntry[] {
    const { codec } = kind;
    const subject = subjectOf(kind, id);
    const entries: NewEntry[] = [];
    for (const event of events) {
      const isLast = entries.length === events.length - 1;
      if (key === null && codec.isPersonal(event.type)) throw new KeyWanted();
      entries.push({
        stream: id,
        version: version + entries.length + 1,
        type: event.type,
        data: codec.encode(event, subject, key),
        // Whoever listens gets personal fields as the log holds them: sealed.
        decided: codec.personal ? undefined : event,
        key: isLast ? (options.key?.text ?? null) : null,
        meta: isLast ? metaOf(options, { result }) : null,
        atMs,
      });
    }
    return entries;
  }

  async function append(partition: number, id: string, decided: readonly NewEntry[]): Promise<void> {
    const kind = kindOf(options.aggregates.find(({ idType }) => id.startsWith(idType))?.name ?? id);
    const sent: Written = { kind, partition, id };
    const subject = subjectOf(kind, id);
    const first = decided.find(({ version }) => version !== null)?.version ?? null;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      try {
        const key = kind.codec.personal ? await keys.find(partition, subject) : null;
        const found = lives.find(kind, partition, id);
        const live = found instanceof Promise ? await found : found;
        if (first !== null && live.version !== first - 1)
          await toldWhenSettled(
            partition,
            new CardumeError('conflict', `it stands at version ${live.version}`),
          );
        if (first === 1) admit(kind.aggregate.name);
        const atMs = host.clock.nowMs();
        const entries = decided.map((entry) => ({ ...entry, atMs }));
        const events = entries.flatMap(({ version, type, data }) =>
          version === null ? [] : [kind.codec.decode(type, data, subject, key)],
        );
        await write(sent, live, entries, events, null, key);
        return;
      } catch (error) {
        if (error instanceof Answered) throw error.cause;
        if (!(error instanceof Discarded)) throw error;
      }
    }
    throw new CardumeError('overloaded', 'the write collided with others too often');
  }

  /** Evolves before it appends: a bug in `evolve` must not leave an event behind that answers 500. */
  function write(
    sent: Written,
    live: Live,
    entries: readonly NewEntry[],
    events: readonly Typed[],
    result: Json,
    key: Uint8Array | null,
  ): Promise<Answer> {
    const { kind, partition, id } = sent;
    const version = live.version + events.length;
    let snapshot: Unplaced | null = null;
    let committing: Promise<Appended>;
    try {
      for (const event of events) live.state = kind.aggregate.evolve(live.state, event);
      live.opened ||= key !== null;
      if (isOccasion(live.version, version) && live.opened === (key !== null)) {
        const state = snapshots.freeze(id, live.state, key);
        snapshot = { partition, stream: id, version, revision: revisionOf(kind, key), state };
      }
      committing = log.append(partition, entries);
    } catch (error) {
      lives.drop(id);
      throw error;
    }
    live.version = version;
    lives.hold(live);
    return written(sent, live, version, entries.length, result, snapshot, committing);
  }

  async function written(
    { id }: Written,
    live: Live,
    version: number,
    entries: number,
    result: Json,
    snapshot: Unplaced | null,
    committing: Promise<Appended>,
  ): Promise<Answer> {
    let first: Appended;
    try {
      first = await committing;
    } catch (error) {
      // Should it stand, nothing of it is under way here any more.
      if (isCardumeError(error, 'unknown-outcome')) {
        live.token = ''; // of an entry before this one
        lives.release(live);
      }
      throw asSeenHere(error);
    }
    lives.release(live);
    const { epoch } = first;
    const position = first.position + entries - 1;
    const token = encodeToken({ ...first, position });
    live.token = token;
    if (snapshot !== null) snapshots.save({ ...snapshot, epoch, position });
    return { id, version, result, token, replayed: false };
  }

  /**
   * An answer without an event: remembered in the log when it has a key, told when what it read is durable.
   * @returns token of the entry that remembers it
   */
  async function noted({ partition, id, options }: Sent, came: Came, atMs: number): Promise<string | null> {
    if (options.key === undefined) {
      await settled(partition);
      return null;
    }
    const meta = metaOf(options, came);
    const { text: key } = options.key;
    const entry: NewEntry = { stream: id, version: null, type: '', data: '{}', meta, key, atMs };
    try {
      return encodeToken(await log.append(partition, [entry]));
    } catch (error) {
      throw asSeenHere(error);
    }
  }

  /** Negative answers and reads: what they saw must be durable before they are told. */
  function settled(partition: number): Promise<void> {
    return log.settled(partition).catch((error) => {
      throw isOthers(error) ? new Discarded('decide again', { cause: error }) : error;
    });
  }

  async function toldWhenSettled(partition: number, error: CardumeError): Promise<never> {
    await settled(partition);
    throw error;
  }

  function isOccasion(before: number, after: number): boolean {
    return Math.floor(after / snapshotEveryEvents) > Math.floor(before / snapshotEveryEvents);
  }

  async function find(partition: number, key: IdempotencyKey): Promise<Answer | null> {
    const entry = await log.findAnswer(partition, key.text);
    return entry === null ? null : answerOf(entry, key);
  }

  function sendKeyed(sent: Sent, key: IdempotencyKey): Promise<Answer> {
    const name = `${sent.partition}/${key.text}`;
    const other = keysUnderWay.get(name);
    if (other !== undefined) return sendAfter(other, sent, key);
    const answer = decideForKey(sent, key, name);
    keysUnderWay.set(name, answer);
    return answer;
  }

  /** The same key with another fingerprint is refused from the log, once the first is answered. */
  async function sendAfter(other: Promise<Answer>, sent: Sent, key: IdempotencyKey): Promise<Answer> {
    await other.catch(() => undefined);
    return (await find(sent.partition, key)) ?? sendKeyed(sent, key);
  }

  /** The log's unique index has the last word: a key that it knows already is answered from there. */
  async function decideForKey(sent: Sent, key: IdempotencyKey, name: string): Promise<Answer> {
    try {
      const known = key.fresh === true ? null : await find(sent.partition, key);
      return known ?? (await decide(sent));
    } catch (error) {
      const known = error instanceof Answered ? await find(sent.partition, key) : null;
      if (known === null) throw error;
      return known;
    } finally {
      keysUnderWay.delete(name);
    }
  }

  return {
    send(name, id, command, options = NO_OPTIONS, known) {
      const kind = kindOf(name);
      const sent = { kind, partition: partitionOf(kind, id, known), id, command, options };
      return options.key === undefined ? decide(sent) : sendKeyed(sent, options.key);
    },
    async load(name, id, known) {
      const kind = kindOf(name);
      const partition = partitionOf(kind, id, known);
      for (;;) {
        const begun = lives.generationOf(partition);
        const found = lives.find(kind, partition, id);
        const live = found instanceof Promise ? await found : found;
        if (live.pending === 0) {
          const checked = log.checkOpen(partition, restsOn(live));
          if (checked !== undefined) {
            await checked;
            // Meanwhile somebody may have decided, or failed.
            if (live.pending > 0 || begun !== lives.generationOf(partition)) continue;
          }
          const { shown } = live;
          if (shown?.version === live.version && shown.unclean === unclean(partition)) return shown;
          live.shown = copyOf(live);
          return live.shown;
        }
        const seen = copyOf(live);
        const isDurable = await log.settled(partition).then(
          () => true,
          (error) => (isOthers(error) ? false : Promise.reject(error)),
        );
        if (isDurable && begun === lives.generationOf(partition)) return seen;
      }
    },
    async loadHeld(name, id, known) {
      const kind = kindOf(name);
      const live = await lives.read(kind, partitionOf(kind, id, known), id);
      return kind.codec.personal && !live.opened ? null : copyOf(live);
    },
    answered: find,
    append,
    async decode(name, stream, type, data) {
      const kind = kindOf(name);
      const subject = subjectOf(kind, stream);
      const key = kind.codec.personal ? await keys.find(partitionOf(kind, stream), subject) : null;
      return kind.codec.decode(type, data, subject, key);
    },
  };
}

/** Position of its last event; undefined: it is not known, and all that stands is waited for. */
function restsOn({ version, token }: Live): number | undefined {
  if (version === 0) return 0;
  return token === '' ? undefined : decodeToken(token).position;
}

/** The batch fell with another's fault, or with ours: the command is to be decided again on what the log holds. */
class Discarded extends Error {}

/** The log has an answer under the key. */
class Answered extends Error {}

/** The decision has personal fields, and its subject has no key yet. */
class KeyWanted extends Error {}

/** An append before us failed for a reason of its own; we read what it would have left. */
function isOthers(error: unknown): boolean {
  return isCardumeError(error, 'conflict') || isCardumeError(error, 'already-exists');
}

/** What the failure of our own append means to its command. */
function asSeenHere(error: unknown): unknown {
  if (isCardumeError(error, 'conflict')) return new Discarded('decide again', { cause: error });
  if (isCardumeError(error, 'already-exists')) return new Answered('the key has an answer', { cause: error });
  return error;
}
