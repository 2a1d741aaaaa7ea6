/** A prepared statement of the simulated SQLite: values in, rows out, as node:sqlite converts them. */
import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { SqliteConnection } from './connection.ts';
import type { SqliteInstance } from './instance.ts';
import { OK } from './locks.ts';

const ROW = 100;
const DONE = 101;
const INTEGER = 1;
const FLOAT = 2;
const TEXT = 3;
const BLOB = 4;
/** How long SQLite may read a bound value: until the statement is reset, or it keeps a copy. */
const STATIC = 0;
const TRANSIENT = -1;

export class SqliteStatement {
  readonly pointer: number;
  readonly #connection: SqliteConnection;
  readonly #sqlite: SqliteInstance;
  #asBigInts = false;
  #names: readonly string[] | null = null;

  constructor(connection: SqliteConnection, pointer: number) {
    this.pointer = pointer;
    this.#connection = connection;
    this.#sqlite = connection.vfs.sqlite;
  }

  readBigInts(): void {
    this.#asBigInts = true;
  }

  run(...values: SqlValue[]): { readonly changes: number } {
    const { pointer } = this.#connection;
    this.#bind(values, STATIC);
    try {
      while (this.#step());
      return { changes: this.#sqlite.calls.changes(pointer) };
    } finally {
      this.#reset();
    }
  }

  get(...values: SqlValue[]): SqlRow | undefined {
    this.#bind(values, STATIC);
    try {
      return this.#step() ? this.#row() : undefined;
    } finally {
      this.#reset();
    }
  }

  all(...values: SqlValue[]): SqlRow[] {
    this.#bind(values, STATIC);
    try {
      const rows: SqlRow[] = [];
      while (this.#step()) rows.push(this.#row());
      return rows;
    } finally {
      this.#reset();
    }
  }

  *iterate(...values: SqlValue[]): IterableIterator<SqlRow> {
    this.#bind(values, TRANSIENT);
    try {
      while (this.#step()) yield this.#row();
    } finally {
      this.#reset();
    }
  }

  #bind(values: readonly SqlValue[], lifetime: number): void {
    const { calls } = this.#sqlite;
    if (this.#connection.pointer === 0) return;
    const parameters = calls.sqlite3_bind_parameter_count(this.pointer);
    let used = 0;
    for (let i = 1; i <= Math.max(parameters, values.length); i += 1) {
      const value = values[i - 1] ?? null;
      let result: number;
      if (value === null) result = calls.sqlite3_bind_null(this.pointer, i);
      else if (typeof value === 'number') result = calls.sqlite3_bind_double(this.pointer, i, value);
      else if (typeof value === 'bigint') result = calls.sqlite3_bind_int64(this.pointer, i, value);
      else {
        const bytes = typeof value === 'string' ? Buffer.byteLength(value) : value.length;
        const fits = used + bytes <= this.#sqlite.scratchBytes;
        const at = fits ? this.#sqlite.scratch + used : calls.malloc(bytes + 1);
        result = this.#bindBytes(i, value, at, bytes, fits ? lifetime : TRANSIENT);
        if (fits) used += bytes;
        else calls.free(at);
      }
      if (result !== OK) throw this.#connection.failure(result);
    }
  }

  #bindBytes(index: number, value: string | Uint8Array, at: number, bytes: number, lifetime: number): number {
    const { calls, heap } = this.#sqlite;
    if (typeof value === 'string') {
      heap.write(value, at, bytes);
      return calls.sqlite3_bind_text(this.pointer, index, at, bytes, lifetime);
    }
    heap.set(value, at);
    return calls.sqlite3_bind_blob(this.pointer, index, at, bytes, lifetime);
  }

  /** @returns whether there is a row */
  #step(): boolean {
    const { calls } = this.#sqlite;
    const result = this.#connection.vfs.run(this.#connection, () => calls.sqlite3_step(this.pointer));
    if (result === ROW) return true;
    if (result === DONE) return false;
    throw this.#connection.failure(result);
  }

  #reset(): void {
    if (this.#connection.isDead) return;
    const { calls } = this.#sqlite;
    this.#connection.vfs.run(this.#connection, () => calls.sqlite3_reset(this.pointer));
  }

  #row(): SqlRow {
    const { calls } = this.#sqlite;
    if (this.#names === null) {
      const count = calls.sqlite3_column_count(this.pointer);
      this.#names = Array.from({ length: count }, (_, i) =>
        this.#sqlite.textAt(calls.sqlite3_column_name(this.pointer, i)),
      );
    }
    const row = Object.create(null) as SqlRow;
    for (let i = 0; i < this.#names.length; i += 1) row[this.#names[i] as string] = this.#column(i);
    return row;
  }

  #column(i: number): SqlValue {
    const { calls } = this.#sqlite;
    switch (calls.sqlite3_column_type(this.pointer, i)) {
      case INTEGER: {
        if (this.#asBigInts) return calls.sqlite3_column_int64(this.pointer, i);
        const value = calls.columnNumber(this.pointer, i);
        if (Number.isSafeInteger(value)) return value;
        throw new RangeError(`Value is too large to be represented as a JavaScript number: ${value}`);
      }
      case FLOAT:
        return calls.sqlite3_column_double(this.pointer, i);
      case TEXT: {
        const at = calls.sqlite3_column_text(this.pointer, i);
        return this.#sqlite.heap.toString('utf8', at, at + calls.sqlite3_column_bytes(this.pointer, i));
      }
      case BLOB: {
        const at = calls.sqlite3_column_blob(this.pointer, i);
        const bytes = calls.sqlite3_column_bytes(this.pointer, i);
        return new Uint8Array(this.#sqlite.heap.subarray(at, at + bytes));
      }
      default:
        return null;
    }
  }
}
