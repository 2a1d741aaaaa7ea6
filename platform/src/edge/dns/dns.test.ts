/** The server on real sockets, asked by `dig` and by Node's resolver (c-ares). */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import config from '../../../../cardume.config.ts';
import { realHost } from '../../host/real.ts';
import type { Log } from '../../telemetry/log.ts';
import type { DnsTopology, Topology } from '../../topology/topology.ts';
import { type Edge, startEdge } from '../edge.ts';
import type { HealthTable } from '../health.ts';
import { dig, withoutDig } from './dig.fixture.ts';
import { openDns } from './dns.ts';
import { health, queryOf, replyOf } from './messages.fixture.ts';
import { CONNECTIONS_PER_NETWORK_MAX, IDLE_TIMEOUT_MS, type Sockets } from './sockets.ts';

const host = realHost();
const warnings: string[] = [];
const log: Log = {
  debug() {},
  info() {},
  warn: (m) => void warnings.push(m),
  error: (m) => void warnings.push(m),
  with: () => log,
};
const NAME = 'shop.cardume.test';
const addresses = {
  'us-east': ['198.51.100.1', '2001:db8:1::1'],
  'us-west': ['198.51.100.2', '2001:db8:2::1'],
  'eu-west': ['198.51.100.3', '2001:db8:3::1'],
};
const base: DnsTopology = {
  port: 0,
  zone: 'cardume.test',
  name: 'shop',
  policy: 'latency',
  addresses,
  queriesPerS: 100_000,
};
let table: HealthTable = {};
const allUp = { 'us-east': health('up', 1), 'us-west': health('up', 45), 'eu-west': health('up', 90) };

const opened: Sockets[] = [];
async function open(changes: Partial<DnsTopology> = {}, clock = host.clock): Promise<number> {
  const topology = { ...config, edge: { ...config.edge, host: changes.host ?? '127.0.0.1' } };
  const dns = { ...base, address: '127.0.0.1', ...changes };
  const sockets = await openDns({ topology, dns, host: { clock }, log, health: () => table });
  opened.push(sockets);
  return sockets.address.port;
}
after(async () => {
  await Promise.all(opened.map((sockets) => sockets.drain(100)));
});

const resolverOf = (port: number, at = '127.0.0.1'): Resolver => {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  resolver.setServers([at.includes(':') ? `[${at}]:${port}` : `${at}:${port}`]);
  return resolver;
};
const lines = (text: string): string[] => text.trim().split('\n');
const short = async (port: number, ...args: string[]): Promise<string[]> =>
  lines(await dig(port, '+short', ...args));

before(() => {
  table = allUp;
});

test('Node`s resolver gets addresses, text, SOA and NS, and the errors of names that are not there', async () => {
  const resolver = resolverOf(await open());
  assert.deepEqual(await resolver.resolve4(NAME, { ttl: true }), [{ address: '198.51.100.1', ttl: 5 }]);
  assert.deepEqual(await resolver.resolve6(NAME), ['2001:db8:1::1']);
  assert.deepEqual(await resolver.resolveTxt(NAME), [['region=us-east', 'port=8081']]);
  assert.deepEqual(await resolver.resolveNs('cardume.test'), ['ns.cardume.test']);
  assert.equal((await resolver.resolveSoa('cardume.test')).minttl, 5);
  await assert.rejects(resolver.resolve4('nobody.cardume.test'), { code: 'ENOTFOUND' });
  await assert.rejects(resolver.resolveMx(NAME), { code: 'ENODATA' });
  await assert.rejects(resolver.resolve4('example.com'), { code: 'EREFUSED' });
});

test('over IPv6 too, where a client of IPv4 is one of IPv4', async (t) => {
  const geo = { policy: 'geo', networks: { '127.0.0.0/8': 'eu-west' } } as const;
  const port = await open({ host: '::', ...geo }).catch(() => null);
  if (port === null) return t.skip('this machine has no IPv6');
  assert.deepEqual(
    await resolverOf(port, '::1').resolve4(NAME),
    ['198.51.100.3'],
    'no network: * stands at eu-west',
  );
  const west = await open({ host: '::', policy: 'geo', networks: { '127.0.0.0/8': 'us-west' } });
  assert.deepEqual(await resolverOf(west, '::1').resolve4(NAME), ['198.51.100.3']);
  assert.deepEqual(await resolverOf(west, '127.0.0.1').resolve4(NAME), ['198.51.100.2']);
});

