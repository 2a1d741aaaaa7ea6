/**
 * The disk of one simulated machine: a real folder (in memory where the system has such a file system), real SQLite
 * in it, and calls that end at virtual times. A crash is a loss of power: the lives that used the disk have ended,
 * and what was not synced is gone.
 *
 * - A `write` in flight has happened or has not, as the seed decides: it is atomic.
 * - A database in WAL mode with `synchronous` below FULL keeps what its last checkpoint synced and, of the frames
 *   after it, as many as the seed decides; with FULL it keeps every commit. Transactions that were open are undone.
 * - New and removed names, and a rollback journal, are taken as synced at once.
 *
 * SQLite runs for real, on the calling thread: its calls take no virtual time, its locks are real (a lock that
 * another connection holds fails at once: nobody could release it meanwhile), and `random()` in SQL is not seeded.
 * SQL that names a file (ATTACH, VACUUM INTO) sees the machine under it: give it paths under `folder`.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isCardumeError } from '../base/errors.ts';
import type { Database, DatabaseOptions, Disk, Statement } from '../host/disk.ts';
import { fileFailure } from '../host/real-disk.ts';
import { openSqlite, type SqliteDatabase } from '../host/real-sqlite.ts';
import type { Kernel } from './simulated-kernel.ts';
import type { Life } from './simulated-life.ts';
import type { RandomStream } from './simulated-stream.ts';

export interface WriteFault {
  readonly code: 'EIO' | 'ENOSPC';
  /** How many writes fail; 1 when left out, Infinity for a disk that stays full. */
  readonly count?: number;
  /** Only writes to paths that contain this text. */
  readonly path?: string;
  /** The bytes reach the disk all the same: the caller is told of a failure, and a reader sees the write. */
  readonly written?: boolean;
}

export interface SimulatedDisk {
  /** Where the files are: a path below it is itself, any other absolute path is one below it. */
  readonly folder: string;
  view(life: () => Life): Disk;
  failWrites(fault: WriteFault): void;
  mend(): void;
  /** Damages `count` bytes of a file from `offset` on, as a bad sector does. */
  damage(path: string, offset: number, count: number): void;
  /** What the power takes with it. `endLives` ends all lives that use this disk. */
  loseUnsynced(endLives: () => void): void;
}

/** Memory that must be free in a file system in memory before simulations use it. */
const MEMORY_BYTES_MIN = 2 ** 30;
const MEMORY_FOLDER = '/dev/shm';

const folders = new Set<string>();
process.once('exit', () => {
  for (const folder of folders) removeFolder(folder);
});

