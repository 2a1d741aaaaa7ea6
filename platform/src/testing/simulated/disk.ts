/**
 * The disk of one simulated machine: files in memory (virtual-files.ts), SQLite itself over them (../sqlite/vfs.ts), and
 * calls that end at virtual times. A crash is a loss of power: the lives that used the disk have ended, and of what
 * was not synced each write is there, lost, or torn at a sector, as the seed decides.
 *
 * - A `write` in flight has happened or has not, as the seed decides: it is atomic.
 * - The name of a new database is durable with the first sync of its log or journal, as SQLite does it on Unix. That a
 *   name was removed is taken as durable at once.
 * - SQLite's calls take no virtual time, unless `syncUs` gives its syncs some: then the thread that synced is busy for
 *   so long. A thread in a call cannot be stopped in the middle of it, but the power can fail there (`failPowerAfter`).
 * - SQLite's locks are real (a lock that another connection holds fails at once:
 *   nobody could release it meanwhile), and its chance and its clock are the simulation's.
 */
import { isCardumeError } from '../../base/errors.ts';
import type { Database, DatabaseOptions, Disk, Statement } from '../../host/disk.ts';
import { fileFailure } from '../../host/real-disk.ts';
import { attach, translated } from '../../host/real-sqlite.ts';
import { SqliteConnection } from '../sqlite/connection.ts';
import type { SqliteStatement } from '../sqlite/statement.ts';
import type { SqliteVfs } from '../sqlite/vfs.ts';
import type { Kernel } from './kernel.ts';
import type { Life } from './life.ts';
import { type Kept, SECTOR_BYTES, type Unsynced, VirtualFiles } from './virtual-files.ts';

export interface WriteFault {
  readonly code: 'EIO' | 'ENOSPC';
  /** How many writes fail; 1 when left out, Infinity for a disk that stays full. */
  readonly count?: number;
  /** Only writes to paths that contain this text. */
  readonly path?: string;
  /** It is the sync that fails, after the bytes have reached the disk: the caller is told of a failure all the same. */
  readonly written?: boolean;
  /** It is the sync that fails, and what it should have brought to the disk never gets there: the system forgets it. */
  readonly forgotten?: boolean;
}

export interface SimulatedDisk {
  /** Paths may also be written with this in front. */
  readonly folder: string;
  view(life: () => Life): Disk;
  /** @returns ends this fault, and no other */
  failWrites(fault: WriteFault): () => void;
  /** So many reads of SQLite's fail with an I/O error, of files whose path contains the text. */
  failReads(fault: { readonly count: number; readonly path?: string }): () => void;
  /** Ends all faults, and a loss of power that was to come. */
  mend(): void;
  /** What a sync of SQLite's takes from now on, on average; nothing when left out. */
  syncUs(mean: number): void;
  /**
   * The power fails after so many more writes and syncs of SQLite: from then on all of them fail and reach nothing,
   * until the machine crashes.
   * @param onFailure called in the moment when it fails, from within SQLite: crash the machine in an event of its own
   */
  failPowerAfter(operations: number, onFailure?: () => void): void;
  /** Writes that the last loss of power tore at a sector. */
  readonly torn: number;
  /** Damages `count` bytes of a file from `offset` on, as a bad sector does. */
  damage(path: string, offset: number, count: number): void;
  /** Ends lives that use this disk: their writes in flight have happened or have not. */
  endInFlight(endLives: () => void): void;
  /** What the power takes with it, when all lives that use this disk have ended. */
  loseUnsynced(): void;
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
  const writeFaults = new Set<Counted<WriteFault>>();
  const readFaults = new Set<Counted<{ readonly path: string }>>();
  let operationsLeft = Number.POSITIVE_INFINITY;
  let onPowerFailure = (): void => {};
  let syncMeanUs = 0;
  let tornWrites = 0;

