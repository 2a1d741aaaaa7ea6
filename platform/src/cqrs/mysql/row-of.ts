import type { SqlRow } from '../../host/disk.ts';
import { cellValue } from '../../sharding/sql-reader.ts';
import type { Row, Table, Value } from '../../sharding/table.ts';

/** A row of a table as a server gives it: its text is bytes. */
export function rowOf(table: Table, cells: SqlRow): Row {
  return Object.fromEntries(
    Object.keys(table.columns).map((column) => [column, cellValue(cells[column] as Value | Uint8Array)]),
  );
}
