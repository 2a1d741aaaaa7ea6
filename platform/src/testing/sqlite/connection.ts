/**
 * A connection of the simulated SQLite with the face of node:sqlite's: same defaults (page size, cache, foreign keys,
 * quoting, defensive), and errors that carry SQLite's extended result code.
 */

import type { VirtualFiles } from '../simulated/virtual-files.ts';
import { OK } from './locks.ts';
import { SqliteStatement } from './statement.ts';
import type { Owner, SqliteVfs } from './vfs.ts';

/** As node:sqlite's errors are: `errcode` is SQLite's extended result code. */
export class SqliteError extends Error {
  readonly errcode: number;
  constructor(errcode: number, message: string) {
    super(message);
    this.errcode = errcode;
  }
}

/** Of sqlite3.h. */
const OPEN_READONLY = 1;
const OPEN_READWRITE_CREATE = 6;
const OPEN_EXTENDED_CODES = 0x2000000;
const PREPARE_PERSISTENT = 1;
/** sqlite3_db_config: what node:sqlite sets. */
const SETTINGS = [
  [1002, 1], // foreign keys
  [1010, 1], // defensive
  [1013, 0], // no double-quoted strings in statements
  [1014, 0], // nor in definitions
] as const;

export class SqliteConnection implements Owner {
  readonly vfs: SqliteVfs;
  readonly onSync: () => void;
  isDead = false;
  #pointer = 0;
  readonly #statements = new Set<SqliteStatement>();

  constructor(
    vfs: SqliteVfs,
    files: VirtualFiles,
    path: string,
    isReadOnly: boolean,
    onSync: () => void = () => {},
  ) {
    this.vfs = vfs;
    this.onSync = onSync;
    const { sqlite } = vfs;
    const name = sqlite.newText(path);
    const flags = (isReadOnly ? OPEN_READONLY : OPEN_READWRITE_CREATE) | OPEN_EXTENDED_CODES;
    const into = sqlite.scratch;
    const vfsName = vfs.nameOf(files);
    const result = vfs.run(this, () => sqlite.calls.sqlite3_open_v2(name, into, flags, vfsName));
    this.#pointer = sqlite.view.getUint32(into, true);
    sqlite.calls.free(name);
    try {
      if (result !== OK) throw this.failure(result);
      for (const [option, value] of SETTINGS)
        sqlite.calls.sqlite3__wasm_db_config_ip(this.#pointer, option, value, 0);
      if (!isReadOnly) this.exec('PRAGMA page_size = 4096');
      // A damaged file is found now, not at the first write.
      this.exec('PRAGMA cache_size = -2000; SELECT count(*) FROM sqlite_schema');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @throws Error when it is closed */
  get pointer(): number {
    if (this.#pointer === 0) throw new Error('the database is not open');
    return this.#pointer;
  }

  failure(result: number): SqliteError {
    const { sqlite } = this.vfs;
    return new SqliteError(result, sqlite.textAt(sqlite.calls.sqlite3_errmsg(this.pointer)));
  }

  exec(sql: string): void {
    const { sqlite } = this.vfs;
    const text = sqlite.newText(sql);
    try {
      const end = text + Buffer.byteLength(sql);
      for (let at = text; at < end; ) {
        const [statement, next] = this.#prepare(at, end - at + 1, 0);
        at = next;
        if (statement === 0) continue;
        const one = new SqliteStatement(this, statement);
        try {
          one.run();
        } finally {
          sqlite.calls.sqlite3_finalize(statement);
        }
      }
    } finally {
      sqlite.calls.free(text);
    }
  }

  prepare(sql: string): SqliteStatement {
    const { sqlite } = this.vfs;
    const text = sqlite.newText(sql);
    try {
      const [pointer] = this.#prepare(text, -1, PREPARE_PERSISTENT);
      const statement = new SqliteStatement(this, pointer);
      this.#statements.add(statement);
      return statement;
    } finally {
      sqlite.calls.free(text);
    }
  }

  close(): void {
    if (this.#pointer === 0) return;
    const { calls } = this.vfs.sqlite;
    const pointer = this.#pointer;
    this.#pointer = 0;
    this.vfs.run(this, () => {
      for (const statement of this.#statements) calls.sqlite3_finalize(statement.pointer);
      this.#statements.clear();
      calls.sqlite3_close_v2(pointer);
    });
  }

  /** Its process has ended: nothing of an open transaction is written, no checkpoint is made, all locks are free. */
  abandon(): void {
    this.isDead = true;
    this.close();
  }

  /** @returns the statement, 0 for none, and where its text ends */
  #prepare(text: number, bytes: number, flags: number): readonly [number, number] {
    const { sqlite } = this.vfs;
    const { scratch } = sqlite;
    const { pointer } = this;
    const result = this.vfs.run(this, () =>
      sqlite.calls.sqlite3_prepare_v3(pointer, text, bytes, flags, scratch, scratch + 4),
    );
    if (result !== OK) throw this.failure(result);
    return [sqlite.view.getUint32(scratch, true), sqlite.view.getUint32(scratch + 4, true)];
  }
}
