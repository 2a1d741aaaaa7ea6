/**
 * The tables of logs in a database of MySQL's family. All shards may share one database: every row names its partition
 * first, and so does every unique key, which is what a server that shards by itself needs.
 *
 * - `log_entries` is the log. Whatever is looked for is VARBINARY, since text there folds case or pads with spaces.
 * - `log_answers` finds an idempotency key's entry. Rows are dropped after their days; the entry keeps its key.
 * - `log_heads` is the fence: an append moves a head only from the epoch and position that its writer believes in.
 *   `forgotten` is the position up to which answers were dropped.
 * - `log_segments` is the archive: see ../archive/. Up to `cleared` rows that nobody wants are deleted.
 * - `log_quarantine` has what was cut off copies, and what was decided about it: see ../quarantine.ts. `log_replaced_answers`
 *   has, of copies, the answer that another of the same key took the place of, at that one's position.
 * - `log_ended_streams` finds the events of streams whose rows are deleted: their last version, and all their positions.
 *
 * Common SQL of MariaDB, MySQL 8, TiDB and Vitess alone.
 */
import { CardumeError } from '../../base/errors.ts';
import { migrate, raise, raiseNeeds } from '../../database/mysql/migrate.ts';
import type { Schema } from '../../database/schema.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { GIVEN_AWAY, NEEDS_ARCHIVES, NEEDS_MAP, SAYS_GIVEN_AWAY } from '../schema.ts';

const TABLES = [
  `CREATE TABLE IF NOT EXISTS log_entries (
    partition_key INT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    stream VARBINARY(80) NOT NULL,
    version INT UNSIGNED,
    type VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
    data LONGTEXT CHARACTER SET utf8mb4 NOT NULL,
    meta LONGTEXT CHARACTER SET utf8mb4,
    answer_key VARBINARY(200),
    at_ms BIGINT NOT NULL,
    checksum BINARY(16) NOT NULL,
    PRIMARY KEY (partition_key, position),
    UNIQUE KEY entries_by_stream (partition_key, stream, version)
  )`,
  `CREATE TABLE IF NOT EXISTS log_answers (
    partition_key INT UNSIGNED NOT NULL,
    answer_key VARBINARY(200) NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (partition_key, answer_key)
  )`,
  `CREATE TABLE IF NOT EXISTS log_heads (
    partition_key INT UNSIGNED NOT NULL PRIMARY KEY,
    epoch BIGINT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    checksum BINARY(16) NOT NULL,
    batch BIGINT NOT NULL,
    forgotten BIGINT UNSIGNED NOT NULL
  )`,
];
const ARCHIVE_TABLES = [
  `CREATE TABLE IF NOT EXISTS log_segments (
    partition_key INT UNSIGNED NOT NULL,
    last_position BIGINT UNSIGNED NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    first_position BIGINT UNSIGNED NOT NULL,
    before_checksum BINARY(16) NOT NULL,
    checksum BINARY(16) NOT NULL,
    cleared BIGINT UNSIGNED NOT NULL,
    bytes LONGBLOB NOT NULL,
    PRIMARY KEY (partition_key, last_position)
  )`,
  `CREATE TABLE IF NOT EXISTS log_ended_streams (
    partition_key INT UNSIGNED NOT NULL,
    stream VARBINARY(80) NOT NULL,
    version INT UNSIGNED NOT NULL,
    positions MEDIUMBLOB NOT NULL,
    PRIMARY KEY (partition_key, stream)
  )`,
];
const CUT_TABLES = [
  `CREATE TABLE IF NOT EXISTS log_quarantine (
    partition_key INT UNSIGNED NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    stream VARBINARY(80) NOT NULL,
    version INT UNSIGNED,
    type VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
    data LONGTEXT CHARACTER SET utf8mb4 NOT NULL,
    meta LONGTEXT CHARACTER SET utf8mb4,
    answer_key VARBINARY(200),
    at_ms BIGINT NOT NULL,
    checksum BINARY(16) NOT NULL,
    cut_ms BIGINT NOT NULL,
    decided VARBINARY(20),
    decided_by VARBINARY(200),
    decided_ms BIGINT,
    PRIMARY KEY (partition_key, epoch, position)
  )`,
  `CREATE TABLE IF NOT EXISTS log_replaced_answers (
    partition_key INT UNSIGNED NOT NULL,
    position BIGINT UNSIGNED NOT NULL,
    older BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (partition_key, position)
  )`,
];
const META = 'log_meta';

export const LOG: Schema = {
  of: 'log',
  table: META,
  row: 'schema',
  sign: 'log_entries',
  released: 2,
  steps: [
    { what: 'entries, answers and heads', statements: TABLES },
    { what: 'partitions that are given away', statements: [] },
    { what: 'archives', statements: ARCHIVE_TABLES },
    { what: 'what is cut off copies', statements: CUT_TABLES },
  ],
};

/** Makes the tables where they are missing, or brings those that are there to this version. */
export async function prepareSchema(clock: Clock, database: SqlDatabase): Promise<void> {
  await migrate(clock, database, LOG);
  await checkDurability(database);
}

export async function hasGivenAway(database: SqlDatabase): Promise<boolean> {
  return (await database.rows(`SELECT 1 FROM ${META} WHERE ${SAYS_GIVEN_AWAY}`)).length > 0;
}

/** In the session's transaction. */
export async function markGivenAway(session: SqlSession): Promise<void> {
  await raise(session, META, [[GIVEN_AWAY, 1]]);
  await raiseNeeds(session, LOG, NEEDS_MAP);
}

/** In the session's transaction. */
export async function markArchived(session: SqlSession): Promise<void> {
  // From here on the version says it no more.
  await session.run(
    `INSERT INTO ${META} (name, value) SELECT ?, 1 FROM ${META} WHERE name = ? AND value = ?
      ON DUPLICATE KEY UPDATE value = 1`,
    [GIVEN_AWAY, LOG.row, NEEDS_MAP],
  );
  await raiseNeeds(session, LOG, NEEDS_ARCHIVES);
}

/**
 * A server may acknowledge commits that a loss of power takes: when its log is not synced with each, or when its binary
 * log is not, from which a server that has one decides at its next start what was committed.
 */
async function checkDurability(database: SqlDatabase): Promise<void> {
  const variable = async (of: string): Promise<string | undefined> => {
    const [row] = await database.rows(`SHOW VARIABLES LIKE '${of}'`);
    return row === undefined ? undefined : String(row['Value']);
  };
  const hasBinaryLog = (await variable('log_bin')) === 'ON';
  for (const setting of ['innodb_flush_log_at_trx_commit', ...(hasBinaryLog ? ['sync_binlog'] : [])]) {
    const value = await variable(setting);
    if (value === undefined || value === '1') continue;
    throw new CardumeError(
      'storage-failed',
      `${database.name}: the server acknowledges commits before they are on its disk (${setting} is ${value}): set it to 1`,
    );
  }
}
