/** What the network of every host must do. */
import assert from 'node:assert/strict';
import type { Host } from '../host/host.ts';
import type { Connection, Listener } from '../host/network.ts';
import { type Cases, fails, hex, text, until } from './host-case.ts';

export const network: Cases = {
  async 'bytes arrive whole and in order, both ways'(host) {
    const { listener, accepted } = await listening(host, (connection) =>
      connection.onData((bytes) => connection.write(bytes)),
    );
    const client = await host.network.connect(listener.address, 1_000);
    const sent = host.random.bytes(50_000);
    const answer = received(client, sent.length);
    for (let from = 0, size = 1; from < sent.length; from += size, size = (size * 7) % 1_009) {
      client.write(sent.subarray(from, from + size));
    }
    assert.equal(hex(host.crypto.sha256(await answer)), hex(host.crypto.sha256(sent)));
    assert.equal(accepted.length, 1);
    client.close();
    await listener.close();
  },

  async 'a connection keeps what arrives before anyone listens'(host) {
    const { listener, accepted } = await listening(host, (connection) =>
      connection.write(Buffer.from('hello')),
    );
    const client = await host.network.connect(listener.address, 1_000);
    client.write(Buffer.from('good day'));
    await host.clock.sleep(20);
    assert.equal(text(await received(client, 5)), 'hello');
    assert.equal(text(await received(accepted[0] as Connection, 8)), 'good day');
    await listener.close();
  },

  async 'who writes faster than the peer reads is held back, then told to go on'(host) {
    const { listener, accepted } = await listening(host, () => undefined);
    const client = await host.network.connect(listener.address, 1_000);
    await until(host, () => accepted.length === 1);
    const block = host.random.bytes(64 * 1_024);
    const drained = new Promise<void>((resolve) => client.onDrain(resolve));
    let blocks = 0;
    while (blocks < 1_000) {
      blocks += 1;
      if (!client.write(block)) break;
    }
    assert.ok(blocks < 1_000, '64 MB were not taken at once');
    const all = received(accepted[0] as Connection, blocks * block.length);
    await drained;
    client.write(block);
    assert.equal((await all).length, blocks * block.length);
    await listener.close();
  },

  async 'both sides learn once why a connection ended, also who asks late'(host) {
    const { listener, accepted } = await listening(host, (connection) => connection.onData(() => undefined));
    const client = await host.network.connect(listener.address, 1_000);
    await until(host, () => accepted.length === 1);
    const server = accepted[0] as Connection;
    const reasons: string[] = [];
    client.onClose((reason) => reasons.push(`client: ${reason}`));
    server.onClose((reason) => reasons.push(`server: ${reason}`));
    client.close();
    client.close();
    await until(host, () => reasons.length >= 2);
    server.close();
    assert.equal(client.write(Buffer.from('late')), false);
    const late = new Promise<string>((resolve) => server.onClose(resolve));
    assert.equal(await late, 'closed by the peer');
    assert.deepEqual(reasons.sort(), ['client: closed by this side', 'server: closed by the peer']);
    await listener.close();
  },

  async 'what was written before the close arrives'(host) {
    const { listener, accepted } = await listening(host, () => undefined);
    const client = await host.network.connect(listener.address, 1_000);
    await until(host, () => accepted.length === 1);
    client.write(Buffer.from('farewell'));
    client.close();
    assert.equal(text(await received(accepted[0] as Connection, 8)), 'farewell');
    await listener.close();
  },

  async 'closing the listener ends its connections'(host) {
    const { listener } = await listening(host, (connection) => connection.onData(() => undefined));
    const client = await host.network.connect(listener.address, 1_000);
    client.onData(() => undefined);
    const closed = new Promise<string>((resolve) => client.onClose(resolve));
    await listener.close();
    assert.equal(await closed, 'closed by the peer');
    await fails(
      host.network.connect(listener.address, 1_000),
      'partition-unavailable',
      /^127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\)$/,
    );
  },

  async 'an address has one listener at a time'(host) {
    const { listener } = await listening(host, () => undefined);
    await assert.rejects(
      host.network.listen(listener.address, () => undefined),
      /EADDRINUSE/,
    );
    await listener.close();
    await (await host.network.listen(listener.address, () => undefined)).close();
  },
};

async function listening(
  host: Host,
  accept: (connection: Connection) => unknown,
): Promise<{ listener: Listener; accepted: Connection[] }> {
  const accepted: Connection[] = [];
  const listener = await host.network.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    accepted.push(connection);
    accept(connection);
  });
  assert.ok(listener.address.port > 0, 'the system chose a port');
  return { listener, accepted };
}

/** The first `count` bytes. */
function received(connection: Connection, count: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    connection.onData((chunk) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= count) resolve(Buffer.concat(chunks).subarray(0, count));
    });
    connection.onClose((reason) => reject(new Error(`${bytes} of ${count} bytes came, then: ${reason}`)));
  });
}
