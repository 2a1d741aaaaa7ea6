/**
 * The one moment that matters: the connection breaks around a COMMIT. A proxy in between passes everything, and on
 * order either never hands the commit on, or hands it on and lets nobody hear the answer.
 */
import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { realHost } from '../../host/real.ts';
import { all, event, fails, names, P, Q } from '../../testing/log-conformance-case.ts';
import { serverNamed } from '../../testing/servers.ts';
import { openLog, openWriterPool } from '../events.ts';
import { verifyLog } from '../verify.ts';

const host = realHost();
const mariadb = await serverNamed(host, 'mariadb');
after(() => (mariadb.skip === false ? mariadb.server.admin.close() : undefined));
const BOUNDS = { batchEntriesMax: 32, queueEntriesMax: 1_000 };

/**
 * COM_QUERY is 3; the driver sends a command in one piece. To MySQL, between both, that it has no attributes: none of one
 * set (its protocol's CLIENT_QUERY_ATTRIBUTES).
 */
const COMMITS = ['\x03COMMIT', '\x03\0\x01COMMIT'];

/** As if Q were in a part of the server that has not committed. */
const LEFT_OUT = [
  `UPDATE log_heads SET position = 1, checksum = (
    SELECT checksum FROM log_entries WHERE partition_key = ${Q} AND position = 1
  ) WHERE partition_key = ${Q}`,
  `DELETE FROM log_entries WHERE partition_key = ${Q} AND position > 1`,
];

/** Like the one that is given, with another statement. */
function command(commit: Buffer, sql: string): Buffer {
  const begin = commit.subarray(4, commit.indexOf('COMMIT'));
  const header = Buffer.alloc(4); // the length in three bytes, and a number that begins with each command
  header.writeUIntLE(begin.length + Buffer.byteLength(sql), 0, 3);
  return Buffer.concat([header, begin, Buffer.from(sql)]);
}

/** What becomes of a commit. */
type Fate = 'passes' | 'never arrives' | 'is carried out, and nobody hears' | 'is carried out in part';

interface Proxy {
  readonly port: number;
  /** Of the next commits, in order; then all pass. */
  readonly fates: Fate[];
  /** No new connection is taken while set. */
  isDown: boolean;
  close(): Promise<void>;
}

async function proxyTo(port: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    if (proxy.isDown) {
      client.destroy();
      return;
    }
    const upstream = connect(port, '127.0.0.1');
    let isMute = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    }
    client.on('data', (bytes) => {
      const isCommit = COMMITS.some((command) => bytes.includes(command));
      const fate = isCommit ? (proxy.fates.shift() ?? 'passes') : 'passes';
      if (fate === 'never arrives') {
        client.destroy();
        upstream.destroy();
        return;
      }
      isMute ||= fate !== 'passes';
      if (fate === 'is carried out in part')
        for (const sql of LEFT_OUT) upstream.write(command(bytes as Buffer, sql));
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (isMute) {
        client.destroy();
        upstream.destroy();
      } else client.write(bytes);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: Proxy = {
    port: (server.address() as AddressInfo).port,
    fates: [],
    isDown: false,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}

describe('a connection that breaks around a commit', { skip: mariadb.skip }, () => {
  async function proxied(body: (open: () => ReturnType<typeof openLog>, proxy: Proxy) => Promise<void>) {
    assert.ok(mariadb.skip === false);
    const { address, drop } = await mariadb.server.newDatabase();
    const proxy = await proxyTo(address.port);
    const sql = { ...address, port: proxy.port };
    const pool = openWriterPool(host, { threadsMax: 1 });
    try {
      await body(() => openLog(host, { sql, partitions: [P, Q], pool, bounds: BOUNDS }), proxy);
      assert.deepEqual((await verifyLog(host, { sql: address })).faults, []);
    } finally {
      await pool.close();
      await proxy.close();
      await drop();
    }
  }

  test('which is carried out in part: each append is told what became of it', () =>
    proxied(async (open, proxy) => {
      const log = await open();
      await Promise.all([log.append(P, [event('s', 1)]), log.append(Q, [event('t', 1)])]);
      proxy.fates.push('is carried out in part');
      const [first, second] = await Promise.allSettled([
        log.append(P, [event('s', 2)]),
        log.append(Q, [event('t', 2)]),
      ]);
      assert.equal(first.status, 'fulfilled');
      assert.equal(second.status, 'rejected');
      assert.deepEqual(names(await all(log, P)), ['s@1', 's@2']);
      assert.deepEqual(names(await all(log, Q)), ['t@1']);
      assert.equal((await log.append(Q, [event('t', 2)])).position, 2);
      await log.close();
    }));

  for (const fate of ['never arrives', 'is carried out, and nobody hears'] as const) {
    test(`which ${fate}: the append stands once`, () =>
      proxied(async (open, proxy) => {
        const log = await open();
        await log.append(P, [event('s', 1)]);
        proxy.fates.push(fate);
        const given = await Promise.all([
          log.append(P, [event('s', 2, { key: 'k' })]),
          log.append(Q, [event('t', 1)]),
        ]);
        assert.deepEqual(
          given.map(({ position }) => position),
          [2, 1],
        );
        assert.equal((await log.append(P, [event('s', 3)])).position, 3);
        assert.deepEqual(names(await all(log, P)), ['s@1', 's@2', 's@3']);
        assert.equal((await log.findAnswer(P, 'k'))?.position, 2);
        await log.close();
      }));

    test(`which ${fate}, and the server is gone: what was not known is resolved at the way back`, () =>
      proxied(async (open, proxy) => {
        const log = await open();
        const live: string[] = [];
        log.onCommit((entries) => live.push(...names(entries)));
        await log.append(P, [event('s', 1)]);
        proxy.fates.push(fate);
        proxy.isDown = true;
        // Nobody can tell a commit that never arrived from one that did.
        await fails(log.append(P, [event('s', 2)]), 'unknown-outcome');
        proxy.isDown = false;
        const next = fate === 'never arrives' ? 2 : 3;
        for (let tries = 0; ; tries += 1) {
          try {
            await log.append(P, [event('s', next)]);
            break;
          } catch (error) {
            assert.ok(tries < 20, String(error));
            await host.clock.sleep(100);
          }
        }
        const expected = ['s@1', 's@2', 's@3'].slice(0, next);
        assert.deepEqual(names(await all(log, P)), expected);
        assert.deepEqual(live, expected);
        await log.close();
      }));
  }
});
