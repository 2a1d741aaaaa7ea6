import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, describe, test } from 'node:test';
import { realHost } from '../host/real.ts';
import { type EventSink, formatEvent, streamEvents } from './event-stream.ts';
import { openSample } from './gateway.fixture.ts';
import type { ServerSentEvent } from './operation.ts';

const event = (n: number): ServerSentEvent => ({ id: String(n), event: 'Moved', data: { n } });
const text = (n: number): string => `id: ${n}\nevent: Moved\ndata: {"n":${n}}\n\n`;

/** A clock whose timers fire by hand, and a client that takes what it likes. */
function stage() {
  const timers = new Map<object, { atMs: number; callback: () => void }>();
  let nowMs = 0;
  const clock = {
    ...realHost().clock,
    after(delayMs: number, callback: () => void) {
      const timer = { cancel: () => void timers.delete(timer) };
      timers.set(timer, { atMs: nowMs + delayMs, callback });
      return timer;
    },
  };
  const client = { got: '', takes: true, ended: false, cut: false, drained: () => {} };
  const sink: EventSink = {
    write(piece) {
      client.got += piece;
      return client.takes;
    },
    onceDrained: (listener) => {
      client.drained = listener;
    },
    end: () => {
      client.ended = true;
    },
    destroy: () => {
      client.cut = true;
    },
  };
  const failures: unknown[] = [];
  const options = {
    clock,
    heartbeatMs: 100,
    stalledMs: 50,
    onFailure: (error: unknown) => void failures.push(error),
  };
  const advance = (ms: number): void => {
    nowMs += ms;
    for (const [timer, { atMs, callback }] of [...timers]) {
      if (atMs > nowMs) continue;
      timers.delete(timer);
      callback();
    }
  };
  return { client, sink, options, failures, timers, advance };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a stream', () => {
  test('sends each event and ends with its source', async () => {
    const { client, sink, options, timers } = stage();
    const source = (async function* () {
      yield event(1);
      yield event(2);
    })();
    await streamEvents(source, sink, options).ended;
    assert.equal(client.got, `retry: 2000\n\n${text(1)}${text(2)}`);
    assert.deepEqual([client.ended, client.cut, timers.size], [true, false, 0]);
  });

  test('keeps an idle connection open with comments, and stops in order', async () => {
    const { client, sink, options, timers, advance } = stage();
    let returned = false;
    const source: AsyncIterable<ServerSentEvent> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: async () => {
          returned = true;
          return { done: true, value: undefined };
        },
      }),
    };
    const stream = streamEvents(source, sink, options);
    await turn();
    advance(100);
    advance(100);
    assert.equal(client.got, 'retry: 2000\n\n:\n\n:\n\n');
    stream.stop();
    stream.stop();
    await stream.ended;
    assert.deepEqual([client.ended, returned, timers.size], [true, true, 0]);
  });

  test('pulls nothing while the client is slow, goes on when it drains, and cuts one that stalls', async () => {
    const { client, sink, options, advance } = stage();
    let pulled = 0;
    const source = (async function* () {
      for (;;) {
        pulled += 1;
        yield event(pulled);
      }
    })();
    client.takes = false;
    const stream = streamEvents(source, sink, options);
    await turn();
    assert.equal(pulled, 0);
    client.drained();
    await turn();
    assert.equal(pulled, 1);
    advance(49);
    await turn();
    assert.deepEqual([pulled, client.cut], [1, false]);
    advance(1);
    await stream.ended;
    assert.deepEqual([pulled, client.cut, client.ended], [1, true, false]);
  });

  test('of a source that fails breaks off, and the failure is told', async () => {
    const { client, sink, options, failures, timers } = stage();
    const source = (async function* () {
      yield event(1);
      throw new Error('the source broke');
    })();
    await streamEvents(source, sink, options).ended;
    assert.deepEqual([client.cut, client.ended, timers.size], [true, false, 0]);
    assert.match(String(failures[0]), /the source broke/);
  });
});

test('an event is four lines, whatever its data', () => {
  assert.equal(formatEvent({ id: '7', event: 'A', data: 'x\ny' }), 'id: 7\nevent: A\ndata: "x\\ny"\n\n');
  assert.throws(() => formatEvent({ id: '7\ndata: forged', event: 'A', data: 1 }), /line break/);
  assert.throws(() => formatEvent({ id: '7', event: 'A\r', data: 1 }), /line break/);
});

