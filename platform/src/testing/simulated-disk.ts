/**
 * The disk of one simulated machine: files in memory (virtual-files.ts), SQLite itself over them (sqlite-vfs.ts), and
 * calls that end at virtual times. A crash is a loss of power: the lives that used the disk have ended, and of what
 * was not synced each write is there, lost, or torn at a sector, as the seed decides.
 *
 * - A `write` in flight has happened or has not, as the seed decides: it is atomic.
 * - The name of a new database is durable with the first sync of its log or journal, as SQLite does it on Unix. That a
 *   name was removed is taken as durable at once.
 * - SQLite's calls take no virtual time, its locks are real (a lock that another connection holds fails at once:
 *   nobody could release it meanwhile), and its chance and its clock are the simulation's.
 */
import { isCardumeError } from '../base/errors.ts';
import type { Database, DatabaseOptions, Disk, Statement } from '../host/disk.ts';
import { fileFailure } from '../host/real-disk.ts';
import { translated } from '../host/real-sqlite.ts';
import type { Kernel } from './simulated-kernel.ts';
import type { Life } from './simulated-life.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import type { SqliteStatement } from './sqlite-statement.ts';
import type { SqliteVfs } from './sqlite-vfs.ts';
import { type Kept, SECTOR_BYTES, type Unsynced, VirtualFiles } from './virtual-files.ts';

export interface WriteFault {
  readonly code: 'EIO' | 'ENOSPC';
  /** How many writes fail; 1 when left out, Infinity for a disk that stays full. */
  readonly count?: number;
  /** Only writes to paths that contain this text. */
  readonly path?: string;
  /** It is the sync that fails, after the bytes have reached the disk: the caller is told of a failure all the same. */
  readonly written?: boolean;
}

export interface SimulatedDisk {
  /** Paths may also be written with this in front. */
  readonly folder: string;
  view(life: () => Life): Disk;
  failWrites(fault: WriteFault): void;
  mend(): void;
  /**
   * The power fails after so many more writes and syncs of SQLite: from then on all of them fail and reach nothing,
   * until the machine crashes.
   */
  failPowerAfter(operations: number): void;
  /** Damages `count` bytes of a file from `offset` on, as a bad sector does. */
  damage(path: string, offset: number, count: number): void;
  /** What the power takes with it. `endLives` ends all lives that use this disk. */
  loseUnsynced(endLives: () => void): void;
  /** Bytes of a file now; null when it does not exist. */
  bytesOf(path: string): Uint8Array | null;
  /** The simulation is over. */
  close(): void;
}

/** SQLite's result codes for what the system reports. */
const IOERR_READ = 266;
const IOERR_WRITE = 778;
const IOERR_FSYNC = 1_034;
const FULL = 13;
const IN_MEMORY = ':memory:';

