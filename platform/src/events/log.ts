/**
 * The contract of an event log: one shard's partitions, each an ordered, gapless, append-only sequence of entries.
 * `openLog` (events.ts) gives one over an engine; the conformance suite in `testing` says what each must do.
 */
import type { Place } from '../base/id.ts';
import type { ArchiveAsked } from './archive/making.ts';
import type { Quarantine } from './quarantine.ts';

/** `partitionKey(place)`: an entry's partition within its service. */
export type PartitionKey = number;

export interface NewEntry {
  /** The aggregate's id; its place names the partition. At most 80 bytes. */
  readonly stream: string;
  /** 1, 2, 3, … within the stream; null for an answer without an event (a rejection). */
  readonly version: number | null;
  /** The event's type, or '' for an answer. */
  readonly type: string;
  /** JSON text. */
  readonly data: string;
  /** JSON text beside the event: cause, trace, and the idempotent answer; or null. */
  readonly meta: string | null;
  /** Idempotency key that this entry answers, unique within the partition; or null. At most 200 bytes. */
  readonly key: string | null;
  /** Wall clock of the decision, milliseconds since 1970. */
  readonly atMs: number;
  /** What `data` says, for listeners of `onCommit` in this process; never stored, absent in entries that were read. */
  readonly decided?: object | undefined;
}

export interface Entry extends NewEntry {
  readonly partition: PartitionKey;
  readonly epoch: number;
  /** 1, 2, 3, … within the partition. */
  readonly position: number;
  /** 16 bytes: SHA-256, cut, over the previous entry's checksum and this entry. */
  readonly checksum: Uint8Array;
}

export interface Head {
  readonly partition: PartitionKey;
  /** Of the host that has the partition open; it stands in every entry that this host appends. */
  readonly epoch: number;
  /** Of the entry at `position`, as a token needs it: at most `epoch`; 0 when empty. */
  readonly lastEpoch: number;
  /** 0 when empty. */
  readonly position: number;
  /** 16 bytes; zeros when empty. */
  readonly checksum: Uint8Array;
}

/** The home's next entries, for a copy. */
export interface CopyPage {
  readonly partition: PartitionKey;
  /** Epoch in which the sender is the home: Raft's term of the leader. Null is not checked: it is the same region's. */
  readonly homeEpoch: number | null;
  /** In order; none tells of the epoch alone. */
  readonly entries: readonly Entry[];
}

/** What became of a page. */
export type Copied =
  | { readonly partition: PartitionKey; readonly head: Head; readonly added: number }
  | { readonly partition: PartitionKey; readonly refused: CopyRefusal };

/**
 * `fenced`: a copy has heard of a later home than the sender. `conflict`: the entries do not follow what stands, or say
 * that they are younger than their home; or it is no copy.
 */
export interface CopyRefusal {
  readonly code: 'conflict' | 'fenced';
  readonly detail: string;
}

/** What an append was given: entry i of it stands at `position + i`. */
export interface Appended {
  readonly partition: PartitionKey;
  readonly epoch: number;
  readonly position: number;
}

