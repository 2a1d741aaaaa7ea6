/**
 * SQLite's view of the simulated machines (sqlite.org/vfs.html): each machine's disk is a VFS of its own in one
 * instance, with common functions. All connections live in one heap, so the shared memory of a write-ahead log is a
 * piece of that heap, and several connections may have one file open, as in reality.
 *
 * A connection whose process has ended is dead: what SQLite still does for it reaches neither files nor locks, so
 * closing it writes nothing, checkpoints nothing and holds up nobody.
 */
import { assert } from '../../base/assert.ts';
import { VirtualFile, type VirtualFiles } from '../simulated/virtual-files.ts';
import { SqliteInstance } from './instance.ts';
import { type Holder, lock, lockMemory, NONE, OK, RESERVED, SHARED, unlock } from './locks.ts';
import { type Bridged, tableFunctions } from './wasm-bridge.ts';

export interface Surroundings {
  randomBytes(count: number): Uint8Array;
  nowMs(): number;
}

/** The owner of open files. */
export interface Owner {
  isDead: boolean;
  /** One of its files was synced. */
  readonly onSync: () => void;
}

/** What all who have a file open share. */
interface Shared {
  readonly files: VirtualFiles;
  readonly path: string;
  readonly file: VirtualFile;
  readonly open: Set<Handle>;
  /** Pieces of the heap. */
  memory: number[];
}

interface Handle extends Holder {
  readonly of: Shared;
  readonly owner: Owner | null;
  readonly isReadOnly: boolean;
  readonly isDeletedAtClose: boolean;
  /** A log or a journal that was opened to be made where it is not there: the first sync syncs its folder, as on Unix. */
  namesUnsynced: boolean;
  hasMemory: boolean;
}

/** Result codes and flags of sqlite3.h. */
const NOMEM = 7;
const IOERR = 10;
const NOTFOUND = 12;
const CANTOPEN = 14;
const SHORT_READ = 522;
const IOERR_WRITE = 778;
const IOERR_LOCK = 3_850;
const NOTHING_TO_DELETE = 5_898;
const OPEN_READONLY = 1;
const OPEN_CREATE = 4;
const OPEN_DELETEONCLOSE = 8;
const OPEN_MAIN_JOURNAL = 0x800;
const OPEN_WAL = 0x80000;
const POWERSAFE_OVERWRITE = 0x1000;
const PATH_BYTES_MAX = 1_024;
/** Of the struct sqlite3_file: a pointer to the methods, and one word for us. */
const FILE_BYTES = 8;
const JULIAN_EPOCH_MS = 210_866_760_000_000;
const DAY_MS = 86_400_000;

const VFS_METHODS = ['xOpen', 'xDelete', 'xAccess', 'xFullPathname'] as const;
const VFS_SERVICES = ['xRandomness', 'xSleep', 'xCurrentTime', 'xGetLastError', 'xCurrentTimeInt64'] as const;

export class SqliteVfs {
  readonly sqlite = new SqliteInstance();
  surroundings: Surroundings | null = null;
  readonly #handles = new Map<number, Handle>();
  readonly #shared = new Map<VirtualFiles, Map<string, Shared>>();
  readonly #filesOf = new Map<number, VirtualFiles>();
  readonly #vfsOf = new Map<VirtualFiles, { readonly vfs: number; readonly name: number }>();
  readonly #functions: Readonly<Record<string, number>>;
  readonly #methods: number;
  #temporaries = 0;
  #current: Owner | null = null;
  /** What a callback threw: it must not cross SQLite's frames, and is thrown when SQLite has returned. */
  #thrown: { readonly error: unknown } | null = null;

