/**
 * What a shard keeps beside its log: read models, and a memory of snapshots and checkpoints, both derived from the log;
 * and the keys of subjects, which nothing else holds. Each engine has one side on the writer thread and one on the main
 * thread.
 */
import type { PlaceOfModule } from '../events/engine.ts';
import type { SqlAddress } from '../host/sql.ts';
import type { KeyStore } from '../privacy/key-store.ts';
import type { Within } from '../sharding/deadline.ts';
import type { Plan } from '../sharding/plan.ts';
import type { Row, Table, Value } from '../sharding/table.ts';
import type { Build } from './builds.ts';
import type { Digest } from './digest.ts';
import type { Rows } from './projection.ts';

/** Structured-cloneable. */
export type ShardPlace = FilesPlace | DatabasePlace | PlaceOfModule;

/** Path of a shard's files without their endings; and how many files beside them are its replicas. */
export interface FilesPlace {
  readonly base: string;
  readonly replicas?: number;
}

/** A database of the shard's own; and the same one on servers that follow. */
export interface DatabasePlace {
  readonly sql: SqlAddress;
  readonly replicas?: readonly SqlAddress[];
}

export interface Snapshot {
  readonly partition: number;
  readonly stream: string;
  readonly version: number;
  /** Epoch and position of the event of that version: by them it is known whether the log still has it. */
  readonly epoch: number;
  readonly position: number;
  readonly revision: number;
  readonly state: Uint8Array;
}

export interface ProcessCheckpoint {
  readonly process: string;
  readonly partition: number;
  /** `stateRevision` of the process. */
  readonly revision: number;
  readonly epoch: number;
  readonly position: number;
  /** Open instances: id → state. */
  readonly open: Uint8Array;
}

/** On the writer thread. */
export interface Stores {
  readonly readModels: ReadModels;
  readonly memory: Memory;
  readonly keys: KeyStore;
  close(): Promise<void>;
}

export interface Memory {
  saveSnapshot(snapshot: Snapshot): Promise<void>;
  saveCheckpoint(checkpoint: ProcessCheckpoint): Promise<void>;
  /** Forgets everything: the log is another one. */
  clear(): Promise<void>;
  /** Forgets a copy. */
  drop(partition: number): Promise<void>;
  /** Forgets what rests on entries of a copy behind the position. */
  cut(partition: number, afterPosition: number): Promise<void>;
}

/** Tables of a shard's projections, and up to where each of their builds was folded. */
export interface ReadModels {
  /** Of the projections that it was opened with, in their order. */
  readonly builds: readonly Build[];
  /** They were empty, or had to be emptied: what else was derived from the log is not to be believed either. */
  readonly begunAgain: boolean;
  readonly checkpoints: Checkpoints;
  /** One at a time. */
  begin(): Promise<Fold>;
  /** Deletes rows of a copy. @returns how many: fewer than `rowsMax` means that none is left, nor a checkpoint */
  drop(partition: number, rowsMax: number): Promise<number>;
  /**
   * Discards what builds have made of a copy that were folded beyond the position, in parts: their rows of the partition, then
   * their checkpoints. From the first part on they count as folded up to 0, and nothing is folded into them until the last.
   * With a position beyond all, ends what was cut off in the middle.
   * @returns how many rows: fewer than `rowsMax` means that none is left
   */
  discard(partition: number, afterPosition: number, rowsMax: number): Promise<number>;
  /**
   * What was written, and deleted, stays so whatever the power does.
   * @returns false: not now, since somebody reads
   */
  settle(): Promise<boolean>;
}

/**
 * A transaction of rows. They are read and written as if at once; an engine that does not have a row at hand says so by
 * throwing, brings it with `load`, and the fold is made again from its beginning.
 */
export interface Fold {
  rows(table: Table): PartitionRows;
  /** Some rows were not at hand: whatever was thrown since may be for want of them. */
  readonly isWanting: boolean;
  /** Brings what was wanted; the fold is empty again. */
  load(): Promise<void>;
  /**
   * Rows and checkpoints stand together, or neither.
   * @throws CardumeError `fenced` when a checkpoint is not where this host has put it: another one folds here
   */
  commit(moves: readonly CheckpointMove[]): Promise<void>;
  undo(): Promise<void>;
}

/** Rows of a table whose partition is told anew for each event. */
export interface PartitionRows extends Rows {
  at(partition: number): void;
}

export interface CheckpointMove {
  /** Name; '' for the checkpoint that all share which follow the log. */
  readonly build: string;
  readonly partition: number;
  readonly from: number;
  readonly epoch: number;
  readonly to: number;
}

export interface Checkpoints {
  position(build: string, partition: number): number;
  /** In which anything was folded. */
  partitions(): readonly number[];
  /** The build has checkpoints of its own. */
  isApart(build: string): boolean;
  /** The build leaves the shared checkpoint and keeps its place. */
  fork(shared: string, build: string): Promise<void>;
  /** The build has caught up with the shared checkpoint. */
  join(build: string): Promise<void>;
  /** As they are stored now: another host may have folded meanwhile. */
  refresh(): Promise<void>;
}

/** On the main thread: committed rows alone. */
export interface Reading {
  row(table: Table, partition: number, key: Row): Promise<Row | null>;
  /** @returns rows of `plan.columns` @throws CardumeError `overloaded`, `deadline-exceeded`, `query-refused` */
  scan(plan: Plan, within: Within): Promise<Value[][]>;
  findSnapshot(partition: number, stream: string): Promise<Snapshot | null>;
  findCheckpoint(process: string, partition: number): Promise<ProcessCheckpoint | null>;
  /** In one snapshot, of which a large partition takes minutes; nobody else waits for it. */
  digest(partition: number): Promise<Digest>;
  close(): Promise<void>;
}
