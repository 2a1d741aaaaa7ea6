/**
 * What an engine is to the log of a shard. It runs on a writer thread and is the only writer of its partitions while
 * their epochs are its own; a second reader, on the main thread, sees what is committed. The conformance suite in
 * `testing` says what each must do.
 */
import { assert } from '../base/assert.ts';
import type { Json } from '../base/json.ts';
import type { Host } from '../host/host.ts';
import type { SqlAddress } from '../host/sql.ts';
import type { Archive, EndedOf } from './archive/archived.ts';
import type { ArchiveStep } from './archive/making.ts';
import type { Batch, Outcome } from './batch.ts';
import type { Copies } from './copies.ts';
import type { Entry, Head, PartitionKey } from './log.ts';
import type { Quarantine } from './quarantine.ts';

/** Where a log stands, which also says which engine keeps it. Structured-cloneable. */
export type LogPlace =
  /** A file of SQLite. */
  | { readonly path: string }
  /** A database of a server; all shards may share one, since rows are told apart by partition. */
  | { readonly sql: SqlAddress }
  | PlaceOfModule;

/** What an engine keeps that is not of the house. */
export interface PlaceOfModule {
  /** URL of a module that exports `engine`: see cqrs/engine.ts. */
  readonly module: string;
  /** What the engine knows the place by: of the topology, `PlaceInTopology`. */
  readonly at: Json;
}

/** Which shard it is that stands there, and what the topology tells its engine. */
export interface PlaceInTopology {
  readonly region: string;
  readonly shard: string;
  /** The region's own, for engines that keep files. */
  readonly folder: string;
  /** `services.*.replicas` of the topology. */
  readonly replicas: number;
  readonly options: Json;
}

export interface Driver {
  /**
   * @param mayCommit asked right before the commit of a batch of appends, of no other: what it throws is what the whole batch
   *   is refused with, and nothing of it stands
   */
  open(host: Host, place: LogPlace, start: Start, mayCommit?: () => void): Promise<Opening>;
  openReader(host: Host, place: LogPlace): Promise<OwnReader>;
  inspect<T>(host: Host, place: LogPlace, look: (snapshot: Snapshot) => Promise<T>): Promise<T>;
}

export interface Engine {
  readonly reader: Reader;
  readonly copies: Copies;
  readonly quarantine: Quarantine;
  /** Of the partitions whose home is here. */
  heads(): Head[];
  /** One batch at a time. */
  commit(batch: Batch): Promise<Committed>;
  /** @returns how many entries it looked at: fewer than `entriesMax` means that no older answer is left */
  forgetAnswers(beforeMs: number, entriesMax: number): Promise<number>;
  readonly archive: ArchiveStep;
  close(): Promise<void>;
}

export interface Committed {
  readonly outcome: Outcome;
  /** Those that stand now. */
  readonly entries: readonly Entry[];
}

/** Rows that one read may return: at some 5 µs a row, it holds the thread for 50 ms. */
export const READ_ENTRIES_MAX = 10_000;

export function checkReadBound(entriesMax: number): void {
  assert(
    entriesMax >= 1 && entriesMax <= READ_ENTRIES_MAX,
    `a read takes 1 to ${READ_ENTRIES_MAX} entries, not ${entriesMax}`,
  );
}

/** Bounded reads of committed entries. */
export interface Reader {
  readPartition(partition: PartitionKey, afterPosition: number, entriesMax: number): Promise<Entry[]>;
  readStream(
    partition: PartitionKey,
    stream: string,
    fromVersion: number,
    entriesMax: number,
  ): Promise<Entry[]>;
  findAnswer(partition: PartitionKey, key: string): Promise<Entry | null>;
  /** Epoch of the entry at a position; null when there is none. */
  epochAt(partition: PartitionKey, position: number): Promise<number | null>;
  /** Of every head; at once where that takes microseconds. */
  epochs(): Epochs | Promise<Epochs>;
}

export type Epochs = readonly (readonly [PartitionKey, epoch: number])[];

export interface OwnReader extends Reader {
  close(): Promise<void>;
}

/** A first opening names its partitions; one after a lost thread also resolves the batch that was under way. */
export type Start = First | { readonly recovery: Recovery };

/** A first opening raises the epoch of the partitions; until the first batch their heads name the opener. */
export interface First {
  readonly partitions: readonly PartitionKey[];
  /** A number of the opener's own, from 1 on: by it a head tells who raised its epoch last. */
  readonly opener: number;
  /** Partitions of which a copy is followed here. */
  readonly copies: readonly PartitionKey[];
  /** The opener's map of shards was made a moment ago: it knows nothing of what was given away. */
  readonly isMapNew: boolean;
  /** Of partitions: their epoch is no less. See epoch.ts. */
  readonly floors?: Floors;
  /**
   * Partitions whose home others have taken over, in another log. Whatever stands here (a home, a copy, nothing) is followed
   * as a copy from now on; who had it open is fenced. None of `partitions`.
   */
  readonly yielded?: readonly PartitionKey[];
}

/** By partition: an epoch below which nobody may write any more. Structured-cloneable. */
export type Floors = ReadonlyMap<PartitionKey, number>;

/**
 * The way back after a writer thread ended in the middle of a batch. The entries of the opener's epoch tell what of the
 * batch stands: only it writes in its epoch, and it has one batch under way. A head whose epoch has grown since belongs
 * to another host, unless it names this opener: then an earlier way back was cut off half way. The epoch of the
 * partitions that no other host has opened is raised.
 */
export interface Recovery {
  /** The last batch that was sent. */
  readonly batch: number;
  readonly opener: number;
  readonly lost: readonly Lost[];
  readonly copies: readonly PartitionKey[];
}

/** What an opener that lost its writer thread knows of a partition. */
export interface Lost {
  readonly partition: PartitionKey;
  readonly epoch: number;
  /** Where the head stood before the batch whose outcome is unknown. */
  readonly position: number;
}

export interface Opening {
  readonly engine: Engine;
  /** Of each lost partition, in the order of `Recovery`. */
  readonly recovered: readonly Recovered[];
  /** Files of an archive that no row knows, where they were moved to. */
  readonly strays: readonly string[];
}

/** What became of a lost partition. */
export interface Recovered {
  readonly partition: PartitionKey;
  /** Entries of the batch that stand. */
  readonly entries: number;
  /** Another host has opened it meanwhile. */
  readonly fenced: boolean;
}

/** What an engine shows of a log as it stands: all in one snapshot. */
export interface Snapshot {
  /** As a reader does, but what is nowhere is passed over. */
  readonly readPartition: Reader['readPartition'];
  readonly archive: Archive;
  readonly ended: EndedOf;
  heads(): Promise<Head[]>;
  /** Partitions with entries. */
  partitions(): Promise<readonly PartitionKey[]>;
  /** Position of the last entry in segments. */
  archivedUpTo(partition: PartitionKey): Promise<number>;
  /** Rows as they stand, whatever segments hold. */
  rows(partition: PartitionKey, afterPosition: number, upTo: number): Promise<Entry[]>;
  /** Of all streams that have ended, together. */
  endedVersions(partition: PartitionKey): Promise<number>;
  /** Rows of events in the order of stream and version, at most so many, behind one or from the beginning. */
  versions(after: Version | null, max: number): Promise<readonly Version[]>;
  /** Remembered answers whose entry is not there, or has another key. */
  strayAnswers(max: number): Promise<readonly Pick<Entry, 'partition' | 'position'>[]>;
}

export interface Version {
  readonly stream: string;
  readonly version: number;
  readonly partition: PartitionKey;
  readonly position: number;
}