export function simulatedDisk(kernel: Kernel, machine: string, sqlite: SqliteVfs): SimulatedDisk {
  const stream = kernel.stream(`${machine}/disk`);
  const pending = new Set<() => void>();
  const files = new VirtualFiles(`/machines/${machine}`);
  let fault: { -readonly [K in keyof WriteFault]: WriteFault[K] } | null = null;
  let operationsLeft = Number.POSITIVE_INFINITY;

  /** The fault that strikes now, counted down. */
  function strike(path: string): WriteFault | null {
    if (fault === null || (fault.path !== undefined && !path.includes(fault.path))) return null;
    const striking = fault;
    const { count = 1 } = striking;
    fault = count > 1 ? { ...striking, count: count - 1 } : null;
    return striking;
  }

  files.fault = (operation, path, file) => {
    if (operationsLeft <= 0) return operation === 'read' ? IOERR_READ : IOERR_WRITE;
    if (operation === 'read') return 0;
    operationsLeft -= 1;
    if (fault === null || (operation === 'sync') !== (fault.written === true)) return 0;
    const striking = strike(path);
    if (striking === null) return 0;
    if (striking.written !== true) return striking.code === 'ENOSPC' ? FULL : IOERR_WRITE;
    file.sync();
    return IOERR_FSYNC;
  };

  function write(path: string, work: () => void): void {
    const striking = strike(path);
    if (striking === null || striking.written === true) work();
    if (striking === null) return;
    const { code } = striking;
    throw fileFailure(path, Object.assign(new Error(`${code} (simulated)`), { code }));
  }

  function replace(path: string, bytes: Uint8Array | string): void {
    if (!files.hasFolderOf(path)) {
      throw fileFailure(path, Object.assign(new Error('ENOENT (simulated)'), { code: 'ENOENT' }));
    }
    files.replace(path, typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
  }

  function openDatabase(life: Life, name: string, options: DatabaseOptions): Database {
    const told = <T>(work: () => T): T => {
      try {
        return work();
      } catch (error) {
        throw translated(name, error);
      }
    };
    const path = name === IN_MEMORY ? name : files.pathOf(name);
    const connection = told(() => new SqliteConnection(sqlite, files, path, options.readOnly === true));
    const forget = life.onEnd(() => connection.abandon());
    return {
      exec: (sql) => told(() => connection.exec(sql)),
      prepare: (sql) =>
        statementOf(
          told(() => connection.prepare(sql)),
          told,
        ),
      close() {
        forget();
        connection.close();
      },
    };
  }

  /** A write that was not synced: lost, there, or torn. */
  function torn({ bytes }: Unsynced): Kept {
    const size = bytes?.length ?? 0;
    const chance = stream.below(8);
    if (chance < 3) return null;
    if (chance < 7 || size <= SECTOR_BYTES) return [0, size];
    return [0, SECTOR_BYTES * stream.below(Math.ceil(size / SECTOR_BYTES))];
  }

  return {
    folder: files.folder,
    view(life) {
      const after = <T>(
        meanUs: number,
        kind: string,
        name: string,
        work: (path: string) => T,
      ): Promise<T> => {
        const path = files.pathOf(name);
        const delayUs = meanUs * (0.5 + stream.fraction());
        return life().outcome(delayUs, kind, `${machine} ${path}`, () => work(path));
      };
      return {
        database: (path, options = {}) => openDatabase(life(), path, options),
        read: (name) =>
          after(100, 'read', name, (path) => {
            const file = files.files.get(path);
            return file === undefined ? null : Buffer.from(file.all());
          }),
        write(name, bytes) {
          const put = (): void => replace(files.pathOf(name), bytes);
          pending.add(put);
          return after(1_000, 'write', name, (path) => {
            pending.delete(put);
            write(path, put);
          });
        },
        makeFolder: (name) => after(500, 'folder', name, (path) => write(path, () => files.makeFolder(path))),
        list: (name) => after(100, 'list', name, (path) => files.list(path)),
        remove: (name) => after(500, 'remove', name, (path) => files.remove(path)),
      };
    },
    failWrites(next) {
      fault = next;
    },
    mend() {
      fault = null;
    },
    failPowerAfter(operations) {
      operationsLeft = operations;
    },
    damage(name, offset, count) {
      const file = files.files.get(files.pathOf(name));
      if (file === undefined) throw new Error(`${machine} has no file ${name}`);
      for (let i = offset; i < offset + count; i += 1) {
        const flip = 1 + stream.below(255);
        file.damage(i, (byte) => byte ^ flip);
      }
    },
    loseUnsynced(endLives) {
      for (const put of pending) if (stream.below(2) === 0) attempt(put);
      pending.clear();
      endLives();
      operationsLeft = Number.POSITIVE_INFINITY;
      /** Half of the time the disk wrote in order: of each file's writes a prefix is there. */
      const isOrdered = stream.below(2) === 0;
      const left = new Map<string, number>();
      files.loseUnsynced((path, unsynced) => {
        if (!isOrdered) return torn(unsynced);
        const kept = left.get(path) ?? stream.below(1 + (files.files.get(path)?.unsynced ?? 0));
        left.set(path, kept - 1);
        return kept > 0 ? [0, unsynced.bytes?.length ?? 0] : null;
      });
    },
    bytesOf: (name) => files.files.get(files.pathOf(name))?.all() ?? null,
    close: () => sqlite.forget(files),
  };
}

function statementOf(statement: SqliteStatement, told: <T>(work: () => T) => T): Statement {
  return {
    run: (...values) => told(() => statement.run(...values)),
    get: (...values) => told(() => statement.get(...values)),
    all: (...values) => told(() => statement.all(...values)),
    *iterate(...values) {
      const rows = statement.iterate(...values);
      for (let next = told(() => rows.next()); next.done !== true; next = told(() => rows.next())) {
        yield next.value;
      }
    },
    readBigInts() {
      statement.readBigInts();
      return this;
    },
  };
}

/** A write that nobody waits for any more: that it failed is a way of not having happened. */
function attempt(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!isCardumeError(error, 'storage-failed')) throw error;
  }
}
