/** Rows by the many: a statement for each of few sizes is prepared once, and any number of rows is cut into them. */
import type { SqlValue } from '../../host/disk.ts';
import type { SqlSession } from '../../host/sql.ts';

/**
 * Rows of one statement. Every number up to 16, since a busy shop's batches are as small, and each further statement is a round
 * trip; above, halves. A connection keeps one prepared statement for each that it has used.
 */
const SIZES = [128, 64, 32, ...Array.from({ length: 16 }, (_, i) => 16 - i)];
/** A server takes 16 MiB a packet (MariaDB's `max_allowed_packet`) when nobody has set it otherwise. */
const STATEMENT_BYTES_MAX = 4 * 2 ** 20;

/** @param columns in the order of the rows' cells @param otherwise what is done with a row that is there already */
export async function insertRows(
  session: SqlSession,
  table: string,
  columns: readonly string[],
  rows: readonly (readonly SqlValue[])[],
  otherwise = '',
): Promise<void> {
  const row = `(${columns.map(() => '?').join(', ')})`;
  let at = 0;
  while (at < rows.length) {
    const size = sizeOf(rows, at);
    const marks = new Array(size).fill(row).join(', ');
    const sql = `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${marks} ${otherwise}`;
    await session.run(sql, rows.slice(at, at + size).flat());
    at += size;
  }
}

/** The largest size whose rows are there and fit. */
function sizeOf(rows: readonly (readonly SqlValue[])[], at: number): number {
  const left = rows.length - at;
  return (
    SIZES.find((size) => {
      if (size > left) return false;
      let bytes = 0;
      for (let i = at; i < at + size; i += 1) bytes += bytesIn(rows[i] as readonly SqlValue[]);
      return bytes <= STATEMENT_BYTES_MAX;
    }) ?? 1
  );
}

/** At most: text has up to three bytes a UTF-16 unit. */
function bytesIn(cells: readonly SqlValue[]): number {
  let bytes = 0;
  for (const cell of cells)
    bytes += typeof cell === 'string' ? cell.length * 3 : cell instanceof Uint8Array ? cell.length : 9;
  return bytes;
}