describe('dig', { skip: withoutDig }, () => {
  test('sees an authoritative answer, over UDP and TCP, with its letters as it asked', async () => {
    const port = await open();
    for (const by of ['+notcp', '+tcp']) {
      const text = await dig(port, by, 'sHoP.cardume.TEST', 'A');
      assert.match(text, /status: NOERROR/);
      assert.match(text, /flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1/);
      assert.match(text, /EDNS: version: 0, flags:; udp: 1232/);
      assert.match(text, /^sHoP\.cardume\.TEST\.\s+5\s+IN\s+A\s+198\.51\.100\.1$/m);
      assert.doesNotMatch(text, /malformed|extra bytes|mismatch/i);
    }
  });

  test('sees every kind of refusal by its name', async () => {
    const port = await open();
    const status = async (...args: string[]): Promise<string | undefined> =>
      /status: (\w+)/.exec(await dig(port, ...args))?.[1];
    assert.equal(await status('nobody.cardume.test'), 'NXDOMAIN');
    assert.equal(await status('example.com'), 'REFUSED');
    assert.equal(await status('+opcode=NOTIFY', 'cardume.test', 'SOA'), 'NOTIMP');
    assert.equal(await status('-c', 'CH', 'version.bind', 'TXT'), 'REFUSED');
    assert.equal(await status('+edns=1', '+noednsnegotiation', NAME), 'BADVERS');
    assert.match(await dig(port, '+tcp', 'cardume.test', 'AXFR'), /Transfer failed/);
    const nodata = await dig(port, NAME, 'MX');
    assert.match(nodata, /NOERROR.*\n.*ANSWER: 0, AUTHORITY: 1/);
    assert.match(
      nodata,
      /^cardume\.test\.\s+5\s+IN\s+SOA\s+ns\.cardume\.test\. hostmaster\.cardume\.test\. \d+ 86400 7200 3600000 5$/m,
    );
    assert.match(await dig(port, NAME, 'ANY'), /HINFO\s+"RFC8482" ""/);
    assert.match(
      await dig(port, 'cardume.test', 'NS'),
      /^ns\.cardume\.test\.\s+3600\s+IN\s+A\s+127\.0\.0\.1$/m,
    );
  });

  test('tells a client`s network, and sees how much of it mattered', async () => {
    const port = await open({
      policy: 'geo',
      networks: { '203.0.113.0/24': 'us-west', '2001:db8::/32': 'BR' },
    });
    const text = await dig(port, '+subnet=203.0.113.0/24', NAME);
    assert.match(text, /CLIENT-SUBNET: 203\.0\.113\.0\/24\/24/);
    assert.match(text, /198\.51\.100\.2/);
    assert.match(
      await dig(port, '+subnet=2001:db8:7::/48', NAME),
      /CLIENT-SUBNET: 2001:db8:7::\/48\/32[\s\S]*198\.51\.100\.1/,
    );
    assert.match(
      await dig(port, '+subnet=192.0.2.0/24', NAME),
      /CLIENT-SUBNET: 192\.0\.2\.0\/24\/5[\s\S]*198\.51\.100\.3/,
    );
    assert.match(
      await dig(port, '+subnet=0', NAME),
      /CLIENT-SUBNET: 0\.?[\d./]*\/0\/0[\s\S]*198\.51\.100\.3/,
    );
  });

  test('comes again over TCP when an answer is cut', async () => {
    const eight = (of: number): string[] => Array.from({ length: 8 }, (_, i) => `2001:db8:${of}::${i + 1}`);
    const wide = { 'us-east': eight(1), 'us-west': eight(2), 'eu-west': eight(3) };
    const port = await open({ addresses: wide });
    table = { 'us-east': health('down'), 'us-west': health('down'), 'eu-west': health('down') };
    try {
      assert.match(
        await dig(port, '+noedns', '+ignore', NAME, 'AAAA'),
        /flags: qr aa tc rd; QUERY: 1, ANSWER: 0/,
      );
      const whole = await dig(port, '+noedns', NAME, 'AAAA');
      assert.match(whole, /Truncated, retrying in TCP mode[\s\S]*ANSWER: 24/);
      assert.match(await dig(port, NAME, 'AAAA'), /ANSWER: 24[\s\S]*\(UDP\)/);
    } finally {
      table = allUp;
    }
  });
});

