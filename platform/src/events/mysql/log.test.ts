import assert from 'node:assert/strict';
import { after } from 'node:test';
import { realHost } from '../../host/real.ts';
import type { SqlAddress, SqlDatabase } from '../../host/sql.ts';
import { P, Q } from '../../testing/log-conformance-case.ts';
import { serverNamed } from '../../testing/servers.ts';
import { logConformance } from '../../testing/testing.ts';
import { openLog, openWriterPool } from '../events.ts';
import { verifyLog } from '../verify.ts';

const BOUNDS = { batchEntriesMax: 128, queueEntriesMax: 10_000 };
const host = realHost();
const mariadb = await serverNamed(host, 'mariadb');
after(() => (mariadb.skip === false ? mariadb.server.admin.close() : undefined));

async function beside<T>(address: SqlAddress, work: (other: SqlDatabase) => Promise<T>): Promise<T> {
  const other = host.sql.database(address, { connectionsMax: 1, statementTimeoutMs: 10_000 });
  try {
    return await work(other);
  } finally {
    await other.close();
  }
}

logConformance(
  `MySQL log on ${mariadb.name}`,
  async () => {
    assert.ok(mariadb.skip === false);
    const { address, drop } = await mariadb.server.newDatabase();
    const pool = openWriterPool(host, { threadsMax: 2 });
    return {
      host,
      open: (partitions = [P, Q], bounds = {}, more = {}) =>
        openLog(host, { sql: address, partitions, pool, bounds: { ...BOUNDS, ...bounds }, ...more }),
      done: (work) => work,
      faults: async () => (await verifyLog(host, { sql: address })).faults,
      damageArchive: (segmentsMax = Number.POSITIVE_INFINITY) =>
        beside(address, async (other) => {
          const segments = await other.rows(
            'SELECT partition_key, last_position, bytes FROM log_segments ORDER BY partition_key, last_position',
          );
          for (const { partition_key: partition, last_position: last, bytes } of segments.slice(
            0,
            segmentsMax,
          )) {
            const changed = Buffer.from(bytes as Uint8Array);
            changed[changed.length >> 1] = (changed[changed.length >> 1] as number) ^ 1;
            const sql = 'UPDATE log_segments SET bytes = ? WHERE partition_key = ? AND last_position = ?';
            await other.run(sql, [changed, partition as number, last as number]);
          }
          return segments.length;
        }),
      loseSegment: () =>
        beside(address, (other) =>
          other.exec('DELETE FROM log_segments ORDER BY partition_key, last_position LIMIT 1'),
        ),
      async close() {
        await pool.close();
        await drop();
      },
    };
  },
  mariadb.skip,
);
