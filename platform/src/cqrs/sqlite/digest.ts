import { rollBack } from '../../database/sqlite/transaction.ts';
import type { Database, SqlRow, SqlValue } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { sqlite } from '../../sharding/sqlite.ts';
import type { Table } from '../../sharding/table.ts';
import { type Digest, type Digested, PAGE_ROWS, pageOf, type TableDigest, tableDigest } from '../digest.ts';

/** See digest.ts. Blocks its thread. */
export function digestIn({ crypto }: Host, database: Database, { partition, builds }: Digested): Digest {
  const digestOf = (table: Table): TableDigest => {
    const digest = tableDigest(crypto, table);
    for (let after: SqlValue[] | null = null; ; ) {
      const { text, values } = pageOf(sqlite, table, partition, after);
      const rows: SqlRow[] = database.prepare(text).all(...values, PAGE_ROWS);
      for (const row of rows) digest.add(row);
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE_ROWS) return digest.done();
      after = table.key.map((column) => last[column] as SqlValue);
    }
  };
  database.exec('BEGIN');
  try {
    const checkpoint = database.prepare(
      "SELECT position FROM _folded WHERE build = '' AND partition = ? AND epoch > 0",
    );
    const position = (checkpoint.get(partition)?.['position'] as number | undefined) ?? 0;
    const together = database.prepare('SELECT 1 FROM _builds WHERE name = ? AND apart = 0');
    const following = builds.filter(({ name }) => together.get(name) !== undefined);
    const tables = following.flatMap((one) => one.tables).map(({ name, stored }) => [name, digestOf(stored)]);
    database.exec('COMMIT');
    return { position, tables: Object.fromEntries(tables) };
  } catch (error) {
    rollBack(database);
    throw error;
  }
}
