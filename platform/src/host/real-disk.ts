import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CardumeError } from '../base/errors.ts';
import type { Disk } from './disk.ts';
import { openSqlite } from './real-sqlite.ts';

export const realDisk: Disk = {
  database: (path, options) => openSqlite(path, options),
  async read(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw fileFailure(path, error);
    }
  },
  async write(path, bytes, mode = 0o644) {
    const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
    try {
      const file = await open(temporary, 'w', mode);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
      await syncFolder(dirname(path));
    } catch (error) {
      await rm(temporary, { force: true });
      throw fileFailure(path, error);
    }
  },
  async makeFolder(path) {
    try {
      const first = await mkdir(path, { recursive: true });
      if (first !== undefined) await syncFolder(dirname(first));
    } catch (error) {
      throw fileFailure(path, error);
    }
  },
  async list(path) {
    try {
      return (await readdir(path)).sort();
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw fileFailure(path, error);
    }
  },
  async remove(path) {
    await rm(path, { recursive: true, force: true });
  },
};

/** A new name is durable only when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** What the operator can mend (errno(3)); anything else is a bug and stays what it is. */
const EXPLAINED: Readonly<Record<string, string>> = {
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EDQUOT: 'the quota of the disk is used up',
  EIO: 'the disk reported an input/output error',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  ENOENT: 'the folder does not exist',
  ENOSPC: 'the disk is full',
  EROFS: 'the disk is read-only',
};

/** Also what the simulated disk throws for the faults that it makes. */
export function fileFailure(path: string, error: unknown): unknown {
  const why = EXPLAINED[codeOf(error) ?? ''];
  return why === undefined ? error : new CardumeError('storage-failed', `${path}: ${why}`, { cause: error });
}
