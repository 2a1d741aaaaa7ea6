import { inSnapshot } from '../../database/mysql/snapshot.ts';
import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { mysql } from '../../sharding/mysql.ts';
import type { Table } from '../../sharding/table.ts';
import { type Digest, type Digested, PAGE_ROWS, pageOf, type TableDigest, tableDigest } from '../digest.ts';

/** See digest.ts. */
export function digestOn(
  { crypto }: Pick<Host, 'crypto'>,
  database: SqlDatabase,
  { partition, builds }: Digested,
): Promise<Digest> {
  async function digestOf(session: SqlSession, table: Table): Promise<TableDigest> {
    const digest = tableDigest(crypto, table);
    for (let after: SqlValue[] | null = null; ; ) {
      const { text, values } = pageOf(mysql, table, partition, after);
      const rows: SqlRow[] = await session.rows(text, [...values, BigInt(PAGE_ROWS)]);
      for (const row of rows) digest.add(row);
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE_ROWS) return digest.done();
      after = table.key.map((column) => last[column] as SqlValue);
    }
  }

  return inSnapshot(database, async (session) => {
    const [checkpoint] = await session.rows(
      "SELECT position FROM _folded WHERE build = '' AND partition_key = ? AND epoch > 0",
      [partition],
    );
    const apart = new Set(
      (await session.rows('SELECT name FROM _builds WHERE apart = 1')).map(({ name }) => String(name)),
    );
    const tables: Record<string, TableDigest> = {};
    for (const { name: build, tables: own } of builds) {
      if (apart.has(build)) continue;
      for (const { name, stored } of own) tables[name] = await digestOf(session, stored);
    }
    return { position: (checkpoint?.['position'] as number | undefined) ?? 0, tables };
  });
}
