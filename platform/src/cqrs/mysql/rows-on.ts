/** Committed rows of a shard's read models on a server: its own, or a replica's. */
import { CardumeError } from '../../base/errors.ts';
import type { SqlRow } from '../../host/disk.ts';
import { isTimedOut, type SqlSession, type SqlWithin } from '../../host/sql.ts';
import type { Within } from '../../sharding/deadline.ts';
import { quoted } from '../../sharding/mysql.ts';
import { cellValue } from '../../sharding/sql-reader.ts';
import { PARTITION_COLUMN, type Row, type Table, type Value } from '../../sharding/table.ts';

/** @param tables as they are stored, by the names that queries say */
export async function rowOn(
  session: SqlSession,
  tables: ReadonlyMap<string, Table>,
  table: Table,
  partition: number,
  key: Row,
): Promise<Row | null> {
  const values = [partition, ...table.key.map((column) => key[column] as string | number)];
  const [row] = await session.rows(rowByKey(tables.get(table.name) as Table), values);
  return row === undefined ? null : rowOf(table, row);
}

/**
 * A scan, each of whose tries may take what is left then.
 * @param deadlineMs the most
 * @throws CardumeError `deadline-exceeded` when the server was too slow
 */
export async function ended<T>(
  deadlineMs: number,
  { signal, leftMs }: Within,
  scan: (bounds: () => SqlWithin) => Promise<T>,
): Promise<T> {
  try {
    return await scan(() => ({ timeoutMs: Math.min(deadlineMs, leftMs()), signal }));
  } catch (error) {
    if (!isTimedOut(error)) throw error;
    signal.throwIfAborted();
    throw new CardumeError('deadline-exceeded', `a scan took longer than ${deadlineMs} ms`, { cause: error });
  }
}

/** A row of a table as a server gives it: its text is bytes. */
export function rowOf(table: Table, cells: SqlRow): Row {
  return Object.fromEntries(
    Object.keys(table.columns).map((column) => [column, cellValue(cells[column] as Value | Uint8Array)]),
  );
}

function rowByKey(table: Table): string {
  const where = [PARTITION_COLUMN, ...table.key].map((column) => `${quoted(column)} = ?`).join(' AND ');
  return `SELECT ${Object.keys(table.columns).map(quoted).join(', ')} FROM ${quoted(table.name)} WHERE ${where}`;
}
