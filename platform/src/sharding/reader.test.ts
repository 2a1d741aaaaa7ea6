/** A read that fails says why, whatever became of its transaction. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Database } from '../host/disk.ts';
import { simulatedHost } from '../testing/simulated/host.ts';
import { planQuery } from './plan.ts';
import { shardReader } from './reader.ts';
import { scatter } from './scatter.ts';
import { createTable } from './sqlite.ts';
import type { Table } from './table.ts';

const table: Table = { name: 'things', columns: { id: 'text', n: 'integer' }, key: ['id'], indexes: [] };
const query = {
  service: 's',
  table: 'things',
  orderBy: [{ column: 'n', direction: 'ascending' as const }],
  limit: 1,
};

test('the error of a page is its own, not that of the COMMIT behind it', async () => {
  const host = simulatedHost({ seed: 1 });
  const database = host.disk.database('/views.db');
  for (const sql of createTable(table)) database.exec(sql);
  database.exec("INSERT INTO things VALUES (1, 'a', 1), (1, 'b', 2)");
  const { next } = await scatter(
    query,
    () => table,
    [database],
    async (one, plan) => shardReader(one).read(plan),
  );
  assert.ok(next !== null);
  const second = planQuery({ ...query, after: next }, () => table).plan;
  /** As SQLite does it when a read fails: the transaction is over. */
  const failing: Database = {
    ...database,
    prepare: (sql) => ({
      ...database.prepare(sql),
      // biome-ignore lint/correctness/useYield: it fails before its first row
      *iterate() {
        database.exec('ROLLBACK');
        throw new CardumeError('storage-failed', 'the disk reported an input/output error');
      },
    }),
  };
  assert.throws(
    () => shardReader(failing).read(second),
    (error) => isCardumeError(error, 'storage-failed'),
  );
  assert.deepEqual(shardReader(database).read(second), [['b', 2, 1]]);
  host.close();
});
