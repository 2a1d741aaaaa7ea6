/** Connections that end in the middle of batches: what was told is true, nothing stands twice, and work goes on. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import { realHost } from '../../host/real.ts';
import type { SqlTls } from '../../host/sql.ts';
import { all, event, P, Q } from '../../testing/log-conformance-case.ts';
import { serverNamed } from '../../testing/servers.ts';
import { openLog, openWriterPool } from '../events.ts';
import { verifyLog } from '../verify.ts';

const host = realHost();
const mariadb = await serverNamed(host, 'mariadb');
const BOUNDS = { batchEntriesMax: 32, queueEntriesMax: 1_000 };
const CUTS = 60;

describe('a server whose connections break', { skip: mariadb.skip }, () => {
  assert.ok(mariadb.skip === false || typeof mariadb.skip === 'string');
  after(() => (mariadb.skip === false ? mariadb.server.admin.close() : undefined));

  test(`no append is lost, doubled or told wrongly over ${CUTS} cuts`, { timeout: 120_000 }, async () => {
    assert.ok(mariadb.skip === false);
    const { server } = mariadb;
    const { address, drop } = await server.newDatabase();
    const pool = openWriterPool(host, { threadsMax: 1 });
    const log = await openLog(host, { sql: address, partitions: [P, Q], pool, bounds: BOUNDS });
    const told = new Map<string, number>();
    const unknown = new Set<string>();
    const refused = new Set<string>();
    let going = true;

    async function caller(index: number): Promise<void> {
      const partition = index % 2 === 0 ? P : Q;
      for (let life = 0, version = 1; going; version += 1) {
        const stream = `${index}-${life}`;
        const name = `${partition} ${stream}@${version}`;
        try {
          const key = `${stream}/${version}`;
          const { position } = await log.append(partition, [event(stream, version, { key })]);
          told.set(name, position);
        } catch (error) {
          if (!isCardumeError(error)) throw error;
          if (error.code === 'unknown-outcome') unknown.add(name);
          else refused.add(name);
          life += 1;
          version = 0;
        }
      }
    }

    let ended = 0;
    async function cut(): Promise<void> {
      for (const { id, database } of await server.running()) {
        if (database !== address.database) continue;
        await server.admin.exec(`KILL ${id}`).then(
          () => {
            ended += 1;
          },
          () => undefined, // it ended by itself
        );
      }
    }

    const callers = Promise.all(Array.from({ length: 16 }, (_, i) => caller(i)));
    for (let i = 0; i < CUTS; i += 1) {
      const before = told.size;
      while (told.size < before + 10) await host.clock.sleep(1);
      await host.clock.sleep(Math.random() * 8);
      await cut();
    }
    going = false;
    await callers;
    assert.ok(ended >= CUTS / 2, `${ended} connections were cut`);

    const found = new Map<string, number>();
    for (const partition of [P, Q]) {
      for (const { stream, version, position } of await all(log, partition))
        found.set(`${partition} ${stream}@${version}`, position);
    }
    for (const [name, position] of told) assert.equal(found.get(name), position, name);
    for (const name of refused) assert.equal(found.get(name), undefined, name);
    for (const name of found.keys()) assert.ok(told.has(name) || unknown.has(name), name);
    await log.close();
    await pool.close();
    assert.deepEqual((await verifyLog(host, { sql: address })).faults, []);
    await drop();
  });

  test('a connection is encrypted, and only to a server whose authority is trusted', async () => {
    assert.ok(mariadb.skip === false);
    const { address, drop } = await mariadb.server.newDatabase();
    const bounds = { connectionsMax: 1, statementTimeoutMs: 5_000 };
    const cipherOver = async (tls: SqlTls | undefined): Promise<unknown> => {
      const database = host.sql.database({ ...address, tls }, bounds);
      try {
        const [row] = await database.rows("SHOW SESSION STATUS LIKE 'Ssl_cipher'");
        return row?.['Value'];
      } finally {
        await database.close();
      }
    };
    assert.equal(await cipherOver(undefined), '');
    assert.match(String(await cipherOver({ ca: mariadb.server.ca })), /^TLS_|^ECDHE/);
    // The system's authorities have not signed it.
    await assert.rejects(cipherOver({}), (error) => {
      assert.ok(isCardumeError(error, 'storage-failed'), String(error));
      assert.match(error.message, /certificate is not trusted/);
      return true;
    });
    const sql = { ...address, tls: { ca: mariadb.server.ca } };
    const pool = openWriterPool(host, { threadsMax: 1 });
    const log = await openLog(host, { sql, partitions: [P], pool, bounds: BOUNDS });
    assert.equal((await log.append(P, [event('s', 1)])).position, 1);
    await log.close();
    await pool.close();
    await drop();
  });

  test('a wrong password, a missing database and a port where nobody listens are told as they are', async () => {
    assert.ok(mariadb.skip === false);
    const { address, drop } = await mariadb.server.newDatabase();
    const wrong = {
      'user or password is wrong': { ...address, password: 'not-this-one' },
      'there is no such database': { ...address, database: 'cardume_none' },
      'nobody listens there': { ...address, port: 1 },
    };
    for (const [why, sql] of Object.entries(wrong)) {
      const pool = openWriterPool(host, { threadsMax: 1 });
      await assert.rejects(openLog(host, { sql, partitions: [P], pool, bounds: BOUNDS }), (error) => {
        assert.ok(isCardumeError(error, 'storage-failed'), String(error));
        assert.ok(error.message.includes(why), error.message);
        assert.ok(!error.message.includes(sql.password));
        return true;
      });
      await pool.close();
    }
    await drop();
  });

  test('a server that is read-only refuses appends, and takes them when it is writable again', async () => {
    assert.ok(mariadb.skip === false);
    const { server } = mariadb;
    const { address, drop } = await server.newDatabase();
    // A user of its own: the server's own administrators write in spite of read_only.
    const sql = { ...address, user: 'cardume_reader', password: 'of-this-test' };
    await server.admin.exec(`DROP USER IF EXISTS '${sql.user}'@'127.0.0.1'`);
    await server.admin.exec(`CREATE USER '${sql.user}'@'127.0.0.1' IDENTIFIED BY '${sql.password}'`);
    await server.admin.exec(`GRANT ALL ON ${sql.database}.* TO '${sql.user}'@'127.0.0.1'`);
    const pool = openWriterPool(host, { threadsMax: 1 });
    const log = await openLog(host, { sql, partitions: [P], pool, bounds: BOUNDS });
    await log.append(P, [event('s', 1)]);
    await server.admin.exec(`SET GLOBAL read_only = 1`);
    try {
      await assert.rejects(log.append(P, [event('s', 2)]), /the server is read-only/);
    } finally {
      await server.admin.exec(`SET GLOBAL read_only = 0`);
    }
    assert.equal((await log.append(P, [event('s', 2)])).position, 2);
    await log.close();
    await pool.close();
    await server.admin.exec(`DROP USER '${sql.user}'@'127.0.0.1'`);
    await drop();
  });
});
