/** The logs in a database as they stand, in one snapshot: what `verifyLog` looks at. */
import { checkSchema } from '../../database/mysql/migrate.ts';
import { inSnapshot } from '../../database/mysql/snapshot.ts';
import type { Cryptography } from '../../host/cryptography.ts';
import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { archivedIn } from '../archive/archived.ts';
import { readingPartitions } from '../archive/reading.ts';
import type { Snapshot, Version } from '../engine.ts';
import { archiveOf, rowsBetween } from './archive.ts';
import { HEADS, headOf } from './heads.ts';
import { archiveTables, bytesOf, readingRows, textOf } from './reader.ts';
import { LOG } from './schema.ts';

export async function inspect<T>(
  { crypto }: Pick<Host, 'crypto'>,
  database: SqlDatabase,
  look: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  await checkSchema(database, LOG);
  return inSnapshot(database, (session) => look(snapshotOf(crypto, session)));
}

function snapshotOf(crypto: Pick<Cryptography, 'sha256'>, session: SqlSession): Snapshot {
  const rows = (sql: string, ...values: SqlValue[]): Promise<SqlRow[]> => session.rows(sql, values);
  const tables = archiveTables(session.rows);
  const archive = archiveOf(session.rows, tables);
  return {
    readPartition: readingPartitions(readingRows(session.rows), archivedIn(crypto, archive), 'passed over'),
    async archivedUpTo(partition) {
      if (!(await tables.look())) return 0;
      const sql = 'SELECT MAX(last_position) AS last FROM log_segments WHERE partition_key = ?';
      const [row] = await rows(sql, partition);
      return (row?.['last'] as number | null) ?? 0;
    },
    archive,
    ended: archive.ended,
    async endedVersions(partition) {
      if (!(await tables.look())) return 0;
      const sql = 'SELECT SUM(version) AS versions FROM log_ended_streams WHERE partition_key = ?';
      const [row] = await rows(sql, partition);
      return Number(row?.['versions'] ?? 0);
    },
    rows: (...asked) => rowsBetween(session.rows, ...asked),
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
