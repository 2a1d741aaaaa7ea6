/**
 * What the embedded coordinator remembers: a SQLite file of values, leases and one revision, each change one transaction
 * and one fsync. Whoever opens it begins a reign: a process that was replaced neither reads nor changes any more.
 *
 * A commit that failed may have left its frames in the write-ahead log, where a crash would revive them. Its outcome is not
 * known until the next commit has overwritten them, and until then nothing is answered.
 */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import { SCHEMA_TABLE, type Schema } from '../../database/schema.ts';
import { makeDurable } from '../../database/sqlite/durable.ts';
import { migrate } from '../../database/sqlite/migrate.ts';
import { transaction } from '../../database/sqlite/transaction.ts';
import type { Database, Disk } from '../../host/disk.ts';
import type { Change, Changed, Condition, News, Read, Value } from '../coordinator.ts';

/** Every call: CardumeError `partition-unavailable` when the file cannot be used, or another process has taken it over. */
export interface Store {
  /** When it was opened. */
  readonly revision: number;
  read(prefix: string): Read;
  /**
   * @returns also the news, in order of key
   * @throws CardumeError `unknown-outcome` when the disk fails, `overloaded` when it is full by its bounds, `fenced`
   */
  change(conditions: readonly Condition[], changes: readonly Change[]): Told;
  leases(): readonly { readonly id: string; readonly ttlMs: number }[];
  /** @throws CardumeError `unknown-outcome`, `overloaded` */
  grant(id: string, ttlMs: number): void;
  /** @returns what went with it; nothing when there is no such lease @throws CardumeError `unknown-outcome` */
  end(id: string): News[];
  /** That what stands in the file is known, and this process's. */
  check(): void;
  /** Whether no other process has opened it since. */
  reigns(): boolean;
  close(): void;
}

interface Told extends Changed {
  readonly news: readonly News[];
}

const LEASES_MAX = 10_000;
/** Of all keys and values as JSON, with what an answer adds to each: a read of all of them fits into one message. */
const STORED_BYTES_MAX = 7 * 1024 * 1024;
const ROW_BYTES = 100;
/** The first character behind those of keys. */
const BEHIND_KEYS = '{';

const COORDINATOR: Schema = {
  of: 'coordinator',
  table: SCHEMA_TABLE,
  row: 'coordinator',
  sign: 'coordinator',
  released: 1,
  steps: [
    {
      what: 'values, leases, the revision, and who may change them',
      statements: [
        `CREATE TABLE IF NOT EXISTS coordinator (
          one INTEGER PRIMARY KEY CHECK (one = 1),
          revision INTEGER NOT NULL,
          reign INTEGER NOT NULL,
          settled INTEGER NOT NULL
        )`,
        'INSERT INTO coordinator (one, revision, reign, settled) VALUES (1, 0, 0, 0) ON CONFLICT DO NOTHING',
        `CREATE TABLE IF NOT EXISTS coordinator_values (
          key TEXT PRIMARY KEY,
          value BLOB NOT NULL,
          revision INTEGER NOT NULL,
          lease TEXT,
          bytes INTEGER NOT NULL
        )`,
        `CREATE INDEX IF NOT EXISTS coordinator_values_by_lease ON coordinator_values (lease, key)
          WHERE lease IS NOT NULL`,
        'CREATE TABLE IF NOT EXISTS coordinator_leases (id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) WITHOUT ROWID',
      ],
    },
  ],
};

export function openStore(disk: Disk, path: string): Store {
  const database = disk.database(path);
  try {
    return storeIn(database, path);
  } catch (error) {
    database.close();
    throw error;
  }
}

