/** Bounded reads of committed entries. A read that lost its connection is made again: it changes nothing. */
import { CardumeError } from '../../base/errors.ts';
import { again } from '../../database/mysql/again.ts';
import type { SqlRow } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { decodePositions } from '../archive/positions.ts';
import type { RowReader } from '../archive/reading.ts';
import { checkReadBound, type Reader } from '../engine.ts';
import type { Entry } from '../log.ts';

export const COLUMNS =
  'partition_key, position, epoch, stream, version, type, data, meta, answer_key, at_ms, checksum';

export type Rows = SqlSession['rows'];

/** Statements that are tried again. */
export function rowsOf(clock: Clock, database: SqlDatabase): Rows {
  return (sql, values) => again(clock, () => database.rows(sql, values));
}

const BY_STREAM =
  'FROM log_entries WHERE partition_key = ? AND stream = ? AND version >= ? ORDER BY version LIMIT ?';
/** Of the types of the columns: MariaDB makes a decimal, which is text, of an unsigned number and one that is not. */
const NOTHING =
  'CAST(NULL AS UNSIGNED), CAST(NULL AS UNSIGNED), CAST(NULL AS UNSIGNED), NULL, CAST(NULL AS UNSIGNED), NULL, NULL, NULL, NULL, NULL, NULL';
/** In the same round trip: a stream without rows is asked for all the time, and mostly is a new one. */
const BY_STREAM_OR_ENDED = `(SELECT ${COLUMNS}, NULL AS positions ${BY_STREAM}) UNION ALL
  (SELECT ${NOTHING}, positions FROM log_ended_streams WHERE partition_key = ? AND stream = ?)`;

/** The archive's tables, which an older program has not made, and a newer one may make while its log is read beside. */
export interface ArchiveTables {
  /** For good. */
  areThere(): boolean;
  look(): Promise<boolean>;
}

export function archiveTables(rows: Rows, areThere = false): ArchiveTables {
  let found = areThere;
  return {
    areThere: () => found,
    async look() {
      found ||= (await rows("SHOW TABLES LIKE 'log\\_ended\\_streams'")).length > 0;
      return found;
    },
  };
}

/** Rows as they stand. */
export function openReader(rows: Rows, tables: ArchiveTables): RowReader {
  return {
    readPartition: readingRows(rows),
    async readStream(partition, stream, fromVersion, entriesMax) {
      checkReadBound(entriesMax);
      const name = bytesOf(stream);
      const asked = [partition, name, fromVersion, BigInt(entriesMax)];
      if (!tables.areThere()) {
        const found = await rows(`SELECT ${COLUMNS} ${BY_STREAM}`, asked);
        const isWhole = found[0]?.['version'] === Math.max(1, fromVersion);
        if (isWhole || !(await tables.look())) return { rows: found.map(entryOf), positions: [] };
      }
      const found = await rows(BY_STREAM_OR_ENDED, [...asked, partition, name]);
      const [ended] = found.filter(({ positions }) => positions !== null);
      return {
        rows: found
          .filter(({ positions }) => positions === null)
          .map(entryOf)
          .sort((one, other) => (one.version as number) - (other.version as number)),
        positions: ended === undefined ? [] : decodePositions(ended['positions'] as Uint8Array),
      };
    },
    async findAnswer(partition, key) {
      const columns = COLUMNS.replaceAll(/\w+/g, 'e.$&');
      const sql = `SELECT a.position AS answered, ${columns} FROM log_answers a
        LEFT JOIN log_entries e ON e.partition_key = a.partition_key AND e.position = a.position
        WHERE a.partition_key = ? AND a.answer_key = ?`;
      const [row] = await rows(sql, [partition, bytesOf(key)]);
      if (row === undefined) return null;
      if (row['position'] === null) throw lostAnswer(partition, row['answered'] as number);
      return entryOf(row);
    },
    async epochs() {
      const heads = await rows('SELECT partition_key, epoch FROM log_heads');
      return heads.map((row) => [row['partition_key'] as number, row['epoch'] as number] as const);
    },
  };
}

export function readingRows(rows: Rows): Reader['readPartition'] {
  return async (partition, afterPosition, entriesMax) => {
    checkReadBound(entriesMax);
    const sql = `SELECT ${COLUMNS} FROM log_entries WHERE partition_key = ? AND position > ? ORDER BY position LIMIT ?`;
    return (await rows(sql, [partition, afterPosition, BigInt(entriesMax)])).map(entryOf);
  };
}

function lostAnswer(partition: number, position: number): CardumeError {
  return new CardumeError(
    'storage-failed',
    `partition ${partition} has no row at position ${position}, where a remembered answer stands: bring the log back from a backup`,
  );
}

/** Text of a VARBINARY column. */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}

export function textOf(bytes: unknown): string {
  return (bytes as Buffer).toString();
}

export function entryOf(row: SqlRow): Entry {
  return {
    partition: row['partition_key'] as number,
    position: row['position'] as number,
    epoch: row['epoch'] as number,
    stream: textOf(row['stream']),
    version: row['version'] as number | null,
    type: row['type'] as string,
    data: row['data'] as string,
    meta: row['meta'] as string | null,
    key: row['answer_key'] === null ? null : textOf(row['answer_key']),
    atMs: row['at_ms'] as number,
    checksum: row['checksum'] as Uint8Array,
  };
}
