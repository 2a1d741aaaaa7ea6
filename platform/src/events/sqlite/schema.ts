/**
 * The tables of a shard's log in SQLite.
 *
 * - `entries` is the log; `spot` is partition and position in one number (spot.ts). Text compares by bytes.
 * - `answers` finds an idempotency key's entry. Rows are dropped after their days; the entry keeps its key.
 * - `heads` is the fence: an append moves a head only from the epoch and position that its writer believes in.
 *   `forgotten` is the position up to which answers were dropped: time grows with position, so no index by time is
 *   needed, which every append would pay.
 * - `segments` of the archive, whose files stand beside: see ../archive/. Up to `cleared` rows that nobody wants are deleted.
 * - `quarantine` has what was cut off copies, and what was decided about it: see ../quarantine.ts. `replaced_answers` has, of
 *   copies, the answer that another of the same key took the place of, at that one's position.
 * - `ended_streams` finds the events of streams whose rows are deleted: their last version, and all their positions.
 */
import type { Schema } from '../../database/schema.ts';
import { makeDurable } from '../../database/sqlite/durable.ts';
import { migrate, raise, raiseNeeds } from '../../database/sqlite/migrate.ts';
import type { Database } from '../../host/disk.ts';
import { GIVEN_AWAY, NEEDS_ARCHIVES, NEEDS_MAP, SAYS_GIVEN_AWAY } from '../schema.ts';

export const TABLES = `
  CREATE TABLE IF NOT EXISTS entries (
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
  CREATE UNIQUE INDEX IF NOT EXISTS entries_by_stream ON entries (stream, version) WHERE version IS NOT NULL;
  CREATE TABLE IF NOT EXISTS answers (
    partition INTEGER NOT NULL,
    key       TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (partition, key)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS heads (
    partition INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    checksum  BLOB    NOT NULL,
    batch     INTEGER NOT NULL,
    forgotten INTEGER NOT NULL
  );
`;
const ARCHIVE_TABLES = `
  CREATE TABLE IF NOT EXISTS segments (
    partition INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    epoch     INTEGER NOT NULL,
    first     INTEGER NOT NULL,
    before    BLOB    NOT NULL,
    checksum  BLOB    NOT NULL,
    cleared   INTEGER NOT NULL,
    PRIMARY KEY (partition, last)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ended_streams (
    partition INTEGER NOT NULL,
    stream    TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    positions BLOB    NOT NULL,
    PRIMARY KEY (partition, stream)
  ) WITHOUT ROWID;
`;
const CUT_TABLES = `
  CREATE TABLE IF NOT EXISTS quarantine (
    partition  INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    stream     TEXT    NOT NULL,
    version    INTEGER,
    type       TEXT    NOT NULL,
    data       TEXT    NOT NULL,
    meta       TEXT,
    key        TEXT,
    at_ms      INTEGER NOT NULL,
    checksum   BLOB    NOT NULL,
    cut_ms     INTEGER NOT NULL,
    decided    TEXT,
    decided_by TEXT,
    decided_ms INTEGER,
    PRIMARY KEY (partition, epoch, position)
  );
  CREATE TABLE IF NOT EXISTS replaced_answers (
    partition INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    older     INTEGER NOT NULL,
    PRIMARY KEY (partition, position)
  ) WITHOUT ROWID;
`;
const META = 'meta';

export const LOG: Schema = {
  of: 'log',
  table: META,
  row: 'schema',
  sign: 'entries',
  released: 2,
  steps: [
    { what: 'entries, answers and heads', statements: [TABLES] },
    { what: 'partitions that are given away', statements: [] },
    { what: 'archives', statements: [ARCHIVE_TABLES] },
    { what: 'what is cut off copies', statements: [CUT_TABLES] },
  ],
};

/** Makes the tables in a new file, or brings those of an old one to this version. */
export function prepareSchema(path: string, database: Database): void {
  makeDurable(database);
  database.exec('PRAGMA wal_autocheckpoint=4000');
  migrate(database, path, LOG);
}

export function hasGivenAway(database: Database): boolean {
  return database.prepare(`SELECT 1 FROM ${META} WHERE ${SAYS_GIVEN_AWAY}`).get() !== undefined;
}

/** In the caller's transaction. */
export function markGivenAway(database: Database): void {
  raise(database, META, GIVEN_AWAY, 1);
  raiseNeeds(database, LOG, NEEDS_MAP);
}

/** In the caller's transaction. */
export function markArchived(database: Database): void {
  // From here on the version says it no more.
  if (hasGivenAway(database)) raise(database, META, GIVEN_AWAY, 1);
  raiseNeeds(database, LOG, NEEDS_ARCHIVES);
}

export function hasTable(database: Database, name: string): boolean {
  return database.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(name) !== undefined;
}