function storeIn(database: Database, path: string): Store {
  makeDurable(database);
  migrate(database, path, COORDINATOR);
  const standing = database.prepare('SELECT revision, reign FROM coordinator');
  const raise = database.prepare('UPDATE coordinator SET revision = ?');
  const settle = database.prepare('UPDATE coordinator SET settled = settled + 1 WHERE reign = ?');
  const select = database.prepare(
    'SELECT key, value, revision FROM coordinator_values WHERE key >= ? AND key < ? ORDER BY key',
  );
  const one = database.prepare('SELECT revision, bytes FROM coordinator_values WHERE key = ?');
  const put = database.prepare(
    `INSERT INTO coordinator_values (key, value, revision, lease, bytes) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision,
        lease = excluded.lease, bytes = excluded.bytes`,
  );
  const remove = database.prepare('DELETE FROM coordinator_values WHERE key = ?');
  const bound = database.prepare('SELECT key, bytes FROM coordinator_values WHERE lease = ? ORDER BY key');
  const lease = database.prepare('SELECT 1 FROM coordinator_leases WHERE id = ?');
  const leases = database.prepare('SELECT id, ttl_ms FROM coordinator_leases ORDER BY id');
  const leaseCount = database.prepare('SELECT count(*) AS count FROM coordinator_leases');
  const addLease = database.prepare('INSERT INTO coordinator_leases (id, ttl_ms) VALUES (?, ?)');
  const removeLease = database.prepare('DELETE FROM coordinator_leases WHERE id = ?');

  const reign = transaction(database, () => {
    database.exec('UPDATE coordinator SET reign = reign + 1');
    return standing.get()?.['reign'] as number;
  });
  let storedBytes = database
    .prepare('SELECT coalesce(sum(bytes), 0) AS bytes FROM coordinator_values')
    .get()?.['bytes'] as number;
  /** The last commit failed, and none has succeeded since. */
  let doubtful = false;

  /** @throws CardumeError `partition-unavailable` when another process reigns */
  function revisionNow(): number {
    const row = standing.get();
    if (row?.['reign'] !== reign)
      throw new CardumeError('partition-unavailable', 'another process has taken over the coordinator');
    return row['revision'] as number;
  }

  /** Nothing was changed by whatever the disk refuses. */
  function reading<T>(work: () => T): T {
    try {
      if (doubtful && settle.run(reign).changes === 1) doubtful = false;
      return work();
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      throw new CardumeError('partition-unavailable', `the coordinator's disk fails: ${error.message}`, {
        cause: error,
      });
    }
  }

  /** One transaction. @param work returns what becomes of the bytes that are stored, too */
  function writing<T>(work: (revision: number) => { readonly result: T; readonly addedBytes: number }): T {
    reading(revisionNow);
    try {
      const { result, addedBytes } = transaction(database, () => work(revisionNow()));
      storedBytes += addedBytes;
      return result;
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      doubtful = true;
      throw new CardumeError('unknown-outcome', `the coordinator's disk failed: ${error.message}`, {
        cause: error,
      });
    }
  }

  function held(conditions: readonly Condition[]): boolean {
    return conditions.every(
      ({ key, revision }) => ((one.get(key)?.['revision'] as number) ?? 0) === revision,
    );
  }

  /** @returns bytes that it adds; null when nothing changes */
  function apply(change: Change, revision: number): number | null {
    const beforeBytes = one.get(change.key)?.['bytes'] as number | undefined;
    if (change.value === null) {
      if (beforeBytes === undefined) return null;
      remove.run(change.key);
      return -beforeBytes;
    }
    if (change.lease !== undefined && lease.get(change.lease) === undefined)
      throw new CardumeError('fenced', `the lease of '${change.key}' has ended`);
    const bytes = Buffer.byteLength(JSON.stringify(change.value)) + change.key.length + ROW_BYTES;
    put.run(change.key, Buffer.from(change.value), revision, change.lease ?? null, bytes);
    return bytes - (beforeBytes ?? 0);
  }

  return {
    revision: revisionNow(),
    read: (prefix) =>
      reading(() => {
        const values = select.all(prefix, prefix + BEHIND_KEYS).map(
          ({ key, value, revision }): Value => ({
            key: key as string,
            value: Buffer.from(value as Uint8Array).toString(),
            revision: revision as number,
          }),
        );
        // Looked up last: as long as it is this process that reigns, nobody else has written in between.
        return { revision: revisionNow(), values };
      }),
    change: (conditions, changes) =>
      writing<Told>((revision) => {
        if (!held(conditions)) return { result: { done: false, revision, news: [] }, addedBytes: 0 };
        const next = revision + 1;
        const news: News[] = [];
        let addedBytes = 0;
        for (const change of changes.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
          const added = apply(change, next);
          if (added === null) continue;
          addedBytes += added;
          news.push({ key: change.key, value: change.value, revision: next });
        }
        if (addedBytes > 0 && storedBytes + addedBytes > STORED_BYTES_MAX)
          throw new CardumeError('overloaded', `the coordinator holds ${STORED_BYTES_MAX} bytes at most`);
        if (news.length > 0) raise.run(next);
        return { result: { done: true, revision: news.length > 0 ? next : revision, news }, addedBytes };
      }),
    leases: () =>
      reading(() =>
        leases.all().map(({ id, ttl_ms: ttlMs }) => ({ id: id as string, ttlMs: ttlMs as number })),
      ),
    grant: (id, ttlMs) =>
      writing(() => {
        if ((leaseCount.get()?.['count'] as number) >= LEASES_MAX)
          throw new CardumeError('overloaded', `the coordinator has ${LEASES_MAX} leases at most`);
        addLease.run(id, ttlMs);
        return { result: undefined, addedBytes: 0 };
      }),
    end: (id) =>
      writing((revision) => {
        removeLease.run(id);
        const rows = bound.all(id);
        const news = rows.map(
          ({ key }): News => ({ key: key as string, value: null, revision: revision + 1 }),
        );
        for (const { key } of news) remove.run(key);
        if (news.length > 0) raise.run(revision + 1);
        return { result: news, addedBytes: -rows.reduce((sum, { bytes }) => sum + (bytes as number), 0) };
      }),
    check: () => void reading(revisionNow),
    reigns: () => reading(() => standing.get()?.['reign'] === reign),
    close: () => database.close(),
  };
}
