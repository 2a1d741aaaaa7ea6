/**
 * A tail follows a log on its writer thread: it sees every batch after its commit and before its answer, so that
 * what it keeps (read models, snapshots) is up to date when the caller hears of the append.
 *
 * The tail's module exports `openTail: OpenTail`. It catches up from `source` before it returns, since entries may
 * have been committed that no tail saw (a crash between commit and tail).
 */
import type { Host } from '../host/host.ts';
import type { Entry, Head, PartitionKey } from './log.ts';

export interface Tail {
  /**
   * Entries of one batch, of several partitions, each partition's in order. Runs on the writer thread: what it costs,
   * every append pays. A throw is reported and changes nothing in the log. It is asked for one thing at a time.
   * @returns structured-cloneable; given to `onTail`
   */
  commit(entries: readonly Entry[]): unknown;
  /** What `commit` would report now: asked for when the log was opened again, since nobody heard of what went before. */
  report?(): unknown;
  /** Answers `askTail`; both ways structured-cloneable. */
  ask?(message: never): unknown;
  close(): void | Promise<void>;
}

/** The log's committed entries, read on the writer thread. */
export interface TailSource {
  read(partition: PartitionKey, afterPosition: number, entriesMax: number): Promise<Entry[]>;
  /** Of the partitions that this log has open, and of its copies. */
  heads(): Head[];
}

export type OpenTail = (host: Host, init: never, source: TailSource) => Tail | Promise<Tail>;

export interface TailModule {
  readonly module: URL;
  /** Structured-cloneable. */
  readonly init: unknown;
}
