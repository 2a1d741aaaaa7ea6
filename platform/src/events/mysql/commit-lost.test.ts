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

/** What becomes of a commit. */
type Fate = 'passes' | 'never arrives' | 'is carried out, and nobody hears';

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
      // COM_QUERY is 3; the driver sends a command in one piece.
      const isCommit = bytes.includes('\x03COMMIT');
      const fate = isCommit ? (proxy.fates.shift() ?? 'passes') : 'passes';
      if (fate === 'never arrives') {
        client.destroy();
        upstream.destroy();
        return;
      }
      isMute ||= fate !== 'passes';
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
