/** What an HTTP client would never send, over plain sockets. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { type ErrorCode, errors } from '../base/errors.ts';
import { openSample } from './gateway.fixture.ts';

const REQUEST_TIMEOUT_MS = 300;
const bounds = {
  bodyBytesMax: 16_384,
  requestTimeoutMs: REQUEST_TIMEOUT_MS,
  drainTimeoutMs: 2_000,
  requestsPerMinute: 60_000_000,
  subscribersMax: 10,
};
const sample = await openSample({ bounds });
after(() => sample.gateway.close());
const token = sample.tokens.issue({ id: 'usr_1', role: 'customer' }).token;

interface Answer {
  readonly text: string;
  readonly status: number;
  readonly closed: boolean;
}

/** Sends pieces one after another and collects what comes until the socket ends, or until `enough`. */
function exchange(pieces: readonly (string | Buffer)[], enough?: RegExp): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(sample.address.port, '127.0.0.1');
    let text = '';
    const limit = setTimeout(() => done(false), 5_000);
    function done(closed: boolean): void {
      clearTimeout(limit);
      socket.destroy();
      resolve({ text, status: Number(text.split(' ')[1] ?? 0), closed });
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (enough?.test(text)) done(false);
    });
    socket.on('close', () => done(true));
    // A server that closes while we write resets the connection; what it said before is what counts.
    socket.on('error', (error) =>
      (error as { code?: string }).code === 'ECONNRESET' ? undefined : reject(error),
    );
    for (const piece of pieces) socket.write(piece);
  });
}

function isProblem(answer: Answer, code: ErrorCode): void {
  assert.equal(answer.status, errors[code].status, answer.text);
  assert.match(answer.text, /content-type: application\/problem\+json/i);
  const [head, body] = answer.text.split('\r\n\r\n') as [string, string];
  const problem = JSON.parse(body);
  assert.equal(problem.code, code);
  const id = /x-request-id: ([0-9a-f]{32})/i.exec(head)?.[1];
  assert.equal(problem.instance, `urn:cardume:request:${id}`);
  assert.equal(Number(/content-length: (\d+)/i.exec(head)?.[1]), Buffer.byteLength(body));
}

const head = (line: string, ...more: string[]): string => [line, 'host: x', ...more, '', ''].join('\r\n');
const post = (...more: string[]): string =>
  head('POST /orders HTTP/1.1', `authorization: Bearer ${token}`, 'content-type: application/json', ...more);

describe('refused and closed', () => {
  const cases: readonly (readonly [string, ErrorCode, readonly (string | Buffer)[]])[] = [
    ['no HTTP at all', 'invalid-input', ['hello\r\n\r\n']],
    ['an unknown method', 'invalid-input', [head('BREW /pot HTTP/1.1')]],
    ['a broken version', 'invalid-input', [head('GET / HTTP/9.9')]],
    ['a header without a name', 'invalid-input', [head('GET / HTTP/1.1', ': x')]],
    ['a NUL in a header', 'invalid-input', [head('GET / HTTP/1.1', 'x: a\0b')]],
    ['no host', 'invalid-input', ['GET /products/1 HTTP/1.1\r\nconnection: close\r\n\r\n']],
    ['two lengths', 'invalid-input', [post('content-length: 2', 'content-length: 3')]],
    ['a length and chunks', 'invalid-input', [post('content-length: 2', 'transfer-encoding: chunked')]],
    ['a chunk that is none', 'invalid-input', [post('transfer-encoding: chunked'), 'zz\r\n']],
    ['headers that are too large', 'headers-too-large', [head('GET / HTTP/1.1', `x: ${'x'.repeat(20_000)}`)]],
    ['a path that is too long', 'headers-too-large', [head(`GET /${'x'.repeat(20_000)} HTTP/1.1`)]],
    ['headers that never end', 'request-timeout', ['GET /products/1 HTTP/1.1\r\nhost: x\r\n']],
    ['a body that never comes', 'request-timeout', [post('content-length: 100'), '{"cur']],
    ['chunks that never end', 'request-timeout', [post('transfer-encoding: chunked'), '5\r\n{"cur\r\n']],
    ['a length beyond the bound', 'body-too-large', [post('content-length: 20000'), '{']],
    [
      'chunks beyond the bound',
      'body-too-large',
      [post('transfer-encoding: chunked'), `5000\r\n${' '.repeat(0x5000)}\r\n`],
    ],
    ['UTF-8 cut in the middle', 'bad-json', [post('content-length: 3'), Buffer.from('22c322', 'hex')]],
  ];
  for (const [what, code, pieces] of cases) {
    test(`${what}: ${code}`, { timeout: 5_000 }, async () => {
      const before = sample.seen.length;
      const answer = await exchange(pieces);
      isProblem(answer, code);
      assert.equal(answer.closed, true);
      assert.equal(sample.seen.length, before);
    });
  }
});

test('a slow client that is quick enough is served', async () => {
  const answer = await exchange(['GET /products/1 HT', 'TP/1.1\r\nhost', ': x\r\nconnection: close\r\n\r\n']);
  assert.equal(answer.status, 200);
});

test('requests in one packet are answered in order on one connection', async () => {
  const two = `${head('GET /products/1 HTTP/1.1')}${head('GET /nothing HTTP/1.1', 'connection: close')}`;
  const { text } = await exchange([two]);
  assert.match(text, /^HTTP\/1\.1 200 OK[\s\S]+HTTP\/1\.1 404 Not Found/);
});

test('a refused body closes the connection, so that its rest is not read as a request', async () => {
  const smuggled = head('DELETE /orders/1 HTTP/1.1', `authorization: Bearer ${token}`);
  const { text, closed } = await exchange([post('content-length: 20000'), smuggled]);
  assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1, text);
  assert.equal(closed, true);
});

test('a client that leaves ends the signal of its operation', async () => {
  const before = sample.seen.length;
  const socket = connect(sample.address.port, '127.0.0.1');
  socket.write(head('POST /orders/1/slow HTTP/1.1'));
  while (sample.seen.length === before) await new Promise((resolve) => setImmediate(resolve));
  const { signal } = (sample.seen[before] as (typeof sample.seen)[number]).context as { signal: AbortSignal };
  assert.equal(signal.aborted, false);
  const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
  socket.destroy();
  await aborted;
});
