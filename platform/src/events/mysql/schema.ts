/**
 * The tables of logs in a database of MySQL's family. All shards may share one database: every row names its partition
 * first, and so does every unique key, which is what a server that shards by itself needs.
 *
 * - `log_entries` is the log. Whatever is looked for is VARBINARY, since text there folds case or pads with spaces.
 * - `log_answers` finds an idempotency key's entry. Rows are dropped after their days; the entry keeps its key.
 * - `log_heads` is the fence: an append moves a head only from the epoch and position that its writer believes in.
 *   `forgotten` is the position up to which answers were dropped.
 *
 * Common SQL of MariaDB, MySQL 8, TiDB and Vitess alone; `IF NOT EXISTS` lets several processes begin at once.
 */
import { CardumeError } from '../../base/errors.ts';
import type { SqlDatabase } from '../../host/sql.ts';

/** 1: as it is made. 2: a partition has been given away: see sqlite/schema.ts. */
export const SCHEMA_VERSION = 2;
const MADE = 1;

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
  'CREATE TABLE IF NOT EXISTS log_meta (name VARCHAR(60) NOT NULL PRIMARY KEY, value BIGINT NOT NULL)',
];

/** Makes the tables where they are missing, or checks their version. @param name of the database, for errors @returns the version */
export async function prepareSchema(database: SqlDatabase, name: string): Promise<number> {
  for (const table of TABLES) await database.exec(table);
  await database.run("INSERT IGNORE INTO log_meta (name, value) VALUES ('schema', ?)", [MADE]);
  const version = await checkSchema(database, name);
  await checkDurability(database, name);
  return version;
}

/** @throws CardumeError `storage-failed` when a newer program made the tables */
export async function checkSchema(database: SqlDatabase, name: string): Promise<number> {
  const [row] = await database.rows("SELECT value FROM log_meta WHERE name = 'schema'");
  const version = row?.['value'] as number;
  if (version > SCHEMA_VERSION) {
    throw new CardumeError(
      'storage-failed',
      `${name} has log schema ${version}, and this program knows up to ${SCHEMA_VERSION}: run the newer version of it`,
    );
  }
  return version;
}

/**
 * A server may acknowledge commits that a loss of power takes: when its log is not synced with each, or when its binary
 * log is not, from which a server that has one decides at its next start what was committed.
 */
async function checkDurability(database: SqlDatabase, name: string): Promise<void> {
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
      `${name}: the server acknowledges commits before they are on its disk (${setting} is ${value}): set it to 1`,
    );
  }
}