  constructor() {
    const methods = this.#fileMethods();
    this.#functions = this.#toTable({ ...this.#vfsMethods(), ...methods });
    const methodsInOrder = Object.keys(methods).map((name) => this.#functions[name] as number);
    this.#methods = this.sqlite.newWords([2, ...methodsInOrder, 0, 0]);
    // The default VFS is where SQLite's randomness comes from. The first registration initializes SQLite, which then
    // makes its own the default: hence the second.
    const main = this.#newVfs(this.sqlite.newText('simulated'));
    assert(this.sqlite.calls.sqlite3_vfs_register(main, 1) === OK, 'the VFS is registered');
    assert(this.sqlite.calls.sqlite3_initialize() === OK, 'SQLite is initialized');
  }

  /** Chance begins anew: what was drawn before has no part in it. */
  begin(surroundings: Surroundings): void {
    this.surroundings = surroundings;
    this.sqlite.calls.sqlite3_randomness(0, 0);
  }

  get isIdle(): boolean {
    return this.#handles.size === 0;
  }

  /** Runs a call of SQLite: files that it opens are the owner's. @throws what a callback threw meanwhile */
  run<T>(owner: Owner, call: () => T): T {
    const before = this.#current;
    this.#current = owner;
    const result = call();
    this.#current = before;
    const thrown = this.#thrown;
    if (thrown === null) return result;
    this.#thrown = null;
    throw thrown.error;
  }

  /** The C name of the disk's VFS. */
  nameOf(files: VirtualFiles): number {
    let known = this.#vfsOf.get(files);
    if (known === undefined) {
      const name = this.sqlite.newText(`machine-${this.#vfsOf.size}`);
      known = { name, vfs: this.#newVfs(name) };
      this.#vfsOf.set(files, known);
      this.#filesOf.set(known.vfs, files);
    }
    return known.name;
  }

  /** No connection is open on the disk any more. */
  forget(files: VirtualFiles): void {
    const known = this.#vfsOf.get(files);
    if (known === undefined) return;
    const { calls } = this.sqlite;
    calls.sqlite3_vfs_unregister(known.vfs);
    calls.free(known.vfs);
    calls.free(known.name);
    this.#vfsOf.delete(files);
    this.#filesOf.delete(known.vfs);
    this.#shared.delete(files);
  }

  #newVfs(name: number): number {
    const index = (method: string): number => this.#functions[method] as number;
    const extensions = [0, 0, 0, 0];
    const vfs = this.sqlite.newWords([
      ...[2, FILE_BYTES, PATH_BYTES_MAX, 0, name, 0],
      ...VFS_METHODS.map(index),
      ...extensions,
      ...VFS_SERVICES.map(index),
      ...[0, 0, 0],
    ]);
    assert(this.sqlite.calls.sqlite3_vfs_register(vfs, 0) === OK, 'the VFS is registered');
    return vfs;
  }

  #toTable(functions: Readonly<Record<string, Bridged>>): Record<string, number> {
    const { table } = this.sqlite;
    const exported = Object.entries(tableFunctions(functions));
    const first = table.grow(exported.length);
    const entries = exported.map(([name, call], i) => {
      table.set(first + i, call);
      return [name, first + i] as const;
    });
    return Object.fromEntries(entries);
  }