export interface Log {
  /** Heads as of now, committed entries only. */
  heads(): readonly Head[];
  /** Of one partition; undefined when its home is not here. */
  head(partition: PartitionKey): Head | undefined;
  /**
   * Adds entries to one partition. Group commit: appends that arrive while a batch commits share the next one, in
   * order of arrival. All entries of one call commit together or not at all.
   *
   * When an append fails, every later append to the same partition that was already made fails too (`conflict`),
   * since it may rest on state that never was; the caller decides again. Earlier ones, and those of other
   * partitions, stand. All of them are told in one turn: whoever sees the failure finds nothing of that partition
   * under way. So decide and append in the same turn. This holds for appends that are refused at once, too
   * (`overloaded`, `fenced`, `draining`): they are told when those before them are.
   * @throws CardumeError `conflict` (a stream version exists, or leaves a gap), `already-exists` (the key has an
   *   answer), `fenced`, `overloaded`, `storage-failed` (nothing was changed), `unknown-outcome` (it could not be
   *   found out, or it stands here and `LogOptions.mayServe` throws by now), `partition-unavailable` (not opened here, or the
   *   lease has run out), `draining` (closed)
   */
  append(partition: PartitionKey, entries: readonly NewEntry[]): Promise<Appended>;
  /**
   * Resolves when all that was appended to the partition before this call is durable; rejects when it failed.
   * @throws CardumeError `fenced` as `checkOpen` does
   */
  settled(partition: PartitionKey): Promise<void>;
  /**
   * For whoever answers from memory: a host that was paused and lost the partition must not tell what it remembers.
   * Looked up at most every 100 ms; a promise when that takes more than microseconds.
   * @param upTo position of the last entry that the answer rests on, for logs that tell nothing which other regions do not
   *   have: see cqrs/across.ts; all that stands when left out
   * @throws CardumeError `fenced` when another host has opened the partition since, `draining` when the log is closed, and
   *   what `LogOptions.mayServe` throws
   */
  checkOpen(partition: PartitionKey, upTo?: number): void | Promise<void>;
  /**
   * Committed events of a stream, in order of version, from `fromVersion` on. Reads take 1 to 10,000 entries.
   * @throws CardumeError, as all reads: `storage-failed` for what is lost or damaged, `draining` when the log closes
   */
  readStream(
    partition: PartitionKey,
    stream: string,
    fromVersion: number,
    entriesMax: number,
  ): Promise<Entry[]>;
  /** Committed entries after a position, in order. */
  readPartition(partition: PartitionKey, afterPosition: number, entriesMax: number): Promise<Entry[]>;
  /** The committed entry that answered an idempotency key. */
  findAnswer(partition: PartitionKey, key: string): Promise<Entry | null>;
  /** Live entries, after they are durable and projected, in order, from now on. @returns ends the subscription */
  onCommit(listener: (entries: readonly Entry[]) => void): () => void;
  /**
   * Every entry after the token, those in the log and then the live ones, with no gap and no repeat.
   * @param after a token of `encodeToken`, or null for the beginning
   * @throws CardumeError `invalid-cursor` when the token is of another history
   */
  subscribe(partition: PartitionKey, after: string | null): AsyncIterable<Entry>;
  /**
   * Called for each partition in the moment an append to it has failed, before anyone is told: whoever keeps
   * speculative state drops the partition's here, so that no later decision rests on what never was.
   */
  onFailed(listener: (partition: PartitionKey) => void): () => void;
  /** What the tail reported after a commit, before the appends of that commit resolve. */
  onTail(listener: (report: unknown) => void): () => void;
  /** Asks the tail, on its thread. @throws the error that the tail threw */
  askTail(message: unknown): Promise<unknown>;
  /**
   * Drops remembered answers that are older; their entries stay in the log, their keys may be used again. Looks at
   * no more than `entriesMax` entries in this call.
   * @returns how many it looked at: fewer than `entriesMax` means that no older answer is left
   */
  forgetAnswers(beforeMs: number, entriesMax: number): Promise<number>;
  /**
   * Makes a bounded step towards archives: see archive/making.ts. What ends streams is taken from the first step of a
   * round.
   * @returns whether there is more to do
   * @throws CardumeError `storage-failed` at the end of a round in which something was damaged, or the disk was full: of
   *   that partition nothing is deleted, and others were archived all the same
   */
  archive(asked: ArchiveAsked): Promise<boolean>;
  readonly moving: Moving;
  readonly quarantine: Quarantine;
  /** Lets what was appended become durable, then ends subscriptions and releases the storage. */
  close(): Promise<void>;
}

/** How partitions come and go while the log is open: see copies.ts. */
export interface Moving {
  /** Begins a copy of a partition whose home is elsewhere, or takes one up. @returns its head */
  begin(partition: PartitionKey): Promise<Head>;
  /**
   * Takes a copy up.
   * @param aboveEpoch whoever opens it later, does so in an epoch above this one
   * @returns its head
   * @throws CardumeError `conflict` when it is a home, or has been dropped since
   */
  follow(partition: PartitionKey, aboveEpoch?: number): Promise<Head>;
  /** Follows a copy no longer; it is about to be dropped. */
  abandon(partition: PartitionKey): void;
  /** Asks the tail, as `askTail` does, if the partition is a copy. @throws CardumeError `conflict` when it is a home */
  tend(partition: PartitionKey, message: unknown): Promise<unknown>;
  /**
   * Homes' next entries, into their copies and read models: see `Copies.copy`.
   * @returns what became of each page, in their order
   */
  copy(pages: readonly CopyPage[]): Promise<readonly Copied[]>;
  /**
   * The home goes away. Appends, reads from memory and subscriptions of the partition are refused from now on with
   * `partition-unavailable`; what was appended before becomes durable and is told. The home stays behind as a copy.
   * @returns its last head
   */
  release(partition: PartitionKey): Promise<Head>;
  /**
   * Whoever else has the partition open is fenced, and what stands becomes a copy: what an opening does, for one partition
   * of a log that is open. For a process that has replaced another one.
   * @returns its head
   * @throws CardumeError `conflict` when it is a copy already
   */
  unseat(partition: PartitionKey): Promise<Head>;
  /**
   * The copy is the partition's home from now on.
   * @param epoch in which it must stand
   * @param floor below which its new epoch may not be: see epoch.ts
   * @throws CardumeError `conflict` when it stands in another: somebody else has opened it since
   */
  adopt(partition: PartitionKey, epoch: number, floor?: number): Promise<Head>;
  /** Moves the last entries of a copy into the quarantine: see `Copies.cut`. What was folded from them is the caller's. */
  cut(head: Head, afterPosition: number, entriesMax: number): Promise<Head>;
  /** Deletes a part of a copy's entries. @returns how many: fewer than `entriesMax` means that none is left */
  drop(partition: PartitionKey, entriesMax: number): Promise<number>;
}

export type { Place };
