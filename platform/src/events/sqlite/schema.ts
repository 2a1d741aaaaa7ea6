/**
 * The tables of a shard's log in SQLite.
 *
 * - `entries` is the log; `spot` is partition and position in one number (spot.ts). Text compares by bytes.
 * - `answers` finds an idempotency key's entry. Rows are dropped after their days; the entry keeps its key.
 * - `heads` is the fence: an append moves a head only from the epoch and position that its writer believes in.
 *   `forgotten` is the position up to which answers were dropped: time grows with position, so no index by time is
 *   needed, which every append would pay.
 */
import { assert } from '../../base/assert.ts';
import { CardumeError } from '../../base/errors.ts';
import { makeDurable } from '../../database/sqlite/durable.ts';
import { transaction } from '../../database/sqlite/transaction.ts';
import type { Database } from '../../host/disk.ts';

/**
 * 1: as it is made. 2: a partition has been given away (copies.ts), so that it takes a map of shards to know what is at
 * home here; a program or a map that knows nothing of it must not open the file.
 */
export const SCHEMA_VERSION = 2;
const MADE = 1;

export const TABLES = `
  CREATE TABLE entries (
    spot     INTEGER PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    stream   TEXT    NOT NULL,
    version  INTEGER,
    type     TEXT    NOT NULL,
    data     TEXT    NOT NULL,
    meta     TEXT,
    key      TEXT,
    at_ms    INTEGER NOT NULL,
    checksum BLOB    NOT NULL
  );
  CREATE UNIQUE INDEX entries_by_stream ON entries (stream, version) WHERE version IS NOT NULL;
  CREATE TABLE answers (
    partition INTEGER NOT NULL,
    key       TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (partition, key)
  ) WITHOUT ROWID;
  CREATE TABLE heads (
    partition INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    checksum  BLOB    NOT NULL,
    batch     INTEGER NOT NULL,
    forgotten INTEGER NOT NULL
  );
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`;

/** Makes the tables in a new file, or checks an old one's version. @returns the version */
export function prepareSchema(path: string, database: Database): number {
  makeDurable(database);
  database.exec('PRAGMA wal_autocheckpoint=4000');
  return transaction(database, () => {
    const known = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get() !== undefined;
    if (known) return checkSchema(path, database);
    database.exec(TABLES);
    database.prepare("INSERT INTO meta (name, value) VALUES ('schema', ?)").run(MADE);
    return MADE;
  });
}

/** @throws CardumeError `storage-failed` when a newer program wrote the file */
export function checkSchema(path: string, database: Database): number {
  const row = database.prepare("SELECT value FROM meta WHERE name = 'schema'").get();
  assert(row !== undefined, `${path} is a log without a schema version`);
  const version = row['value'] as number;
  if (version > SCHEMA_VERSION) {
    throw new CardumeError(
      'storage-failed',
      `${path} has log schema ${version}, and this program knows up to ${SCHEMA_VERSION}: run the newer version of it`,
    );
  }
  return version;
}
