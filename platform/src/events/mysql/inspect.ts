/** The logs in a database as they stand, in one snapshot: what `verifyLog` looks at. */

import { checkSchema } from '../../database/mysql/migrate.ts';
import { inSnapshot } from '../../database/mysql/snapshot.ts';
import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import type { Snapshot, Version } from '../engine.ts';
import { HEADS, headOf } from './heads.ts';
import { bytesOf, COLUMNS, entryOf, textOf } from './reader.ts';
import { LOG } from './schema.ts';

export async function inspect<T>(
  database: SqlDatabase,
  look: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  await checkSchema(database, LOG);
  return inSnapshot(database, (session) => look(snapshotOf(session)));
}

function snapshotOf(session: SqlSession): Snapshot {
  const rows = (sql: string, ...values: SqlValue[]): Promise<SqlRow[]> => session.rows(sql, values);
  return {
    async readPartition(partition, afterPosition, entriesMax) {
      const sql = `SELECT ${COLUMNS} FROM log_entries WHERE partition_key = ? AND position > ? ORDER BY position LIMIT ?`;
      return (await rows(sql, partition, afterPosition, BigInt(entriesMax))).map(entryOf);
    },
    heads: async () => (await rows(`${HEADS} ORDER BY h.partition_key`)).map(headOf),
    async partitions() {
      const found = await rows('SELECT DISTINCT partition_key FROM log_entries');
      return found.map((row) => row['partition_key'] as number);
    },
    async versions(after, max) {
      const behind = `partition_key > ? OR (partition_key = ? AND (stream > ? OR (stream = ? AND version > ?)))`;
      const { partition = 0, stream = '', version = 0 } = after ?? {};
      const found = await rows(
        `SELECT partition_key, stream, version, position FROM log_entries WHERE version IS NOT NULL AND (${behind})
          ORDER BY partition_key, stream, version LIMIT ?`,
        ...[partition, partition, bytesOf(stream), bytesOf(stream), version, BigInt(max)],
      );
      return found.map(
        (row): Version => ({
          stream: textOf(row['stream']),
          version: row['version'] as number,
          partition: row['partition_key'] as number,
          position: row['position'] as number,
        }),
      );
    },
    async strayAnswers(max) {
      const found = await rows(
        `SELECT a.partition_key, a.position FROM log_answers a
          LEFT JOIN log_entries e ON e.partition_key = a.partition_key AND e.position = a.position
          WHERE e.answer_key IS NULL OR e.answer_key <> a.answer_key LIMIT ?`,
        BigInt(max),
      );
      return found.map((row) => ({
        partition: row['partition_key'] as number,
        position: row['position'] as number,
      }));
    },
  };
}