describe('over HTTP', async () => {
  const sample = await openSample();
  const bounds = { ...sample.options.bounds, subscribersMax: 1 };
  const narrow = await openSample({ bounds });
  after(() => Promise.all([sample.gateway.close(), narrow.gateway.close()]));

  test('events arrive, also from where the client left off', async () => {
    const first = await fetch(`${sample.url}/orders/short/events`);
    assert.equal(first.headers.get('content-type'), 'text/event-stream');
    assert.equal(first.headers.get('cache-control'), 'no-store');
    assert.deepEqual((await first.text()).match(/(?<=id: )\d+/g), ['1', '2', '3']);
    const again = await fetch(`${sample.url}/orders/short/events`, { headers: { 'last-event-id': '3' } });
    assert.deepEqual((await again.text()).match(/(?<=id: )\d+/g), ['4', '5', '6']);
  });

  test('a stream of no end ends with its client, and is counted while it is open', async () => {
    const leave = new AbortController();
    const response = await fetch(`${sample.url}/orders/live/events`, { signal: leave.signal });
    assert.ok(await response.body?.getReader().read());
    assert.equal(sample.options.metrics.connections('sample').open, 1);
    leave.abort();
    while (sample.options.metrics.connections('sample').open > 0) await turn();
    const metrics = await sample.options.metrics.text();
    assert.match(metrics, /route="\/orders\/{id}\/events",status_code="200",service="sample"} 3/);
    assert.doesNotMatch(
      metrics,
      /http_request_duration_seconds_count{method="GET",route="\/orders\/{id}\/events"/,
    );
  });

  test('streams are bounded: beyond it 503, and a place is free again when one ends', async () => {
    const leave = new AbortController();
    const response = await fetch(`${narrow.url}/orders/live/events`, { signal: leave.signal });
    assert.equal(response.status, 200);
    const second = await fetch(`${narrow.url}/orders/live/events`);
    assert.deepEqual([second.status, second.headers.get('retry-after')], [503, '5']);
    assert.equal(((await second.json()) as { code: string }).code, 'overloaded');
    leave.abort();
    while (narrow.options.metrics.connections('sample').open > 0) await turn();
    assert.equal((await fetch(`${narrow.url}/orders/short/events`)).status, 200);
  });

  test('a client that reads nothing is not sent more than buffers hold', async () => {
    const socket = connect(sample.address.port, '127.0.0.1');
    socket.pause();
    socket.write('GET /orders/flood/events HTTP/1.1\r\nhost: x\r\n\r\n');
    while (sample.options.metrics.connections('sample').open === 0) await turn();
    // The system's socket buffers take a few MiB of it; then nothing more is asked of the source.
    for (let still = 0, before = -1; still < 50; still = before === sample.pulled.blocks ? still + 1 : 0) {
      before = sample.pulled.blocks;
      await turn();
      assert.ok(before < 500, `${before} blocks of 64 KiB were pulled`);
    }
    assert.ok(sample.pulled.blocks > 0);
    socket.destroy();
    while (sample.options.metrics.connections('sample').open > 0) await turn();
  });

  test('rubbish from a client in the middle of its stream cuts it, and is not answered into it', async () => {
    const socket = connect(sample.address.port, '127.0.0.1');
    let got = '';
    const closed = new Promise((resolve) => socket.on('close', resolve).on('error', () => {}));
    socket.on('data', (chunk) => {
      got += chunk;
      if (got.includes('id: 3') && !got.includes('sent')) socket.write('rubbish\r\n\r\n');
    });
    socket.write('GET /orders/live/events HTTP/1.1\r\nhost: x\r\n\r\n');
    await closed;
    assert.equal(got.match(/HTTP\/1\.1/g)?.length, 1);
  });

  test('HEAD opens no stream', async () => {
    const response = await fetch(`${sample.url}/orders/live/events`, { method: 'HEAD' });
    assert.deepEqual([response.status, await response.text()], [200, '']);
    assert.equal(sample.options.metrics.connections('sample').open, 0);
  });
});