/** A region as far as health is concerned. */
async function region(): Promise<{ readonly port: number; ready: boolean; stop(): void }> {
  const state = { port: 0, ready: true, stop: () => void server.close() };
  const server = createHttpServer((_, response) => response.writeHead(state.ready ? 200 : 503).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  state.port = (server.address() as AddressInfo).port;
  return state;
}

test('failover: a region goes down, and within two probes the next one is told', async (t) => {
  const PROBE_MS = 200;
  const all = await Promise.all([region(), region(), region()]);
  const names = Object.keys(addresses);
  const topology = {
    ...config,
    regions: Object.fromEntries(
      names.map((name, i) => [name, { ...config.regions[name], port: all[i]?.port }]),
    ),
    edge: {
      host: '127.0.0.1',
      port: 0,
      dns: { ...base, policy: 'failover', order: ['us-west', 'eu-west', 'us-east'] },
    },
  } as unknown as Topology;
  const edge: Edge = await startEdge({ host, topology, log, probeIntervalMs: PROBE_MS });
  t.after(async () => {
    await edge.drain();
    for (const one of all) one.stop();
  });
  const port = edge.dns?.port as number;
  const resolver = resolverOf(port);
  const told = async (): Promise<string> =>
    withoutDig === false
      ? ((await short(port, NAME))[0] as string)
      : ((await resolver.resolve4(NAME))[0] as string);
  const until = async (wanted: string): Promise<number> => {
    const begunMs = performance.now();
    while ((await told()) !== wanted) assert.ok(performance.now() - begunMs < 5_000, `not ${wanted}`);
    return performance.now() - begunMs;
  };
  assert.equal(await told(), '198.51.100.2');
  (all[1] as { ready: boolean }).ready = false;
  // Two probes, and what a busy machine adds to them.
  assert.ok((await until('198.51.100.3')) < 2 * PROBE_MS + 700);
  assert.equal(edge.health()['us-west']?.state, 'down');
  (all[2] as { ready: boolean }).ready = false;
  await until('198.51.100.1');
  (all[0] as { ready: boolean }).ready = false;
  const begunMs = performance.now();
  while ((await resolver.resolve4(NAME)).length !== 3) assert.ok(performance.now() - begunMs < 5_000);
  (all[1] as { ready: boolean }).ready = true;
  await until('198.51.100.2');
});

test('an edge whose DNS port is taken does not start, and leaves nothing open', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  const edgePort = await freePort();
  const dns = { ...base, port };
  const topology: Topology = { ...config, edge: { host: '127.0.0.1', port: edgePort, dns } };
  await assert.rejects(startEdge({ host, topology, log, probeIntervalMs: 50 }), { code: 'EADDRINUSE' });
  const again = createServer();
  await listening(again, edgePort);
  again.close();
  taken.close();
  // Taken on UDP alone: the same, and the TCP side is let go.
  const udp = createSocket('udp4');
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
  await assert.rejects(open({ port }), { code: 'EADDRINUSE' });
  const free = createServer();
  await listening(free, port);
  free.close();
  udp.close();
});

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}
async function freePort(): Promise<number> {
  const server = createServer();
  await listening(server, 0);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const framed = (message: Buffer): Buffer => {
  const prefix = Buffer.alloc(2);
  prefix.writeUInt16BE(message.length);
  return Buffer.concat([prefix, message]);
};

/** A TCP client; answers as they come, and whether the server has ended the connection. */
async function tcp(port: number): Promise<{ socket: Socket; answers: Buffer[]; ended: Promise<void> }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const answers: Buffer[] = [];
  let rest = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      answers.push(rest.subarray(2, 2 + rest.readUInt16BE(0)));
      rest = rest.subarray(2 + rest.readUInt16BE(0));
    }
  });
  const ended = new Promise<void>((resolve) => {
    socket.once('end', resolve);
    socket.once('close', () => resolve());
  });
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return { socket, answers, ended };
}

