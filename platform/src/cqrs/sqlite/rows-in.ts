/** Single rows of a shard's read models, by their keys. */
import type { Database, Statement } from '../../host/disk.ts';
import type { Row, Table } from '../../sharding/table.ts';
import { rowByKey } from './rows.ts';

/** @param tables as they are stored, by the names that queries say */
export function rowsIn(views: Database, tables: ReadonlyMap<string, Table>) {
  const selects = new Map<Table, Statement>();
  return (table: Table, partition: number, key: Row): Row | null => {
    const select = selects.get(table) ?? views.prepare(rowByKey(tables.get(table.name) as Table));
    selects.set(table, select);
    const row = select.get(partition, ...table.key.map((column) => key[column] as string | number));
    return (row as Row | undefined) ?? null;
  };
}
