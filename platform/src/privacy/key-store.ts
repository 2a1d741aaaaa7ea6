/**
 * The keys of a shard's subjects, in a database of their own: it is never part of the log or of its copies, so that
 * deleting a row here makes the person's fields unreadable everywhere. Keys are wrapped by the master key; a stolen
 * file alone opens nothing. Runs on the shard's writer thread, since making a key waits for the disk.
 */
import { makeDurable } from '../events/sqlite/durable.ts';
import type { Disk } from '../host/disk.ts';

export interface WrappedKey {
  readonly partition: number;
  readonly subject: string;
  readonly wrapped: Uint8Array;
}

export interface KeyStore {
  /** Durable when it returns. @returns the stored key: the given one, or the one that was there before */
  ensure(key: WrappedKey, atMs: number): Promise<Uint8Array>;
  find(partition: number, subject: string): Promise<Uint8Array | null>;
  /** Erasure. */
  destroy(partition: number, subject: string): Promise<void>;
}

export function openKeyStore(disk: Disk, path: string): KeyStore & { close(): void } {
  const database = disk.database(path);
  makeDurable(database);
  database.exec(`
    PRAGMA secure_delete = ON;
    CREATE TABLE IF NOT EXISTS subject_keys (
      partition INTEGER NOT NULL,
      subject TEXT NOT NULL,
      wrapped BLOB NOT NULL,
      created_ms INTEGER NOT NULL,
      PRIMARY KEY (partition, subject)
    ) WITHOUT ROWID`);
  const insert = database.prepare('INSERT INTO subject_keys VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
  const select = database.prepare('SELECT wrapped FROM subject_keys WHERE partition = ? AND subject = ?');
  const remove = database.prepare('DELETE FROM subject_keys WHERE partition = ? AND subject = ?');
  const find = (partition: number, subject: string): Uint8Array | null =>
    (select.get(partition, subject)?.wrapped as Uint8Array | undefined) ?? null;
  return {
    async ensure(key, atMs) {
      insert.run(key.partition, key.subject, key.wrapped, atMs);
      return find(key.partition, key.subject) as Uint8Array;
    },
    find: async (partition, subject) => find(partition, subject),
    async destroy(partition, subject) {
      remove.run(partition, subject);
    },
    close: () => database.close(),
  };
}
