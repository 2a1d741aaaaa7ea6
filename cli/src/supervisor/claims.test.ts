import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { realHost } from 'cardume/host/real';
import type { Topology } from 'cardume/topology';
import { Failure } from '../failure.ts';
import { checkPorts, claimFolder } from './claims.ts';

const host = realHost();

test('a port that another program has is named, with what to do', async () => {
  const taken = await host.network.listen({ host: '127.0.0.1', port: 0 }, () => {});
  const { port } = taken.address;
  const free = await host.network.listen({ host: '127.0.0.1', port: 0 }, () => {});
  await free.close();
  const topology = {
    edge: { host: '127.0.0.1', port: free.address.port },
    regions: { a: { host: '127.0.0.1', port, peerPort: port } },
  } as unknown as Topology;
  await assert.rejects(checkPorts(host, topology, ['a']), (error) => {
    assert.ok(error instanceof Failure);
    assert.equal(
      error.message,
      `Port ${port} for region a cannot be used: another program listens on 127.0.0.1:${port}.`,
    );
    assert.match(error.next, /--port 18080/);
    return true;
  });
  await checkPorts(host, topology, []);
  await taken.close();
});

test('the port of the DNS server must be free on TCP and on UDP', async () => {
  const listener = await host.network.listen({ host: '127.0.0.1', port: 0 }, () => {});
  const { port } = listener.address;
  const edge = { host: '127.0.0.1', port: 0, dns: { port } };
  const topology = { edge, regions: {} } as unknown as Topology;
  const message = `Port ${port} for the DNS server cannot be used: another program listens on 127.0.0.1:${port}.`;
  await assert.rejects(checkPorts(host, topology, []), { message });
  await listener.close();
  await checkPorts(host, topology, []);
  const udp = createSocket('udp4');
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
  await assert.rejects(checkPorts(host, topology, []), { message });
  udp.close();
});

test('a folder belongs to one supervisor at a time', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-claims-'));
  t.after(() => rm(folder, { recursive: true }));
  const release = await claimFolder(host, folder);
  await assert.rejects(claimFolder(host, folder), (error) => {
    assert.ok(error instanceof Failure);
    assert.match(error.message, /^Another Cardume uses the folder /);
    assert.match(error.next, /--data FOLDER/);
    return true;
  });
  release();
  (await claimFolder(host, folder))();
});
