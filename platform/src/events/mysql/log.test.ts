import assert from 'node:assert/strict';
import { after } from 'node:test';
import { realHost } from '../../host/real.ts';
import { P, Q } from '../../testing/log-conformance-case.ts';
import { serverNamed } from '../../testing/servers.ts';
import { logConformance } from '../../testing/testing.ts';
import { openLog, openWriterPool } from '../events.ts';

const BOUNDS = { batchEntriesMax: 128, queueEntriesMax: 10_000 };
const host = realHost();
const mariadb = await serverNamed(host, 'mariadb');
after(() => (mariadb.skip === false ? mariadb.server.admin.close() : undefined));

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
      async close() {
        await pool.close();
        await drop();
      },
    };
  },
  mariadb.skip,
);