export function makeFolder(): string {
  const folder = mkdtempSync(join(baseFolder(), 'cardume-sim-'));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** Syncing costs nothing in memory: measured, 6 us a commit where a disk takes 220. */
function baseFolder(): string {
  if (!existsSync(MEMORY_FOLDER)) return tmpdir();
  const { bavail, bsize } = statfsSync(MEMORY_FOLDER);
  return bavail * bsize >= MEMORY_BYTES_MIN ? MEMORY_FOLDER : tmpdir();
}

const IN_MEMORY = ':memory:';
const WRITES = /^\s*(?:COMMIT|END|INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|VACUUM)\b/i;
const COMMITS = /^\s*(?:COMMIT|END)\b/i;

/** @param folder the disk's alone; it is made */
export function simulatedDisk(kernel: Kernel, machine: string, folder: string): SimulatedDisk {
  const stream = kernel.stream(`${machine}/disk`);
  const pending = new Set<() => void>();
  const open = new Map<SqliteDatabase, string>();
  mkdirSync(folder);
  let fault: { -readonly [K in keyof WriteFault]: WriteFault[K] } | null = null;

  const fileOf = (path: string): string => (path.startsWith(folder) ? path : join(folder, path));
  const nameOf = (path: string): string => (path.startsWith(folder) ? path.slice(folder.length) : path);

  /** Does the write, or fails as the fault says. */
  function write<T>(path: string, work: () => T, undo?: () => void): T {
    if (fault === null || (fault.path !== undefined && !path.includes(fault.path))) return work();
    const { code, written = false, count = 1 } = fault;
    fault = count > 1 ? { ...fault, count: count - 1 } : null;
    if (written) work();
    else undo?.();
    throw fileFailure(path, Object.assign(new Error(`${code} (simulated)`), { code }));
  }

  function openDatabase(life: Life, path: string, options: DatabaseOptions): Database {
    const file = path === IN_MEMORY ? path : fileOf(path);
    const inner = openSqlite(file, { ...options, busyTimeoutMs: 0 }, path);
    if (path !== IN_MEMORY) open.set(inner, file);
    const shut = (): void => {
      open.delete(inner);
      inner.close();
    };
    const forget = life.onEnd(shut);
    return {
      exec: (sql) => reaching(path, inner, sql, () => inner.exec(sql)),
      prepare(sql) {
        const statement = inner.prepare(sql);
        if (!WRITES.test(sql)) return statement;
        const faulty: Statement = {
          ...statement,
          run: (...values) => reaching(path, inner, sql, () => statement.run(...values)),
          get: (...values) => reaching(path, inner, sql, () => statement.get(...values)),
          all: (...values) => reaching(path, inner, sql, () => statement.all(...values)),
          readBigInts() {
            statement.readBigInts();
            return faulty;
          },
        };
        return faulty;
      },
      close() {
        forget();
        shut();
      },
    };
  }

  /** Within a transaction SQLite writes to its cache; what reaches the disk, and can fail there, is the commit. */
  function reaching<T>(path: string, database: SqliteDatabase, sql: string, work: () => T): T {
    if (fault === null || !WRITES.test(sql)) return work();
    if (database.inTransaction() && !COMMITS.test(sql)) return work();
    return write(path, work, () => {
      // SQLite may have undone the transaction when it reports a full or failing disk (lang_transaction.html, 2.3).
      if (database.inTransaction() && stream.below(2) === 0) database.exec('ROLLBACK');
    });
  }

  return {
    folder,
    view(life) {
      const after = <T>(meanUs: number, kind: string, path: string, work: () => T): Promise<T> =>
        life().outcome(meanUs * (0.5 + stream.fraction()), kind, `${machine} ${nameOf(path)}`, work);
      return {
        database: (path, options = {}) => openDatabase(life(), path, options),
        read: (path) =>
          after(100, 'read', path, () => (existsSync(fileOf(path)) ? readFileSync(fileOf(path)) : null)),
        write(path, bytes, mode = 0o644) {
          const put = (): void => replaceFile(fileOf(path), nameOf(path), bytes, mode);
          pending.add(put);
          return after(1_000, 'write', path, () => {
            pending.delete(put);
            write(path, put);
          });
        },
        makeFolder: (path) =>
          after(500, 'folder', path, () =>
            write(path, () => void mkdirSync(fileOf(path), { recursive: true })),
          ),
        list: (path) =>
          after(100, 'list', path, () => (existsSync(fileOf(path)) ? readdirSync(fileOf(path)).sort() : [])),
        remove: (path) =>
          after(500, 'remove', path, () => rmSync(fileOf(path), { recursive: true, force: true })),
      };
    },
    failWrites(next) {
      fault = next;
    },
    mend() {
      fault = null;
    },
    damage(path, offset, count) {
      const bytes = readFileSync(fileOf(path));
      for (let i = offset; i < offset + count; i += 1) bytes[i] = (bytes[i] ?? 0) ^ (1 + stream.below(255));
      writeFileSync(fileOf(path), bytes);
    },
    loseUnsynced(endLives) {
      for (const put of pending) if (stream.below(2) === 0) attempt(put);
      pending.clear();
      const images = [...new Set(open.values())].sort().map((file) => imageOf(file, open));
      endLives(); // closes the connections, and the last one to close a database cleans it up: hence the images
      for (const image of images) image.restore(stream);
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

function replaceFile(file: string, name: string, bytes: string | Uint8Array, mode: number): void {
  const temporary = `${file}.tmp`;
  try {
    writeFileSync(temporary, bytes, { mode });
    renameSync(temporary, file);
  } catch (error) {
    throw fileFailure(name, error);
  }
}

/** The files of a database as they stand on the disk while it is open. */
function imageOf(
  file: string,
  open: ReadonlyMap<SqliteDatabase, string>,
): { restore(stream: RandomStream): void } {
  const FULL = 2;
  const connections = [...open].filter(([, opened]) => opened === file).map(([database]) => database);
  const synced = connections.every(
    (database) => Number(database.prepare('PRAGMA synchronous').get()?.['synchronous']) >= FULL,
  );
  const parts = ['', '-wal', '-journal'].filter((end) => existsSync(file + end));
  for (const end of parts) copyFileSync(file + end, `${file}${end}.image`);
  const wal = existsSync(`${file}-wal`) && existsSync(`${file}-shm`) ? walOf(file) : null;
  return {
    restore(stream) {
      for (const end of ['', '-wal', '-shm', '-journal']) rmSync(file + end, { force: true });
      for (const end of parts) renameSync(`${file}${end}.image`, file + end);
      if (synced || wal === null) return;
      const kept = wal.syncedFrames + stream.below(wal.frames - wal.syncedFrames + 1);
      truncateSync(`${file}-wal`, Math.min(wal.bytes, WAL_HEADER_BYTES + kept * wal.frameBytes));
    },
  };
}

const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

interface Wal {
  readonly bytes: number;
  readonly frames: number;
  /** Frames that a checkpoint has copied into the database, and synced before. */
  readonly syncedFrames: number;
  readonly frameBytes: number;
}

/** From the headers of the log and of its index (sqlite.org/fileformat2.html#walformat, walformat.html). */
function walOf(file: string): Wal | null {
  const wal = readFileSync(`${file}-wal`);
  const index = readFileSync(`${file}-shm`);
  if (wal.length < WAL_HEADER_BYTES || index.length < 100) return null;
  return {
    bytes: wal.length,
    frameBytes: FRAME_HEADER_BYTES + wal.readUInt32BE(8),
    frames: index.readUInt32LE(16),
    syncedFrames: index.readUInt32LE(96),
  };
}
