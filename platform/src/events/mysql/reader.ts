/** Bounded reads of committed entries. A read that lost its connection is made again: it changes nothing. */

import { again } from '../../database/mysql/again.ts';
import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase } from '../../host/sql.ts';
import { checkReadBound, type Reader } from '../engine.ts';
import type { Entry } from '../log.ts';

export const COLUMNS =
  'partition_key, position, epoch, stream, version, type, data, meta, answer_key, at_ms, checksum';

export function openReader(clock: Clock, database: SqlDatabase): Reader {
  const rows = (sql: string, ...values: SqlValue[]): Promise<SqlRow[]> =>
    again(clock, () => database.rows(sql, values));
  return {
    async readPartition(partition, afterPosition, entriesMax) {
      checkReadBound(entriesMax);
      const sql = `SELECT ${COLUMNS} FROM log_entries WHERE partition_key = ? AND position > ? ORDER BY position LIMIT ?`;
      return (await rows(sql, partition, afterPosition, BigInt(entriesMax))).map(entryOf);
    },
    async readStream(partition, stream, fromVersion, entriesMax) {
      checkReadBound(entriesMax);
      const sql = `SELECT ${COLUMNS} FROM log_entries WHERE partition_key = ? AND stream = ? AND version >= ?
        ORDER BY version LIMIT ?`;
      return (await rows(sql, partition, bytesOf(stream), fromVersion, BigInt(entriesMax))).map(entryOf);
    },
    async findAnswer(partition, key) {
      const columns = COLUMNS.split(', ').map((column) => `e.${column}`);
      const sql = `SELECT ${columns.join(', ')} FROM log_answers a
        JOIN log_entries e ON e.partition_key = a.partition_key AND e.position = a.position
        WHERE a.partition_key = ? AND a.answer_key = ?`;
      const [row] = await rows(sql, partition, bytesOf(key));
      return row === undefined ? null : entryOf(row);
    },
    async epochAt(partition, position) {
      const sql = 'SELECT epoch FROM log_entries WHERE partition_key = ? AND position = ?';
      const [row] = await rows(sql, partition, position);
      return row === undefined ? null : (row['epoch'] as number);
    },
    async epochs() {
      const heads = await rows('SELECT partition_key, epoch FROM log_heads');
      return heads.map((row) => [row['partition_key'] as number, row['epoch'] as number] as const);
    },
  };
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