async function until(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    assert.ok(performance.now() < endMs, `not within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('TCP', () => {
  test('takes queries in pieces and several at once, and answers all before it ends', async () => {
    const port = await open();
    const one = await tcp(port);
    for (const byte of framed(queryOf({ id: 1 }))) {
      one.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => one.answers.length === 1);
    const many = Array.from({ length: 5_000 }, (_, id) => framed(queryOf({ id })));
    one.socket.end(Buffer.concat(many));
    await one.ended;
    assert.deepEqual(
      one.answers.slice(1).map((answer) => replyOf(answer).id),
      Array.from({ length: 5_000 }, (_, id) => id),
    );
    one.socket.destroy();
  });

  test('a client that does not read is not read from either, and gets everything later', async () => {
    // What fits into the buffers of both sides may be more than a second's budget.
    const port = await open({ queriesPerS: 100_000_000 });
    const { socket, answers } = await tcp(port);
    socket.pause();
    const batch = Buffer.concat(Array.from({ length: 500 }, (_, id) => framed(queryOf({ id, edns: {} }))));
    let sent = 0;
    // Until both sides' buffers are full: then the server has stopped reading.
    while (socket.write(batch) || (await drained(socket))) {
      sent += 1;
      assert.ok(sent < 20_000, 'the server reads without end');
    }
    sent += 1;
    socket.resume();
    await until(() => answers.length === sent * 500, 60_000);
    socket.destroy();
  });

  async function drained(socket: Socket): Promise<boolean> {
    const stop = AbortSignal.timeout(500);
    return new Promise((resolve) => {
      socket.once('drain', () => resolve(true));
      stop.addEventListener('abort', () => resolve(false), { once: true });
    });
  }

  test('ends with what is no query, what is too long, and what waits too long', async () => {
    const callbacks = new Set<() => void>();
    const clock = {
      ...host.clock,
      after(delayMs: number, callback: () => void) {
        assert.equal(delayMs, IDLE_TIMEOUT_MS);
        callbacks.add(callback);
        return { cancel: () => void callbacks.delete(callback) };
      },
    };
    const port = await open({}, clock);
    for (const bad of [
      framed(Buffer.alloc(5)),
      framed(queryOf({ flags: 0x8000 })),
      Buffer.of(0x10, 0x01),
      Buffer.of(0, 0),
    ]) {
      const client = await tcp(port);
      client.socket.write(bad);
      await client.ended;
      client.socket.destroy();
    }
    await until(() => callbacks.size === 0);
    const slow = await tcp(port);
    await until(() => callbacks.size === 1);
    const first = [...callbacks][0];
    slow.socket.write(framed(queryOf({})));
    await until(() => slow.answers.length === 1);
    assert.equal(callbacks.size, 1);
    assert.notEqual([...callbacks][0], first, 'a query begins the time anew');
    const second = [...callbacks][0] as () => void;
    slow.socket.write(framed(queryOf({})).subarray(0, 9));
    const later = await tcp(port);
    later.socket.write(framed(queryOf({})));
    await until(() => later.answers.length === 1);
    assert.equal([...callbacks][0], second, 'some bytes do not');
    later.socket.destroy();
    second();
    await slow.ended;
    opened.pop(); // its clock would not let it drain
  });

  test('a network has so many connections, and a new one when one has ended', async () => {
    const port = await open();
    const clients = await Promise.all(Array.from({ length: CONNECTIONS_PER_NETWORK_MAX }, () => tcp(port)));
    for (const { socket } of clients) socket.write(framed(queryOf({})));
    await until(() => clients.every(({ answers }) => answers.length === 1));
    const late = await tcp(port);
    await late.ended;
    clients[0]?.socket.destroy();
    for (;;) {
      const next = await tcp(port);
      next.socket.write(framed(queryOf({})));
      await Promise.race([until(() => next.answers.length === 1), next.ended]);
      next.socket.destroy();
      if (next.answers.length === 1) break;
    }
    for (const { socket } of clients) socket.destroy();
  });
});

test('drain: what is asked is answered, idle clients are told the end, then nobody listens', async () => {
  const port = await open();
  const sockets = opened.pop() as Sockets;
  const idle = await tcp(port);
  idle.socket.write(framed(queryOf({})));
  await until(() => idle.answers.length === 1);
  void idle.ended.then(() => idle.socket.end());
  await sockets.drain(5_000);
  await idle.ended;
  await assert.rejects(resolverOf(port).resolve4(NAME));
});

test('a network that asks too much over UDP comes by TCP; its flood does not stop it there', async () => {
  const port = await open({ queriesPerS: 10 });
  const udp = createSocket('udp4');
  const replies: number[] = [];
  udp.on('message', (message) => replies.push(replyOf(message).flags & 0x0200));
  for (let id = 0; id < 200; id += 1) udp.send(queryOf({ id }), port, '127.0.0.1');
  await until(() => replies.length >= 105);
  assert.ok(warnings.includes('a network asks the DNS server more than it may'));
  const { socket, answers } = await tcp(port);
  socket.write(framed(queryOf({})));
  await until(() => answers.length === 1);
  assert.equal(replyOf(answers[0] as Buffer).answers.length, 1);
  socket.destroy();
  udp.close();
  assert.deepEqual([replies.length, replies.filter((cut) => cut === 0).length], [105, 10]);
});

test('bytes at random over UDP leave the server as it was', async () => {
  const port = await open();
  const udp = createSocket('udp4');
  for (let i = 0; i < 500; i += 1) udp.send(host.random.bytes(i % 80), port, '127.0.0.1');
  const warned = warnings.length;
  assert.deepEqual(await resolverOf(port).resolve4(NAME), ['198.51.100.1']);
  assert.equal(warnings.length, warned);
  udp.close();
});
