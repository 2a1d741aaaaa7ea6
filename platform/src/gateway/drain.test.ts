import assert from 'node:assert/strict';
import { Agent, get, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { openSample, type SampleGateway } from './gateway.fixture.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function asked(url: string, agent: Agent, method = 'GET'): Promise<IncomingMessage & { text: string }> {
  return new Promise((resolve, reject) => {
    request(url, { agent, method }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      response.on('end', () => resolve(Object.assign(response, { text })));
    })
      .on('error', reject)
      .end();
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

const open = (sample: SampleGateway): number => sample.options.metrics.connections('sample').open;

test('during the notice everything is served, ready says 503, and connections are told to close', async () => {
  const sample = await openSample();
  const agent = new Agent({ keepAlive: true });
  assert.equal((await asked(`${sample.url}/health/ready`, agent)).statusCode, 200);
  const drained = sample.gateway.drain(200);
  const ready = await asked(`${sample.url}/health/ready`, agent);
  assert.equal(ready.statusCode, 503);
  assert.deepEqual(JSON.parse(ready.text).reasons, ['the instance is shutting down']);
  assert.equal((await asked(`${sample.url}/health/live`, agent)).statusCode, 200);
  const product = await asked(`${sample.url}/products/1`, agent);
  assert.deepEqual([product.statusCode, product.headers.connection], [200, 'close']);
  await drained;
  await assert.rejects(asked(`${sample.url}/products/1`, agent), /ECONNREFUSED|ECONNRESET/);
  agent.destroy();
});

test('a drain waits for requests under way, ends event streams, closes idle connections, and refuses new ones', async () => {
  const sample = await openSample();
  const slowAgent = new Agent({ keepAlive: true });
  const idleAgent = new Agent({ keepAlive: true });
  await asked(`${sample.url}/products/1`, idleAgent);
  const stream = asked(`${sample.url}/orders/live/events`, new Agent());
  await until(() => open(sample) === 1);
  let finish: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const slowGateway = await openSample({
    forward: async () => {
      await held;
      return { status: 200, body: { late: true } };
    },
  });
  const slow = asked(`${slowGateway.url}/orders/1/far`, slowAgent, 'POST');
  await until(() => open(slowGateway) === 1);

  const drainedStream = sample.gateway.drain();
  assert.match((await stream).text, /id: 3/);
  await drainedStream;

  let isDrained = false;
  const drained = slowGateway.gateway.drain().then(() => {
    isDrained = true;
  });
  await assert.rejects(asked(`${slowGateway.url}/products/1`, new Agent()), /ECONNREFUSED/);
  assert.equal(isDrained, false);
  finish?.();
  const late = await slow;
  assert.deepEqual([late.statusCode, late.text, late.headers.connection], [200, '{"late":true}', 'close']);
  await drained;
  for (const agent of [slowAgent, idleAgent]) agent.destroy();
});

test('a drain is bounded: what hangs is cut, and its signal ends', async () => {
  const sample = await openSample({
    bounds: {
      bodyBytesMax: 1_000,
      requestTimeoutMs: 60_000,
      drainTimeoutMs: 100,
      requestsPerMinute: 1_000,
      subscribersMax: 1,
    },
  });
  const cut = assert.rejects(
    asked(`${sample.url}/orders/1/slow`, new Agent(), 'POST'),
    /ECONNRESET|socket hang up/,
  );
  await until(() => sample.seen.length === 1);
  const halfSent = connect(sample.address.port, '127.0.0.1').on('error', () => {});
  halfSent.write('GET /products/1 HT');
  await sample.gateway.drain();
  await cut;
  const context = sample.seen[0]?.context as { signal: AbortSignal } | undefined;
  assert.equal(context?.signal.aborted, true);
  assert.ok(sample.lines.some((line) => line.includes('the drain took too long')));
  halfSent.destroy();
});

test('draining twice is draining once; a gateway that never listened drains too', async () => {
  const sample = await openSample();
  assert.equal(sample.gateway.drain(), sample.gateway.drain());
  await sample.gateway.drain();
  await sample.gateway.close();
  await new Promise<void>((resolve) => {
    get(`${sample.url}/health/live`).on('error', () => resolve());
  });
});
