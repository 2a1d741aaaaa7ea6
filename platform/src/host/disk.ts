import { isCardumeError } from '../base/errors.ts';

/** Files and SQLite databases. Paths are absolute. */
export interface Disk {
  /** Opens or creates; the caller closes. @throws CardumeError `storage-failed` when the file is damaged or locked */
  database(path: string, options?: DatabaseOptions): Database;
  read(path: string): Promise<Uint8Array | null>;
  /**
   * Durable and atomic: a reader sees the old bytes or the new ones, also after a crash. `mode` as in chmod.
   * @throws CardumeError `storage-failed` when the disk is full, failing, or does not permit it
   */
  write(path: string, bytes: Uint8Array | string, mode?: number): Promise<void>;
  makeFolder(path: string): Promise<void>;
  /** Names in the folder, sorted; none when it does not exist. */
  list(path: string): Promise<string[]>;
  remove(path: string): Promise<void>;
}

export interface DatabaseOptions {
  readonly readOnly?: boolean;
  /** Paths of further files on the same connection, as SQLite attaches them: at most 10. SQL calls them `file1` and so on. */
  readonly attached?: readonly string[];
  /** How long a statement waits for another writer's lock. Default 5,000. */
  readonly busyTimeoutMs?: number;
}

export type SqlValue = null | number | bigint | string | Uint8Array;
export type SqlRow = Record<string, SqlValue>;

/** SQLite on the calling thread: every call blocks until it is done. */
export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

export interface Statement {
  run(...values: SqlValue[]): { readonly changes: number };
  get(...values: SqlValue[]): SqlRow | undefined;
  all(...values: SqlValue[]): SqlRow[];
  iterate(...values: SqlValue[]): IterableIterator<SqlRow>;
  /** Whole numbers come back as bigint from now on: for sums beyond 2^53. */
  readBigInts(): Statement;
}

/** SQLite's primary result codes: the file is damaged, or no database. */
const DAMAGED: ReadonlySet<number> = new Set([11, 26]);

/** The storage failed, and may do so no more when it is tried again: a damaged file stays damaged. */
export function isPassing(error: unknown): boolean {
  return isCardumeError(error, 'storage-failed') && !isDamaged(error);
}

export function isDamaged(error: unknown): boolean {
  if (!isCardumeError(error, 'storage-failed')) return false;
  const { errcode = 0 } = (error.cause ?? {}) as { errcode?: number };
  return DAMAGED.has(errcode & 0xff);
}