  #safely(work: (...values: number[]) => number): (...values: number[]) => number {
    return (...values) => {
      try {
        return work(...values);
      } catch (error) {
        this.#thrown ??= { error };
        return IOERR;
      }
    };
  }

  /** Of a handle whose owner lives. */
  #alive(work: (handle: Handle, ...values: number[]) => number): (...values: number[]) => number {
    return this.#safely((pointer, ...values) => {
      const handle = this.#handle(pointer as number);
      return handle.owner?.isDead === true ? IOERR : work(handle, ...values);
    });
  }

  /** An operation that the disk may refuse. */
  #refusable(
    operation: 'read' | 'write' | 'sync',
    work: (handle: Handle, a: number, b: number, c: number) => number,
  ): (...values: number[]) => number {
    return this.#alive((handle, a = 0, b = 0, c = 0) => {
      const { files, path, file } = handle.of;
      const failure = files.fault(operation, path, file);
      return failure === OK ? work(handle, a, b, c) : failure;
    });
  }

  #handle(pointer: number): Handle {
    return this.#handles.get(pointer) as Handle;
  }

  #files(vfs: number): VirtualFiles {
    const files = this.#filesOf.get(vfs);
    assert(files !== undefined, 'files are opened on a machine');
    return files;
  }

  #surroundings(): Surroundings {
    assert(this.surroundings !== null, 'the instance belongs to a simulation');
    return this.surroundings;
  }

  #sharedOf(files: VirtualFiles, path: string, file: VirtualFile): Shared {
    let all = this.#shared.get(files);
    if (all === undefined) {
      all = new Map();
      this.#shared.set(files, all);
    }
    let shared = all.get(path);
    if (shared === undefined || shared.file !== file) {
      shared = { files, path, file, open: new Set(), memory: [] };
      all.set(path, shared);
    }
    return shared;
  }

  #open(vfs: number, name: number, pointer: number, flags: number, outFlags: number): number {
    const { sqlite } = this;
    sqlite.view.setUint32(pointer, 0, true); // without methods, `xClose` is not called
    const files = this.#files(vfs);
    this.#temporaries += name === 0 ? 1 : 0;
    const path = name === 0 ? `/.temporary-${this.#temporaries}` : files.pathOf(sqlite.textAt(name));
    let file = files.files.get(path);
    if (file === undefined) {
      if ((flags & OPEN_CREATE) === 0 || !files.hasFolderOf(path)) return CANTOPEN;
      file = new VirtualFile();
      files.files.set(path, file);
    }
    const handle: Handle = {
      of: this.#sharedOf(files, path, file),
      owner: this.#current,
      isReadOnly: (flags & OPEN_READONLY) !== 0,
      isDeletedAtClose: (flags & OPEN_DELETEONCLOSE) !== 0,
      namesUnsynced: (flags & OPEN_CREATE) !== 0 && (flags & (OPEN_WAL | OPEN_MAIN_JOURNAL)) !== 0,
      hasMemory: false,
      level: NONE,
      shared: 0,
      exclusive: 0,
    };
    handle.of.open.add(handle);
    this.#handles.set(pointer, handle);
    sqlite.view.setUint32(pointer, this.#methods, true);
    if (outFlags !== 0) sqlite.view.setInt32(outFlags, flags, true);
    return OK;
  }

  #close(pointer: number): number {
    const handle = this.#handle(pointer);
    const { of } = handle;
    unlock(handle, NONE);
    this.#releaseMemory(handle);
    of.open.delete(handle);
    this.#handles.delete(pointer);
    if (handle.isDeletedAtClose) of.files.files.delete(of.path);
    return OK;
  }

  #mapMemory(handle: Handle, region: number, bytes: number, isExtended: boolean, into: number): number {
    const { sqlite } = this;
    const { of } = handle;
    handle.hasMemory = true;
    while (isExtended && of.memory.length <= region) {
      const piece = sqlite.calls.malloc(bytes);
      if (piece === 0) return NOMEM;
      sqlite.heap.fill(0, piece, piece + bytes);
      of.memory.push(piece);
    }
    sqlite.view.setUint32(into, of.memory[region] ?? 0, true);
    return OK;
  }

  #releaseMemory(handle: Handle): void {
    const { of } = handle;
    handle.hasMemory = false;
    handle.shared = 0;
    handle.exclusive = 0;
    if ([...of.open].some((one) => one.hasMemory)) return;
    for (const piece of of.memory) this.sqlite.calls.free(piece);
    of.memory = [];
  }

  #vfsMethods(): Record<(typeof VFS_METHODS)[number] | (typeof VFS_SERVICES)[number], Bridged> {
    const { sqlite } = this;
    const call = (
      signature: string,
      work: (a: number, b: number, c: number, d: number, e: number) => number,
    ) => ({
      signature,
      call: this.#safely((a = 0, b = 0, c = 0, d = 0, e = 0) => work(a, b, c, d, e)),
    });
    return {
      xOpen: call('iiiiii', (vfs, name, file, flags, outFlags) =>
        this.#open(vfs, name, file, flags, outFlags),
      ),
      xDelete: call('iiii', (vfs, name) => {
        if (this.#current?.isDead === true) return IOERR;
        const files = this.#files(vfs);
        return files.files.delete(files.pathOf(sqlite.textAt(name))) ? OK : NOTHING_TO_DELETE;
      }),
      /** Whether a file exists: on Unix, an empty one does not. */
      xAccess: call('iiiii', (vfs, name, flags, into) => {
        const files = this.#files(vfs);
        const file = files.files.get(files.pathOf(sqlite.textAt(name)));
        const isThere = file !== undefined && (flags !== 0 || file.size > 0);
        sqlite.view.setInt32(into, isThere ? 1 : 0, true);
        return OK;
      }),
      xFullPathname: call('iiiii', (_vfs, name, bytesMax, into) => {
        const end = sqlite.heap.indexOf(0, name) + 1;
        if (end - name > bytesMax) return CANTOPEN;
        sqlite.heap.copyWithin(into, name, end);
        return OK;
      }),
      xRandomness: call('iiii', (_vfs, count, into) => {
        // While SQLite starts, before a simulation has begun, nothing is drawn that lasts: see `begin`.
        const bytes = this.surroundings?.randomBytes(count) ?? new Uint8Array(count);
        sqlite.heap.set(bytes, into);
        return count;
      }),
      xSleep: call('iii', (_vfs, us) => us),
      xCurrentTime: call('iii', (_vfs, into) => {
        const days = (this.#surroundings().nowMs() + JULIAN_EPOCH_MS) / DAY_MS;
        sqlite.view.setFloat64(into, days, true);
        return OK;
      }),
      xGetLastError: call('iiii', () => OK),
      xCurrentTimeInt64: call('iii', (_vfs, into) => {
        sqlite.view.setBigInt64(into, BigInt(this.#surroundings().nowMs() + JULIAN_EPOCH_MS), true);
        return OK;
      }),
    };
  }

  /** In the order of the struct sqlite3_io_methods. */
  #fileMethods(): Record<string, Bridged> {
    const { sqlite } = this;
    return {
      xClose: { signature: 'ii', call: this.#safely((pointer = 0) => this.#close(pointer)) },
      xRead: {
        signature: 'iiiil',
        call: this.#refusable('read', ({ of }, into, count, offset) => {
          const bytes = sqlite.heap.subarray(into, into + count);
          const got = of.file.read(bytes, offset);
          if (got === count) return OK;
          bytes.fill(0, got);
          return SHORT_READ;
        }),
      },
      xWrite: {
        signature: 'iiiil',
        call: this.#refusable('write', ({ of, isReadOnly }, from, count, offset) => {
          if (isReadOnly) return IOERR_WRITE;
          of.file.write(sqlite.heap.subarray(from, from + count), offset);
          return OK;
        }),
      },
      xTruncate: {
        signature: 'iil',
        call: this.#refusable('write', ({ of }, size) => {
          of.file.truncate(size);
          return OK;
        }),
      },
      xSync: {
        signature: 'iii',
        call: this.#refusable('sync', (handle) => {
          handle.of.file.sync();
          handle.owner?.onSync();
          if (handle.namesUnsynced) handle.of.files.syncNames();
          handle.namesUnsynced = false;
          return OK;
        }),
      },
      xFileSize: {
        signature: 'iii',
        call: this.#alive(({ of }, into = 0) => {
          sqlite.view.setBigInt64(into, BigInt(of.file.size), true);
          return OK;
        }),
      },
      xLock: {
        signature: 'iii',
        call: this.#alive((handle, level = NONE) =>
          handle.isReadOnly && level > SHARED ? IOERR_LOCK : lock(handle, handle.of.open, level),
        ),
      },
      xUnlock: {
        signature: 'iii',
        call: this.#safely((pointer = 0, level = NONE) => {
          unlock(this.#handle(pointer), level);
          return OK;
        }),
      },
      xCheckReservedLock: {
        signature: 'iii',
        call: this.#alive(({ of }, into = 0) => {
          const isReserved = [...of.open].some(({ level }) => level >= RESERVED);
          sqlite.view.setInt32(into, isReserved ? 1 : 0, true);
          return OK;
        }),
      },
      xFileControl: { signature: 'iiii', call: () => NOTFOUND },
      xSectorSize: { signature: 'ii', call: () => 4_096 },
      xDeviceCharacteristics: { signature: 'ii', call: () => POWERSAFE_OVERWRITE },
      xShmMap: {
        signature: 'iiiiii',
        call: this.#alive((handle, region = 0, bytes = 0, extend = 0, into = 0) =>
          this.#mapMemory(handle, region, bytes, extend !== 0, into),
        ),
      },
      xShmLock: {
        signature: 'iiiii',
        call: this.#safely((pointer = 0, first = 0, count = 0, flags = 0) => {
          const handle = this.#handle(pointer);
          const UNLOCK = 1;
          if (handle.owner?.isDead === true && (flags & UNLOCK) === 0) return IOERR;
          return lockMemory(handle, handle.of.open, first, count, flags);
        }),
      },
      xShmBarrier: { signature: 'vi', call: () => undefined },
      xShmUnmap: {
        signature: 'iii',
        call: this.#safely((pointer = 0) => {
          this.#releaseMemory(this.#handle(pointer));
          return OK;
        }),
      },
    };
  }
}

const idle: SqliteVfs[] = [];
const IDLE_MAX = 8;

/** An instance for one simulation: one made before, if one is idle (it takes 2 ms to make). */
export function takeSqlite(surroundings: Surroundings): SqliteVfs {
  const taken = idle.pop() ?? new SqliteVfs();
  taken.begin(surroundings);
  return taken;
}

/** The simulation is over, and all its connections are closed. */
export function giveBackSqlite(vfs: SqliteVfs): void {
  assert(vfs.isIdle, 'the connections of a simulation end with it');
  vfs.surroundings = null;
  if (idle.length < IDLE_MAX) idle.push(vfs);
}