  /** The fault that strikes now, counted down. */
  function strike<Fault extends { readonly path?: string }>(
    faults: Set<Counted<Fault>>,
    path: string,
    fits: (fault: Fault) => boolean = () => true,
  ): Fault | null {
    for (const one of faults) {
      if (!fits(one.fault) || !path.includes(one.fault.path ?? '')) continue;
      one.left -= 1;
      if (one.left <= 0) faults.delete(one);
      return one.fault;
    }
    return null;
  }

  function add<Fault>(faults: Set<Counted<Fault>>, fault: Fault, count: number): () => void {
    const one = { fault, left: count };
    faults.add(one);
    return () => void faults.delete(one);
  }

  files.fault = (operation, path, file) => {
    if (operationsLeft <= 0) return operation === 'read' ? IOERR_READ : IOERR_WRITE;
    if (operation === 'read') {
      return strike(readFaults, path) === null ? 0 : IOERR_READ;
    }
    operationsLeft -= 1;
    if (operationsLeft === 0) onPowerFailure();
    const striking = strike(writeFaults, path, (fault) => isOfSync(fault) === (operation === 'sync'));
    if (striking === null) return 0;
    if (!isOfSync(striking)) return striking.code === 'ENOSPC' ? FULL : IOERR_WRITE;
    if (striking.written === true) file.sync();
    else file.forget();
    return IOERR_FSYNC;
  };

  function write(path: string, work: () => void): void {
    const striking = strike(writeFaults, path);
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
    const { attached = [] } = options;
    const names = [name, ...attached].join(', ');
    const told = <T>(work: () => T, of = names): T => {
      try {
        return work();
      } catch (error) {
        throw translated(of, error);
      }
    };
    const path = name === IN_MEMORY ? name : files.pathOf(name);
    const onSync = (): void => {
      if (syncMeanUs > 0) life.busy(syncMeanUs * -Math.log(1 - stream.fraction()));
    };
    const connection = told(
      () => new SqliteConnection(sqlite, files, path, options.readOnly === true, onSync),
      name,
    );
    attach(connection, attached);
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
    tornWrites += 1;
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
    failWrites: (fault) => add(writeFaults, fault, fault.count ?? 1),
    failReads: ({ count, path = '' }) => add(readFaults, { path }, count),
    mend() {
      writeFaults.clear();
      readFaults.clear();
      if (operationsLeft > 0) operationsLeft = Number.POSITIVE_INFINITY;
    },
    syncUs(mean) {
      syncMeanUs = mean;
    },
    failPowerAfter(operations, onFailure = () => {}) {
      operationsLeft = operations;
      onPowerFailure = onFailure;
    },
    get torn() {
      return tornWrites;
    },
    damage(name, offset, count) {
      const file = files.files.get(files.pathOf(name));
      if (file === undefined) throw new Error(`${machine} has no file ${name}`);
      for (let i = offset; i < offset + count; i += 1) {
        const flip = 1 + stream.below(255);
        file.damage(i, (byte) => byte ^ flip);
      }
    },
    endInFlight(endLives) {
      for (const put of pending) if (stream.below(2) === 0) attempt(put);
      pending.clear();
      endLives();
    },
    loseUnsynced() {
      tornWrites = 0;
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
    close() {
      sqlite.forget(files);
      files.release();
    },
  };
}

interface Counted<Fault> {
  readonly fault: Fault;
  left: number;
}

function isOfSync({ written, forgotten }: WriteFault): boolean {
  return written === true || forgotten === true;
}

function statementOf(statement: SqliteStatement, told: <T>(work: () => T) => T): Statement {
  return {
    run: (...values) => told(() => statement.run(...values)),
    get: (...values) => told(() => statement.get(...values)),
    all: (...values) => told(() => statement.all(...values)),
    *iterate(...values) {
      const rows = statement.iterate(...values);
      try {
        for (let next = told(() => rows.next()); next.done !== true; next = told(() => rows.next())) {
          yield next.value;
        }
      } finally {
        rows.return?.();
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
