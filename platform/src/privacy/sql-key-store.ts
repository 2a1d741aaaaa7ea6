/** The keys of subjects in a database of MySQL's family: see key-store.ts. */

import { again } from '../database/mysql/again.ts';
import { insertRows } from '../database/mysql/insert.ts';
import { migrate } from '../database/mysql/migrate.ts';
import { SCHEMA_TABLE, type Schema } from '../database/schema.ts';
import type { Clock } from '../host/host.ts';
import type { SqlDatabase } from '../host/sql.ts';
import type { KeyStore, WrappedKey } from './key-store.ts';

const FOUND_A_STATEMENT_MAX = 200;

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
          partition_key INT UNSIGNED NOT NULL,
          subject VARBINARY(80) NOT NULL,
          wrapped VARBINARY(255) NOT NULL,
          created_ms BIGINT NOT NULL,
          PRIMARY KEY (partition_key, subject)
        )`,
      ],
    },
  ],
};

export async function openSqlKeyStore(clock: Clock, database: SqlDatabase): Promise<KeyStore> {
  await migrate(clock, database, KEYS);
  async function find(partition: number, subject: string): Promise<Uint8Array | null> {
    const [row] = await again(clock, () =>
      database.rows('SELECT wrapped FROM subject_keys WHERE partition_key = ? AND subject = ?', [
        partition,
        Buffer.from(subject),
      ]),
    );
    return (row?.['wrapped'] as Uint8Array | undefined) ?? null;
  }
  return {
    async ensure({ partition, subject, wrapped }, atMs) {
      await again(clock, () =>
        database.run(
          `INSERT INTO subject_keys (partition_key, subject, wrapped, created_ms) VALUES (?, ?, ?, ?)
            ON DUPLICATE KEY UPDATE subject = subject`,
          [partition, Buffer.from(subject), wrapped, atMs],
        ),
      );
      return (await find(partition, subject)) as Uint8Array;
    },
    find,
    async findAll(partition, subjects) {
      const keys: WrappedKey[] = [];
      for (let i = 0; i < subjects.length; i += FOUND_A_STATEMENT_MAX) {
        const some = subjects.slice(i, i + FOUND_A_STATEMENT_MAX);
        const among = some.map(() => '?').join(', ');
        const rows = await again(clock, () =>
          database.rows(
            `SELECT subject, wrapped FROM subject_keys WHERE partition_key = ? AND subject IN (${among})`,
            [partition, ...some.map((subject) => Buffer.from(subject))],
          ),
        );
        for (const { subject, wrapped } of rows)
          keys.push({ partition, subject: String(subject), wrapped: wrapped as Uint8Array });
      }
      return keys;
    },
    async destroy(partition, subject) {
      await database.run('DELETE FROM subject_keys WHERE partition_key = ? AND subject = ?', [
        partition,
        Buffer.from(subject),
      ]);
    },
    async list(partition, afterSubject, keysMax) {
      const rows = await again(clock, () =>
        database.rows(
          'SELECT subject, wrapped FROM subject_keys WHERE partition_key = ? AND subject > ? ORDER BY subject LIMIT ?',
          [partition, Buffer.from(afterSubject), BigInt(keysMax)],
        ),
      );
      return rows.map(({ subject, wrapped }) => {
        return { partition, subject: String(subject), wrapped: wrapped as Uint8Array };
      });
    },
    async put(keys, atMs) {
      const rows = keys.map(({ partition, subject, wrapped }) => [
        partition,
        Buffer.from(subject),
        wrapped,
        atMs,
      ]);
      const columns = ['partition_key', 'subject', 'wrapped', 'created_ms'];
      const newest = 'ON DUPLICATE KEY UPDATE wrapped = VALUES(wrapped), created_ms = VALUES(created_ms)';
      await again(clock, () =>
        database.session(async (session) => {
          await session.exec('START TRANSACTION');
          await insertRows(session, 'subject_keys', columns, rows, newest);
          await session.exec('COMMIT');
        }),
      );
    },
    async drop(partition, keysMax) {
      const { changes } = await again(clock, () =>
        database.run('DELETE FROM subject_keys WHERE partition_key = ? LIMIT ?', [
          partition,
          BigInt(keysMax),
        ]),
      );
      return changes;
    },
  };
}
