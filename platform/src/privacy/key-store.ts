/**
 * The keys of a shard's subjects, in a database of their own: it is never part of the log or of its copies, so that
 * deleting a row here makes the person's fields unreadable everywhere. Keys are wrapped by the master key; a stolen
 * file alone opens nothing. Runs on the shard's writer thread, since making a key waits for the disk.
 */
import { SCHEMA_TABLE, type Schema } from '../database/schema.ts';
import { makeDurable } from '../database/sqlite/durable.ts';
import { migrate } from '../database/sqlite/migrate.ts';
import { transaction } from '../database/sqlite/transaction.ts';
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
  /** Those that there are, of a partition. */
  findAll(partition: number, subjects: readonly string[]): Promise<WrappedKey[]>;
  /** Erasure. */
  destroy(partition: number, subject: string): Promise<void>;
  /** Keys of a partition in order of subject, behind one ('': from the first). */
  list(partition: number, afterSubject: string, keysMax: number): Promise<WrappedKey[]>;
  /** Durable when it returns; in place of those that are there. For a copy: its home's keys are the ones that count. */
  put(keys: readonly WrappedKey[], atMs: number): Promise<void>;
  /** Forgets keys of a copy. @returns how many: fewer than `keysMax` means that none is left */
  drop(partition: number, keysMax: number): Promise<number>;
}

const KEYS: Schema = {
  of: 'key',
  table: SCHEMA_TABLE,
  row: 'keys',
  sign: 'subject_keys',
  released: 1,
  steps: [
    {
      what: 'one key a subject',
      statements: [
        `CREATE TABLE IF NOT EXISTS subject_keys (
          partition INTEGER NOT NULL,
          subject TEXT NOT NULL,
          wrapped BLOB NOT NULL,
          created_ms INTEGER NOT NULL,
          PRIMARY KEY (partition, subject)
        ) WITHOUT ROWID`,
      ],
    },
  ],
};

export function openKeyStore(disk: Disk, path: string): KeyStore & { close(): void } {
  const database = disk.database(path);
  makeDurable(database);
  database.exec('PRAGMA secure_delete = ON');
  migrate(database, path, KEYS);
  const insert = database.prepare(
    'INSERT INTO subject_keys (partition, subject, wrapped, created_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const select = database.prepare('SELECT wrapped FROM subject_keys WHERE partition = ? AND subject = ?');
  const remove = database.prepare('DELETE FROM subject_keys WHERE partition = ? AND subject = ?');
  const page = database.prepare(
    'SELECT subject, wrapped FROM subject_keys WHERE partition = ? AND subject > ? ORDER BY subject LIMIT ? + 0',
  );
  const replace = database.prepare(
    `INSERT INTO subject_keys (partition, subject, wrapped, created_ms) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET wrapped = excluded.wrapped, created_ms = excluded.created_ms`,
  );
  const dropSome = database.prepare(`DELETE FROM subject_keys WHERE partition = ? AND subject IN
    (SELECT subject FROM subject_keys WHERE partition = ? LIMIT ? + 0)`);
  const find = (partition: number, subject: string): Uint8Array | null =>
    (select.get(partition, subject)?.wrapped as Uint8Array | undefined) ?? null;
  return {
    async ensure(key, atMs) {
      insert.run(key.partition, key.subject, key.wrapped, atMs);
      return find(key.partition, key.subject) as Uint8Array;
    },
    find: async (partition, subject) => find(partition, subject),
    async findAll(partition, subjects) {
      const keys = subjects.map((subject) => ({ partition, subject, wrapped: find(partition, subject) }));
      return keys.filter((key): key is WrappedKey => key.wrapped !== null);
    },
    async destroy(partition, subject) {
      remove.run(partition, subject);
    },
    async list(partition, afterSubject, keysMax) {
      const rows = page.all(partition, afterSubject, keysMax);
      return rows.map(({ subject, wrapped }) => {
        return { partition, subject: subject as string, wrapped: wrapped as Uint8Array };
      });
    },
    async put(keys, atMs) {
      transaction(database, () => {
        for (const key of keys) replace.run(key.partition, key.subject, key.wrapped, atMs);
      });
    },
    drop: async (partition, keysMax) => dropSome.run(partition, partition, keysMax).changes,
    close: () => database.close(),
  };
}
