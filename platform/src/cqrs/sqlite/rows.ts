/** A projection's rows of one partition in a shard's database of read models: prepared once, used for every event. */
import type { Database, SqlValue, Statement } from '../../host/disk.ts';
import { quoted } from '../../sharding/sqlite.ts';
import { PARTITION_COLUMN, type Row, type Table } from '../../sharding/table.ts';
import { checkDeltas, checkPlace, checkRow, required } from '../row.ts';
import type { PartitionRows } from '../storage.ts';

export function tableRows(database: Database, table: Table): PartitionRows {
  const columns = Object.keys(table.columns);
  const keyNames = [PARTITION_COLUMN, ...table.key];
  const values = columns.filter((column) => !table.key.includes(column));
  const where = keyNames.map((column) => `${quoted(column)} = ?`).join(' AND ');
  const named = quoted(table.name);
  const prepared = new Map<string, Statement>();
  const statement = (sql: string): Statement => {
    let found = prepared.get(sql);
    if (found === undefined) {
      found = database.prepare(sql);
      prepared.set(sql, found);
    }
    return found;
  };
  const insertHead = `INSERT INTO ${named} (${[PARTITION_COLUMN, ...columns].map(quoted).join(', ')})
    VALUES (${['?', ...columns.map(() => '?')].join(', ')}) ON CONFLICT (${keyNames.map(quoted).join(', ')}) DO `;
  const put = `${insertHead}${
    values.length === 0
      ? 'NOTHING'
      : `UPDATE SET ${values.map((column) => `${quoted(column)} = excluded.${quoted(column)}`).join(', ')}`
  }`;
  let partition = 0;
  const keyOf = (key: Row): SqlValue[] => [
    partition,
    ...table.key.map((column) => required(table, key, column)),
  ];
  return {
    at(of) {
      partition = of;
    },
    put(row) {
      checkRow(table, row);
      checkPlace(table, row, partition);
      statement(put).run(
        partition,
        ...columns.map((column) =>
          table.key.includes(column) ? required(table, row, column) : (row[column] ?? null),
        ),
      );
    },
    patch(key, changes) {
      checkRow(table, changes);
      checkPlace(table, changes, partition);
      const names = Object.keys(changes);
      if (names.length === 0) return;
      const sql = `UPDATE ${named} SET ${names.map((name) => `${quoted(name)} = ?`).join(', ')} WHERE ${where}`;
      statement(sql).run(...names.map((name) => changes[name] ?? null), ...keyOf(key));
    },
    add(key, deltas) {
      checkDeltas(table, deltas);
      checkPlace(table, key, partition);
      const names = Object.keys(deltas);
      const sql = `${insertHead}UPDATE SET ${names
        .map((name) => `${quoted(name)} = coalesce(${named}.${quoted(name)}, 0) + excluded.${quoted(name)}`)
        .join(', ')}`;
      statement(sql).run(
        partition,
        ...columns.map((column) =>
          table.key.includes(column) ? required(table, key, column) : (deltas[column] ?? null),
        ),
      );
    },
    remove(key) {
      statement(`DELETE FROM ${named} WHERE ${where}`).run(...keyOf(key));
    },
    get(key) {
      return statement(rowByKey(table)).get(...keyOf(key)) as Row | undefined;
    },
  };
}

/** SQL of one row by partition and key. */
export function rowByKey(table: Table): string {
  const keyNames = [PARTITION_COLUMN, ...table.key];
  return `SELECT ${Object.keys(table.columns).map(quoted).join(', ')} FROM ${quoted(table.name)}
    WHERE ${keyNames.map((column) => `${quoted(column)} = ?`).join(' AND ')}`;
}
