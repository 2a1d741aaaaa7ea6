/** A projection's rows after some events, from a real database in memory: for tests. */
import type { Projection } from 'cardume/cqrs/projection';
import { tableRows } from 'cardume/cqrs/sqlite/rows';
import type { PartitionRows } from 'cardume/cqrs/storage';
import { realHost } from 'cardume/host/real';
import { createTable } from 'cardume/sharding/sqlite';
import type { Row, Table } from 'cardume/sharding/table';

interface Happened {
  readonly stream: string;
  readonly event: { readonly type: string };
}

export function projected(
  projection: Projection,
  history: readonly Happened[],
): (key: Row) => Row | undefined {
  const database = realHost().disk.database(':memory:');
  const rows = new Map<Table, PartitionRows>();
  for (const table of projection.tables) {
    for (const sql of createTable(table)) database.exec(sql);
    rows.set(table, tableRows(database, table));
  }
  const rowsOf = (table: Table): PartitionRows => rows.get(table) as PartitionRows;
  history.forEach(({ stream, event }, i) => {
    projection.on[event.type]?.(event as never, { stream, version: i + 1, atMs: i }, rowsOf);
  });
  const [first] = projection.tables as readonly [Table];
  return (key) => {
    const row = rowsOf(first).get(key);
    return row === undefined ? undefined : { ...row };
  };
}
