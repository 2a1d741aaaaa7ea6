/**
 * SQLite compiled to WebAssembly (the module of @sqlite.org/sqlite-wasm, without its JavaScript): its memory, its
 * functions, and texts in and out. One instance is single-threaded and synchronous, and has no source of chance, time,
 * input or output but what `vfs.ts` gives it: every other import throws, and none was ever called.
 *
 * Views of the memory die when it grows, and any call into SQLite may make it grow: read `heap` and `view` anew after
 * each call, and never throw a JavaScript error through SQLite's frames.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { assert } from '../../base/assert.ts';
import { numberFunctions } from './wasm-bridge.ts';

type Pointer = number;
type ResultCode = number;

/** What we call of SQLite's C interface (sqlite.org/c3ref), and of the module's own. */
export interface SqliteCalls {
  malloc(bytes: number): Pointer;
  free(pointer: Pointer): void;
  sqlite3_initialize(): ResultCode;
  sqlite3_randomness(count: number, into: Pointer): void;
  sqlite3_vfs_register(vfs: Pointer, makeDefault: number): ResultCode;
  sqlite3_vfs_unregister(vfs: Pointer): ResultCode;
  sqlite3_open_v2(path: Pointer, into: Pointer, flags: number, vfs: Pointer): ResultCode;
  sqlite3_close_v2(database: Pointer): ResultCode;
  sqlite3_errmsg(database: Pointer): Pointer;
  sqlite3_get_autocommit(database: Pointer): number;
  sqlite3__wasm_db_config_ip(database: Pointer, option: number, value: number, into: Pointer): ResultCode;
  sqlite3_prepare_v3(
    database: Pointer,
    sql: Pointer,
    bytes: number,
    flags: number,
    into: Pointer,
    tail: Pointer,
  ): ResultCode;
  sqlite3_step(statement: Pointer): ResultCode;
  sqlite3_reset(statement: Pointer): ResultCode;
  sqlite3_finalize(statement: Pointer): ResultCode;
  sqlite3_bind_parameter_count(statement: Pointer): number;
  sqlite3_bind_null(statement: Pointer, index: number): ResultCode;
  sqlite3_bind_double(statement: Pointer, index: number, value: number): ResultCode;
  sqlite3_bind_int64(statement: Pointer, index: number, value: bigint): ResultCode;
  sqlite3_bind_text(
    statement: Pointer,
    index: number,
    text: Pointer,
    bytes: number,
    lifetime: number,
  ): ResultCode;
  sqlite3_bind_blob(
    statement: Pointer,
    index: number,
    blob: Pointer,
    bytes: number,
    lifetime: number,
  ): ResultCode;
  sqlite3_column_count(statement: Pointer): number;
  sqlite3_column_name(statement: Pointer, column: number): Pointer;
  sqlite3_column_type(statement: Pointer, column: number): number;
  sqlite3_column_double(statement: Pointer, column: number): number;
  sqlite3_column_int64(statement: Pointer, column: number): bigint;
  sqlite3_column_text(statement: Pointer, column: number): Pointer;
  sqlite3_column_blob(statement: Pointer, column: number): Pointer;
  sqlite3_column_bytes(statement: Pointer, column: number): number;
  /** `sqlite3_column_int64` as a number. */
  columnNumber(statement: Pointer, column: number): number;
  /** `sqlite3_changes64` as a number. */
  changes(database: Pointer): number;
}

/** Of 64 KiB. */
const PAGES_FIRST = 128;
const PAGES_MAX = 16_384;
const SCRATCH_BYTES = 65_536;

let compiled: WebAssembly.Module | null = null;

function moduleOfSqlite(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(
    readFileSync(fileURLToPath(import.meta.resolve('@sqlite.org/sqlite-wasm/sqlite3.wasm'))),
  );
  return compiled;
}

export class SqliteInstance {
  heap: Buffer;
  view: DataView;
  readonly calls: SqliteCalls;
  readonly table: WebAssembly.Table;
  /** For what is handed over within one call. */
  readonly scratch: Pointer;
  readonly scratchBytes = SCRATCH_BYTES;
  readonly #memory = new WebAssembly.Memory({ initial: PAGES_FIRST, maximum: PAGES_MAX });

  constructor() {
    this.heap = Buffer.from(this.#memory.buffer);
    this.view = new DataView(this.#memory.buffer);
    const { exports } = new WebAssembly.Instance(moduleOfSqlite(), this.#imports());
    const calls = exports as unknown as SqliteCalls & Record<string, (...values: number[]) => number>;
    const numbers = numberFunctions({
      columnNumber: { signature: 'lii', call: exports['sqlite3_column_int64'] as () => number },
      changes: { signature: 'li', call: exports['sqlite3_changes64'] as () => number },
    });
    this.calls = { ...calls, ...(numbers as unknown as Pick<SqliteCalls, 'columnNumber' | 'changes'>) };
    this.table = exports['__indirect_function_table'] as WebAssembly.Table;
    calls['__wasm_call_ctors']?.();
    this.scratch = this.calls.malloc(SCRATCH_BYTES);
  }

  /** A text that C reads; free it. */
  newText(text: string): Pointer {
    const bytes = Buffer.byteLength(text);
    const pointer = this.calls.malloc(bytes + 1);
    this.heap.write(text, pointer);
    this.heap[pointer + bytes] = 0;
    return pointer;
  }

  textAt(pointer: Pointer): string {
    return pointer === 0 ? '' : this.heap.toString('utf8', pointer, this.heap.indexOf(0, pointer));
  }

  /** A struct of 32-bit words; free it. */
  newWords(words: readonly number[]): Pointer {
    const pointer = this.calls.malloc(words.length * 4);
    words.forEach((word, i) => {
      this.view.setUint32(pointer + i * 4, word, true);
    });
    return pointer;
  }

  #imports(): Record<string, Record<string, unknown>> {
    const imports: Record<string, Record<string, unknown>> = {};
    for (const { module, name, kind } of WebAssembly.Module.imports(moduleOfSqlite())) {
      imports[module] ??= {};
      imports[module][name] = kind === 'memory' ? this.#memory : () => assert(false, `SQLite called ${name}`);
    }
    Object.assign(imports['env'] ?? {}, {
      emscripten_resize_heap: (bytes: number) => this.#grow(bytes >>> 0),
      emscripten_get_heap_max: () => PAGES_MAX * 65_536,
    });
    // SQLite looks for a temporary folder in the environment, which is empty.
    Object.assign(imports['wasi_snapshot_preview1'] ?? {}, {
      environ_sizes_get: (count: Pointer, bytes: Pointer) => {
        this.view.setUint32(count, 0, true);
        this.view.setUint32(bytes, 0, true);
        return 0;
      },
      environ_get: () => 0,
    });
    return imports;
  }

  #grow(bytes: number): number {
    const now = this.#memory.buffer.byteLength;
    try {
      this.#memory.grow(Math.ceil((Math.max(bytes, now * 1.2) - now) / 65_536));
    } catch {
      return 0; // SQLite tells its caller that memory is out
    }
    this.heap = Buffer.from(this.#memory.buffer);
    this.view = new DataView(this.#memory.buffer);
    return 1;
  }
}
