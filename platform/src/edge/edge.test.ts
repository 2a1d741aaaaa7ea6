import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, beforeEach, test } from 'node:test';
import { realHost } from '../host/real.ts';
import type { Log } from '../telemetry/log.ts';
import type { Bounds, Topology } from '../topology/topology.ts';
import { type Edge, startEdge } from './edge.ts';

const host = realHost();
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };
const BODY_BYTES_MAX = 10_000;

type Answerer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/** A region's HTTP server as far as the edge can tell. */
class Region {
  readonly name: string;
  readonly code: number;
  port = 0;
  ready = true;
  mayWrite = true;
  requests: string[] = [];
  answer: Answerer = Region.echo;
  #server = createServer();

  constructor(name: string, code: number) {
    this.name = name;
    this.code = code;
  }

  static echo(this: void, request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    response.setHeader('Content-Type', 'application/json');
    response.end(
      JSON.stringify({
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: body.toString(),
      }),
    );
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      if (request.url === '/health/ready') {
        response.writeHead(this.ready ? 200 : 503, { 'cardume-writes': this.mayWrite ? 'yes' : 'no' }).end();
        return;
      }
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.requests.push(`${request.method} ${request.url}`);
        this.answer(request, response, Buffer.concat(chunks));
      });
    });
    await new Promise<void>((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

const east = new Region('us-east', 1);
const west = new Region('us-west', 2);
let edge: Edge;

await Promise.all([east.start(), west.start()]);

async function startEdgeOver(regions: readonly Region[], bounds: Partial<Bounds> = {}): Promise<Edge> {
  const topology = {
    name: 'test',
    edge: { host: '127.0.0.1', port: 0 },
    regions: Object.fromEntries(
      regions.map(({ name, code, port }) => [
        name,
        { code, port, host: '127.0.0.1', peerPort: 1, countries: name === 'us-west' ? ['JP'] : ['BR', '*'] },
      ]),
    ),
    bounds: { bodyBytesMax: BODY_BYTES_MAX, requestTimeoutMs: 5_000, drainTimeoutMs: 2_000, ...bounds },
  } as unknown as Topology;
  const started = await startEdge({ host, topology, log: silent, probeIntervalMs: 50 });
  // The first round trips contain the warming up of both sides.
  await until(() => Object.values(started.health()).every(({ roundTripsMs }) => roundTripsMs.length >= 3));
  return started;
}

async function until(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    assert.ok(performance.now() < endMs, `not within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const url = (path: string, to: Edge = edge): string => `http://127.0.0.1:${to.address.port}${path}`;
const servedBy = (response: Response): string | null => response.headers.get('cardume-served-by');

edge = await startEdgeOver([east, west]);

beforeEach(async () => {
  for (const region of [east, west]) {
    region.ready = true;
    region.mayWrite = true;
    region.requests = [];
    region.answer = Region.echo;
  }
  await until(() => Object.values(edge.health()).every(({ state }) => state === 'up'));
});

after(async () => {
  await edge.drain();
  await Promise.all([east.stop(), west.stop()]);
});

test('a request that says nothing goes to the first of equally near regions, headers and body intact', async () => {
  const response = await fetch(url('/orders?limit=2'), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', traceparent: '00-abc-def-01', Authorization: 'Bearer t' },
    body: '{"a":"é"}',
  });
  assert.equal(response.status, 200);
  assert.equal(servedBy(response), 'us-east');
  const seen = (await response.json()) as { url: string; body: string; headers: Record<string, string> };
  assert.equal(seen.url, '/orders?limit=2');
  assert.equal(seen.body, '{"a":"é"}');
  assert.equal(seen.headers['traceparent'], '00-abc-def-01');
  assert.equal(seen.headers['authorization'], 'Bearer t');
  assert.equal(seen.headers['host'], `127.0.0.1:${edge.address.port}`);
  assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1');
  assert.equal(seen.headers['content-length'], '10');
});

test('header, query and country choose the region; the query is not forwarded', async () => {
  assert.equal(servedBy(await fetch(url('/a'), { headers: { 'Cardume-Region': 'us-west' } })), 'us-west');
  assert.equal(servedBy(await fetch(url('/b?x=1&cardume-region=us-west&y=2'))), 'us-west');
  assert.equal(servedBy(await fetch(url('/c?cardume-region=us-west'))), 'us-west');
  assert.equal(servedBy(await fetch(url('/d'), { headers: { 'Cardume-Client-Country': 'JP' } })), 'us-west');
  assert.equal(servedBy(await fetch(url('/e'), { headers: { 'Cardume-Client-Country': 'FR' } })), 'us-east');
  assert.deepEqual(west.requests, ['GET /a', 'GET /b?x=1&y=2', 'GET /c', 'GET /d']);
});

test('an unknown region is a problem document that names the known ones', async () => {
  const response = await fetch(url('/a?cardume-region=mars'));
  assert.equal(response.status, 400);
  assert.equal(response.headers.get('content-type'), 'application/problem+json');
  const problem = (await response.json()) as { code: string; detail: string; instance: string };
  assert.equal(problem.code, 'invalid-input');
  assert.match(problem.detail, /us-east, us-west/);
  assert.match(problem.instance, /^urn:cardume:request:[0-9a-f]{24}$/);
});

test('statuses, repeated headers and bodies of every size come back as they are', async () => {
  const sizes = [0, 1, 16_384, 16_385, 3_000_000];
  for (const size of sizes) {
    east.answer = (_request, response) => {
      response.writeHead(201, 'Made', [
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'Content-Length',
        String(size),
      ]);
      response.end(Buffer.alloc(size, 0xe9));
    };
    const response = await fetch(url('/x'));
    assert.equal(response.status, 201);
    assert.equal(response.statusText, 'Made');
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.equal(response.headers.get('content-length'), String(size));
    const body = Buffer.from(await response.arrayBuffer());
    assert.equal(body.length, size);
    assert.ok(body.every((byte) => byte === 0xe9));
  }
});

test('HEAD, 204 and 304 have no body', async () => {
  east.answer = (request, response) => {
    if (request.url === '/head') response.writeHead(200, { 'Content-Length': '42' }).end();
    else response.writeHead(Number(request.url?.slice(1))).end();
  };
  const head = await fetch(url('/head'), { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), '42');
  for (const status of [204, 304]) {
    const response = await fetch(url(`/${status}`));
    assert.equal(response.status, status);
    assert.equal(await response.text(), '');
  }
});

test('a region that refuses connections is passed over at once, for any method, since nothing was sent', async () => {
  await east.stop();
  for (const method of ['GET', 'POST', 'DELETE']) {
    const response = await fetch(url('/a'), { method });
    assert.equal(response.status, 200, method);
    assert.equal(servedBy(response), 'us-west');
  }
  await east.start();
});

test('a connection that breaks before the answer: safe and keyed requests go to the next region, once', async () => {
  const breakOff: Answerer = (request) => request.socket.destroy();
  east.answer = breakOff;
  const get = await fetch(url('/a'));
  assert.equal(servedBy(get), 'us-west');
  await until(() => edge.health()['us-east']?.contrary === 0 && edge.health()['us-east']?.state === 'up');

  const keyed = await fetch(url('/orders'), {
    method: 'POST',
    body: '{"n":1}',
    headers: { 'Idempotency-Key': 'k1' },
  });
  assert.equal(servedBy(keyed), 'us-west');
  assert.equal(((await keyed.json()) as { body: string }).body, '{"n":1}', 'the body was sent again');
  await until(() => edge.health()['us-east']?.contrary === 0 && edge.health()['us-east']?.state === 'up');

  west.answer = breakOff;
  const twice = await fetch(url('/b'));
  assert.equal(twice.status, 503);
  assert.equal(((await twice.json()) as { code: string }).code, 'region-unavailable');
  assert.deepEqual(east.requests.concat(west.requests).filter((line) => line === 'GET /b').length, 2);
});

test('a connection that breaks under a request that may not be repeated: the outcome is unknown, and said so', async () => {
  east.answer = (request) => request.socket.destroy();
  const response = await fetch(url('/orders'), { method: 'POST', body: '{}' });
  assert.equal(response.status, 503);
  assert.equal(((await response.json()) as { code: string }).code, 'unknown-outcome');
  assert.equal(response.headers.get('retry-after'), '1');
  assert.deepEqual(west.requests, []);
});

test('a region that stands still is left when it is found down, by all that may be repeated', async () => {
  const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
  east.answer = async (request, response, body) => {
    await woken;
    Region.echo(request, response, body);
  };
  const ask = (path: string, init: RequestInit = {}): Promise<Response> => fetch(url(path), init);
  const waiting = ask('/a');
  const keyedWaiting = ask('/b', { method: 'POST', body: '{"n":1}', headers: { 'Idempotency-Key': 'k' } });
  const unkeyed = ask('/c', { method: 'POST', body: '{}' });
  await until(() => east.requests.length === 3);
  east.ready = false;
  const [read, keyed] = await Promise.all([waiting, keyedWaiting]);
  assert.deepEqual([read.status, servedBy(read), servedBy(keyed)], [200, 'us-west', 'us-west']);
  assert.equal(((await keyed.json()) as { body: string }).body, '{"n":1}');
  assert.deepEqual(west.requests.toSorted(), ['GET /a', 'POST /b']);
  wake();
  assert.equal(servedBy(await unkeyed), 'us-east', 'nobody knows whether it was done: it waits');
});

test('an answer that breaks off is cut off for the client too', async () => {
  east.answer = (_request, response) => {
    response.writeHead(200, { 'Content-Length': '100' });
    response.write('half');
    setImmediate(() => response.destroy());
  };
  await assert.rejects(async () => (await fetch(url('/a'))).text());
});

test('a region that is not ready gets nothing; with none ready there is 503 and Retry-After', async () => {
  east.ready = false;
  await until(() => edge.health()['us-east']?.state === 'down');
  assert.equal(servedBy(await fetch(url('/a'), { headers: { 'Cardume-Region': 'us-east' } })), 'us-west');
  west.ready = false;
  await until(() => edge.health()['us-west']?.state === 'down');
  const response = await fetch(url('/a'));
  assert.equal(response.status, 503);
  assert.equal(response.headers.get('retry-after'), '1');
  assert.equal(((await response.json()) as { code: string }).code, 'region-unavailable');
  assert.deepEqual(east.requests, []);
});

test('a region without a lease to write gets nothing, as long as another has one', async () => {
  const toEast = { headers: { 'Cardume-Region': 'us-east' } };
  east.mayWrite = false;
  await until(() => edge.health()['us-east']?.state === 'down');
  assert.equal(servedBy(await fetch(url('/a'), toEast)), 'us-west');
  west.mayWrite = false;
  await until(() => edge.health()['us-east']?.state === 'up');
  assert.equal(servedBy(await fetch(url('/a'), toEast)), 'us-east');
});

test('server-sent events pass as they come; a client that leaves ends the stream in the region', async () => {
  let stream: ServerResponse | undefined;
  let gone = false;
  east.answer = (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.flushHeaders();
    response.on('close', () => {
      gone = true;
    });
    stream = response;
  };
  const leave = new AbortController();
  const response = await fetch(url('/orders/x/events'), {
    headers: { Accept: 'text/event-stream' },
    signal: leave.signal,
  });
  assert.equal(
    response.headers.get('content-type'),
    'text/event-stream',
    'headers arrive before the first event',
  );
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (const event of ['id: 1\ndata: a\n\n', 'id: 2\ndata: b\n\n']) {
    stream?.write(event);
    const { value } = await reader.read();
    assert.equal(Buffer.from(value as Uint8Array).toString(), event);
  }
  leave.abort();
  await until(() => gone);
});

test('a client that leaves before the answer ends the request in the region, and the connection is not leaked', async () => {
  const closed: string[] = [];
  east.answer = (request, response) => void response.on('close', () => closed.push(request.url as string));
  const leave = new AbortController();
  const asked = fetch(url('/slow'), { signal: leave.signal });
  await until(() => east.requests.includes('GET /slow'));
  leave.abort();
  await assert.rejects(asked);
  await until(() => closed.includes('/slow'));
  assert.equal(
    edge.health()['us-east']?.state,
    'up',
    'a client that leaves does not speak against the region',
  );
});

test('a slow reader holds back the region instead of filling the memory of the edge', async () => {
  const total = 64 * 1024 * 1024;
  let written = 0;
  east.answer = (_request, response) => {
    response.writeHead(200, { 'Content-Length': String(total) });
    const chunk = Buffer.alloc(64 * 1024);
    const more = (): void => {
      while (written < total) {
        written += chunk.length;
        if (!response.write(chunk)) {
          response.once('drain', more);
          return;
        }
      }
      response.end();
    };
    more();
  };
  const asked = send(url('/big'), { agent: false });
  const response = await new Promise<IncomingMessage>((resolve) => asked.on('response', resolve).end());
  response.pause();
  let last = -1;
  while (last !== written) {
    last = written;
    await new Promise((resolve) => setTimeout(resolve, 100)); // until nothing moves any more
  }
  assert.ok(written < total / 2, `${written} bytes left the region while nobody read`);
  let got = 0;
  for await (const chunk of response) got += (chunk as Buffer).length;
  assert.equal(got, total);
});

test('bodies over the bound are refused, announced or not, and reach no region', async () => {
  const large = 'x'.repeat(BODY_BYTES_MAX + 1);
  const announced = await fetch(url('/orders'), { method: 'POST', body: large });
  assert.equal(announced.status, 413);
  assert.equal(((await announced.json()) as { code: string }).code, 'body-too-large');
  const chunked = await fetch(url('/orders'), {
    method: 'POST',
    body: new Blob([large, large]).stream(),
    duplex: 'half',
  } as RequestInit);
  assert.equal(chunked.status, 413);
  const fits = await fetch(url('/orders'), { method: 'POST', body: 'x'.repeat(BODY_BYTES_MAX) });
  assert.equal(fits.status, 200);
  assert.deepEqual(east.requests, ['POST /orders']);
});

test('what is not HTTP gets a problem document too', async () => {
  const say = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(edge.address.port, '127.0.0.1', () => socket.write(text));
      let heard = '';
      socket
        .on('data', (chunk) => (heard += chunk))
        .on('close', () => resolve(heard))
        .on('error', reject);
    });
  assert.match(await say('NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 .*"code":"invalid-input"/s);
  assert.match(
    await say(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 .*headers-too-large/s,
  );
  assert.match(
    await say('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'),
    /^HTTP\/1\.1 400 /,
  );
  assert.match(await say('OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(
    await say('GET http://a/b?c=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
    /"url":"\/b\?c=1"/,
  );
});

test('a drain lets requests finish, ends event streams, and takes no new connection', async () => {
  const own = await startEdgeOver([east]);
  let finish = (): void => {};
  east.answer = (request, response) => {
    if (request.url === '/events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: a\n\n');
    } else finish = () => void response.end('done');
  };
  const events = await fetch(url('/events', own), { headers: { Accept: 'text/event-stream' } });
  const asked = fetch(url('/slow', own));
  await until(() => east.requests.includes('GET /slow'));
  const drained = own.drain();
  assert.equal(await events.text(), 'data: a\n\n');
  await assert.rejects(fetch(url('/late', own), { headers: { Connection: 'close' } }));
  finish();
  assert.equal(await (await asked).text(), 'done');
  const startMs = performance.now();
  await drained;
  assert.ok(performance.now() - startMs < 1_000);
});

test('a drain cuts what does not end in time', async () => {
  const own = await startEdgeOver([east], { drainTimeoutMs: 100 });
  east.answer = () => {};
  const asked = fetch(url('/never', own));
  await until(() => east.requests.includes('GET /never'));
  await Promise.all([own.drain(), assert.rejects(asked)]);
});
