/**
 * What services say to each other and to themselves, wherever the partition is hosted: commands, reads of one
 * aggregate, queries over read models, and live entries. Answers wait for the commit of the state that they read.
 */
import { type Place, parseId } from '../base/id.ts';
import type { Json } from '../base/json.ts';
import { decodeToken } from '../events/token.ts';
import type { Explanation } from '../sharding/explain.ts';
import type { Freshness, Query, QueryBounds, QueryResult, UnionAll } from '../sharding/query.ts';
import type { Row } from '../sharding/table.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Aggregate, Typed } from './aggregate.ts';

export interface Bus {
  /**
   * Decides a command on the host of the aggregate's partition.
   * @throws CardumeError the decider's rejection, or `precondition-failed`, `idempotency-key-reused`,
   *   `partition-unavailable`, `overloaded`, `storage-failed`, …
   */
  send<C extends Typed>(to: AggregateRef<C>, id: string, command: C, options?: SendOptions): Promise<Answer>;
  /**
   * State of one aggregate after all that was decided before. `version` 0: it does not exist.
   * @param lasting only what outlives the loss of its region: see `SendOptions`
   * @param freshness how old it may be, so that a copy may tell; when left out, as old as the caller is content with;
   *   null: it is the newest
   */
  load<State>(
    of: AggregateOf<State>,
    id: string,
    lasting?: boolean,
    freshness?: Freshness | null,
  ): Promise<Loaded<State>>;
  /**
   * Rows of read models with a bounded query; scans run in reader threads.
   * @throws CardumeError `query-refused`, `invalid-cursor`, `deadline-exceeded`, `read-model-halted`,
   *   `partition-unavailable`, `overloaded`, …
   */
  query(query: Query | UnionAll, bounds?: QueryBounds): Promise<QueryResult>;
  /** What `query` would do, without doing it. @throws CardumeError as it does for a query that it refuses */
  explain(query: Query | UnionAll): Promise<Explanation>;
  /** One row by its key. Reads this partition's writes, unless it may be old. */
  row(
    service: string,
    table: string,
    place: Place,
    key: Row,
    freshness?: Freshness | null,
  ): Promise<Row | null>;
  /** The remembered answer of an idempotency key in a partition. */
  answered(service: string, place: Place, key: IdempotencyKey): Promise<Answer | null>;
  /**
   * Resolves when the home of the token's partition has the entry, durable and in its read models.
   * @throws CardumeError `deadline-exceeded`, `invalid-cursor` (of another history)
   */
  reached(service: string, token: string): Promise<void>;
  /** Events of one aggregate: those after the version, then live ones, until the signal. */
  follow(
    of: AggregateOf<unknown>,
    id: string,
    afterVersion: number,
    signal: AbortSignal,
  ): AsyncIterable<StreamEvent>;
}

/**
 * The same bus, for whoever is content with what is old. Who shows a token of a write sees also what led to it, so that
 * single things in other partitions than the token's are the newest.
 */
export function reading(bus: Bus, freshness: Freshness): Bus {
  const { seen } = freshness;
  const shown = seen == null ? null : `${seen.service}/${decodeToken(seen.token).partition}`;
  const of = (service: string, place: Place): Freshness | null =>
    shown === null || shown === `${service}/${partitionKey(place)}` ? freshness : null;
  return {
    ...bus,
    query: (query, bounds) => bus.query(query, { freshness, ...bounds }),
    row: (service, table, place, key, own = of(service, place)) => bus.row(service, table, place, key, own),
    load: (to, id, isLasting, own = of(to.service, parseId(id))) => bus.load(to, id, isLasting, own),
  };
}

/** The same bus, for effects of processes: what they rest on must not be lost when they have acted on it. */
export function lasting(bus: Bus): Bus {
  return {
    ...bus,
    send: (to, id, command, options) => bus.send(to, id, command, { ...options, lasting: true }),
    load: (of, id) => bus.load(of, id, true),
  };
}

/** Enough to address a command: the full definition lives in the service, this part in its contract. */
export interface AggregateRef<Command extends Typed> {
  readonly service: string;
  readonly aggregate: string;
  /** Phantom: the commands it takes. */
  readonly command?: Command;
}

export interface AggregateOf<State> {
  readonly service: string;
  readonly aggregate: string;
  readonly state?: State;
}

/** The address of an aggregate as both senders and readers use it. */
export function refer<State, Command extends Typed, Event extends Typed>(
  service: string,
  definition: Pick<Aggregate<State, Command, Event>, 'name'> & {
    decide?: Aggregate<State, Command, Event>['decide'];
  },
): AggregateRef<Command> & AggregateOf<State> {
  return { service, aggregate: definition.name };
}

export interface IdempotencyKey {
  /** It was hardly ever used before: it is looked for only when the log refuses it. For keys that we make ourselves. */
  readonly fresh?: boolean;
  /** Scope and key in one text, at most 200 bytes: principal, route, key. */
  readonly text: string;
  /** Digest of what was asked: the same key with another fingerprint is refused. */
  readonly fingerprint: string;
}

export interface SendOptions {
  readonly key?: IdempotencyKey | undefined;
  /** Only if the aggregate stands at this version (If-Match). */
  readonly ifVersion?: number | undefined;
  /** The id was made for this command: nothing can stand under it yet, so nothing is looked for. */
  readonly born?: boolean | undefined;
  /** W3C traceparent of the caller. */
  readonly trace?: string | undefined;
  /** It is answered when a second region has all that the answer rests on, whatever the service's durability. */
  readonly lasting?: boolean | undefined;
}

export interface Answer {
  readonly id: string;
  readonly version: number;
  readonly result: Json;
  /** Consistency token: reads that name it see this write. */
  readonly token: string;
  /** The answer was remembered: nothing happened this time. */
  readonly replayed: boolean;
}

export interface Loaded<State> {
  readonly state: State;
  readonly version: number;
  readonly token: string;
  /** See `DecideContext.unclean`. */
  readonly unclean: number;
}

export interface StreamEvent {
  readonly version: number;
  readonly event: Typed & { readonly [field: string]: Json };
  readonly atMs: number;
  readonly token: string;
}
