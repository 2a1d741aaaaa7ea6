import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Address, Connection } from '../host/network.ts';
import { realHost } from '../host/real.ts';
import type { Serve } from './answerer.ts';
import { FRAME_BYTES_MAX, Kind, openChannel } from './channel.ts';
import { HANDSHAKE_BYTES_MAX } from './handshake.ts';
import { openPeers, type Peers, type PeersOptions } from './peer.ts';

const host = realHost();
const secret = new TextEncoder().encode('the secret of this cluster');
const anywhere: Address = { host: '127.0.0.1', port: 0 };
const nothing: Serve = () => Promise.reject(new CardumeError('not-found', 'this side serves nothing'));

const opened: { close(): Promise<void> }[] = [];
after(async () => {
  await Promise.all(opened.map((one) => one.close()));
});

function open(options: Partial<PeersOptions> & Pick<PeersOptions, 'self'>): Peers {
  const peers = openPeers(host, {
    secret,
    addressOf: () => assert.fail('nobody to dial'),
    timeoutMs: 2_000,
    requestsMax: 5_000,
    serve: nothing,
    ...options,
  });
  opened.push(peers);
  return peers;
}

/** Two instances: `a` asks, `b` serves. */
async function pair(
  serve: Serve,
  options: {
    a?: Partial<PeersOptions>;
    b?: Partial<PeersOptions>;
    through?: (to: Address) => Promise<Address>;
  } = {},
): Promise<{ a: Peers; b: Peers; address: Address }> {
  const b = open({ self: 'b', serve, ...options.b });
  const address = await b.listen(anywhere);
  const dialled = options.through === undefined ? address : await options.through(address);
  return { a: open({ self: 'a', addressOf: () => dialled, ...options.a }), b, address };
}

/** A wire between the two that the test can cut, hold or chop. */
function wire(pass: (bytes: Uint8Array, on: Connection) => void = (bytes, on) => on.write(bytes)): {
  through(to: Address): Promise<Address>;
  cut(): void;
  readonly connections: number;
} {
  const ends = new Set<Connection>();
  let connections = 0;
  return {
    get connections() {
      return connections;
    },
    async through(to) {
      const listener = await host.network.listen(anywhere, (near) => {
        connections += 1;
        ends.add(near);
        const early: Uint8Array[] = [];
        let send = (bytes: Uint8Array): void => void early.push(bytes);
        near.onData((bytes) => send(bytes));
        void host.network.connect(to, 1_000).then((far) => {
          ends.add(far);
          send = (bytes) => pass(bytes, far);
          for (const bytes of early) send(bytes);
          far.onData((bytes) => pass(bytes, near));
          near.onClose(() => far.close());
          far.onClose(() => near.close());
        });
      });
      opened.push(listener);
      return listener.address;
    },
    cut() {
      for (const end of ends) end.close();
      ends.clear();
    },
  };
}

const failsWith =
  (code: string, detail = /./) =>
  (error: unknown): boolean => {
    assert.ok(isCardumeError(error), String(error));
    assert.equal(error.code, code);
    assert.match(error.message, detail);
    return true;
  };

async function until(condition: () => boolean): Promise<void> {
  const endMs = host.clock.monotonicMs() + 5_000;
  while (!condition()) {
    assert.ok(host.clock.monotonicMs() < endMs, `in time: ${condition}`);
    await new Promise<void>((resolve) => host.clock.soon(resolve));
  }
}

const idle = (): AbortSignal => new AbortController().signal;

describe('requests', () => {
  it('share one connection and are answered in any order', async () => {
    const waiting = new Map<Json, (answer: Json) => void>();
    const link = wire();
    const serve: Serve = (from, message) => {
      assert.equal(from, 'a');
      return new Promise((resolve) => waiting.set(message, resolve));
    };
    const { a } = await pair(serve, { through: link.through });
    const answers = Promise.all(Array.from({ length: 1_000 }, (_, i) => a.request('b', i)));
    await until(() => waiting.size === 1_000);
    assert.deepEqual(a.state(), [{ peer: 'b', link: 'open', requests: 1_000, streams: 0 }]);
    for (const [message, resolve] of [...waiting].reverse()) resolve({ to: message });
    assert.deepEqual(
      await answers,
      Array.from({ length: 1_000 }, (_, i) => ({ to: i })),
    );
    assert.equal(link.connections, 1);
    assert.equal(a.state()[0]?.requests, 0);
  });

  it('survive any cutting of the bytes', async () => {
    const chopped = wire((bytes, on) => {
      for (const byte of bytes) on.write(Uint8Array.of(byte));
    });
    const { a } = await pair(async (_, message) => message, { through: chopped.through });
    const message = { text: 'é😀\0"\\', list: [null, true, 1.5], nested: { empty: '' } };
    assert.deepEqual(await Promise.all([a.request('b', message), a.request('b', '')]), [message, '']);
    const large = 'ü'.repeat(1_000_000);
    const { a: c } = await pair(async (_, asked) => asked);
    assert.equal(await c.request('b', large), large);
  });

  it('bring failures back as they were', async () => {
    const faults = [{ path: '/sku', message: 'expected text' }];
    const bugs: unknown[] = [];
    const serve: Serve = (_, message) => {
      if (message === 'sync') throw new CardumeError('forbidden', 'not you');
      if (message === 'bug') return Promise.reject(new TypeError('secret detail'));
      return Promise.reject(new CardumeError('invalid-input', 'bad sku', { faults, retryAfterS: 7 }));
    };
    const { a } = await pair(serve, { b: { report: (error) => bugs.push(error) } });
    await assert.rejects(a.request('b', 'sync'), failsWith('forbidden', /not you/));
    await assert.rejects(
      a.request('b', 'bug'),
      (error) => failsWith('internal')(error) && !/secret/.test(String(error)),
    );
    assert.match(String(bugs), /secret detail/);
    await assert.rejects(a.request('b', 'x'), (error) => {
      assert.ok(isCardumeError(error, 'invalid-input'));
      assert.deepEqual([error.faults, error.retryAfterS, error.message], [faults, 7, 'bad sku']);
      return true;
    });
  });

  it('fail alone when they are not answered in time', async () => {
    const late: ((answer: Json) => void)[] = [];
    const serve: Serve = (_, message) =>
      message === 'quick' ? Promise.resolve('done') : new Promise((resolve) => late.push(resolve));
    const { a } = await pair(serve, { a: { timeoutMs: 100 } });
    const slow = a.request('b', 'slow');
    const quick = a.request('b', 'quick');
    await assert.rejects(slow, failsWith('unknown-outcome', /did not answer within 100 ms/));
    assert.equal(await quick, 'done');
    for (const resolve of late) resolve('too late');
    assert.equal(await a.request('b', 'quick'), 'done');
  });

  it('end on both sides when nobody waits for them any more', async () => {
    const signals: AbortSignal[] = [];
    const serve: Serve = (_, message, signal) => {
      if (message === 'quick') return Promise.resolve('done');
      signals.push(signal);
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    const { a } = await pair(serve);
    const asker = new AbortController();
    const asked = a.request('b', 'slow', asker.signal);
    const other = a.request('b', 'slow');
    await until(() => signals.length === 2);
    asker.abort(new CardumeError('deadline-exceeded', 'gone'));
    await assert.rejects(asked, failsWith('deadline-exceeded', /gone/));
    await until(() => signals[0]?.aborted === true);
    assert.equal(signals[1]?.aborted, false);
    await assert.rejects(a.request('b', 'never sent', asker.signal), failsWith('deadline-exceeded'));
    assert.equal(await a.request('b', 'quick'), 'done');
    assert.equal(a.state()[0]?.requests, 1);
    await a.close();
    await assert.rejects(other, failsWith('unknown-outcome'));
    await until(() => signals[1]?.aborted === true);
  });

  it('are bounded in number, each way', async () => {
    const release: (() => void)[] = [];
    const serve: Serve = () => new Promise((resolve) => release.push(() => resolve(null)));
    const { a } = await pair(serve, { a: { requestsMax: 10 }, b: { requestsMax: 6 } });
    const results = Promise.allSettled(Array.from({ length: 12 }, () => a.request('b', 1)));
    await until(() => release.length === 6);
    for (const one of release) one();
    const refused = (await results)
      .filter((result) => result.status === 'rejected')
      .map(({ reason }) => reason);
    assert.equal(refused.length, 6);
    for (const reason of refused) failsWith('overloaded')(reason);
  });

  it('are bounded in size, each way', async () => {
    const { a } = await pair(async (_, message) => 'x'.repeat(message as number));
    await assert.rejects(a.request('b', 'x'.repeat(FRAME_BYTES_MAX)), failsWith('body-too-large'));
    await assert.rejects(a.request('b', 'ü'.repeat(FRAME_BYTES_MAX / 2)), failsWith('body-too-large'));
    await assert.rejects(a.request('b', FRAME_BYTES_MAX), failsWith('query-refused', /larger/));
    assert.equal(((await a.request('b', FRAME_BYTES_MAX - 2)) as string).length, FRAME_BYTES_MAX - 2);
  });
});

describe('a link that breaks', () => {
  it('fails what was sent with unknown-outcome, and is opened again', async () => {
    let served = 0;
    const serve: Serve = (_, message) => {
      served += 1;
      return message === 'wait' ? new Promise(() => {}) : Promise.resolve(message);
    };
    const link = wire();
    const { a } = await pair(serve, { through: link.through });
    const requests = Array.from({ length: 5 }, () => a.request('b', 'wait'));
    await until(() => served === 5);
    link.cut();
    for (const request of requests)
      await assert.rejects(request, failsWith('unknown-outcome', /broke before the answer/));
    assert.equal(await a.request('b', 'again'), 'again');
    assert.equal(link.connections, 2);
  });

  it('fails what was not sent with partition-unavailable, and never sends it', async () => {
    const served: Json[] = [];
    const { a } = await pair(async (_, message) => {
      served.push(message);
      return null;
    });
    await a.request('b', 'first');
    const queued = a.request('b', 'same turn as the close');
    await Promise.all([
      assert.rejects(queued, failsWith('partition-unavailable', /shutting down/)),
      a.close(),
    ]);
    await new Promise<void>((resolve) => host.clock.soon(resolve));
    assert.deepEqual(served, ['first']);
  });

  it('is noticed when the peer falls silent', async () => {
    let held = false;
    const link = wire((bytes, on) => {
      if (!held) on.write(bytes);
    });
    async function* live(): AsyncGenerator<Json> {
      yield 'first';
      await new Promise(() => {});
    }
    const { a } = await pair(() => live(), { through: link.through, a: { timeoutMs: 50 } });
    const items = a.stream('b', null, idle())[Symbol.asyncIterator]();
    assert.deepEqual(await items.next(), { value: 'first', done: false });
    // Pings keep it open for as long as they are answered.
    const openUntilMs = host.clock.monotonicMs() + 200;
    await until(() => host.clock.monotonicMs() > openUntilMs);
    assert.equal(a.state()[0]?.link, 'open');
    held = true;
    await assert.rejects(items.next(), failsWith('partition-unavailable', /nothing arrived/));
  });

  it('is not dialled again before a pause, which grows', async () => {
    let reachable = false;
    const { a: unreachable, address } = await pair(async () => 'here');
    await unreachable.close();
    const free = await host.network.listen(anywhere, () => {});
    await free.close();
    let dials = 0;
    const a = open({
      self: 'a',
      addressOf: () => {
        dials += 1;
        return reachable ? address : free.address;
      },
    });
    await assert.rejects(
      a.request('b', 1),
      failsWith('partition-unavailable', /cannot be reached.*ECONNREFUSED/),
    );
    const dialled = dials;
    await assert.rejects(a.request('b', 1), failsWith('partition-unavailable'));
    assert.equal(dials, dialled, 'fails at once');
    assert.equal(a.state()[0]?.link, 'waiting');
    reachable = true;
    await until(() => a.state()[0]?.link === 'idle');
    assert.equal(await a.request('b', 1), 'here');
  });

  it('is dialled again at once when it has come by itself', async () => {
    const free = await host.network.listen(anywhere, () => {});
    await free.close();
    let address = free.address;
    const a = open({ self: 'a', addressOf: () => address, serve: async () => 'a' });
    const ours = await a.listen(anywhere);
    for (let i = 0; i < 20; i += 1) {
      await assert.rejects(a.request('b', 1), failsWith('partition-unavailable'));
      await until(() => a.state()[0]?.link === 'idle' || i > 4);
    }
    assert.equal(a.state()[0]?.link, 'waiting');
    const b = open({ self: 'b', addressOf: () => ours, serve: async () => 'b' });
    address = await b.listen(anywhere);
    assert.equal(await b.request('a', 1), 'a');
    assert.equal(await a.request('b', 1), 'b');
  });
});

describe('a stream', () => {
  async function* count(to: number, made: { items: number }): AsyncGenerator<Json> {
    for (let i = 0; i < to; i += 1) {
      made.items += 1;
      yield i;
    }
  }

  it('brings every item in order, and its end', async () => {
    const { a } = await pair(() => count(1_000, { items: 0 }));
    const items: Json[] = [];
    for await (const item of a.stream('b', null, idle())) items.push(item);
    assert.deepEqual(
      items,
      Array.from({ length: 1_000 }, (_, i) => i),
    );
    assert.equal(a.state()[0]?.streams, 0);
  });

  it('brings its failure after its items', async () => {
    async function* failing(): AsyncGenerator<Json> {
      yield 1;
      throw new CardumeError('read-model-halted', 'stopped');
    }
    const { a } = await pair(() => failing());
    const items = a.stream('b', null, idle())[Symbol.asyncIterator]();
    assert.deepEqual(await items.next(), { value: 1, done: false });
    await assert.rejects(items.next(), failsWith('read-model-halted', /stopped/));
  });

  it('runs a bounded number of items ahead of a slow reader', async () => {
    const made = { items: 0 };
    const { a } = await pair((_, message) =>
      message === 'stream' ? count(1_000_000, made) : Promise.resolve(null),
    );
    const items = a.stream('b', 'stream', idle())[Symbol.asyncIterator]();
    for (let i = 0; i < 100; i += 1) assert.equal((await items.next()).value, i);
    // Requests pass meanwhile, and each gives the stream a turn.
    for (let i = 0; i < 50; i += 1) await a.request('b', 'ask');
    assert.ok(made.items <= 100 + 64 + 1, `${made.items} made`);
    await items.return?.(undefined);
  });

  it('stops its source when the reader leaves, and when the signal comes', async () => {
    let signals = 0;
    let returned = 0;
    async function* live(signal: AbortSignal): AsyncGenerator<Json> {
      try {
        yield 'first';
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        signals += 1;
      } finally {
        returned += 1;
      }
    }
    const { a, b } = await pair((_, _message, signal) => live(signal));
    for await (const item of a.stream('b', null, idle())) {
      assert.equal(item, 'first');
      break;
    }
    await until(() => returned === 1);

    const stop = new AbortController();
    const items: Json[] = [];
    for await (const item of a.stream('b', null, stop.signal)) {
      items.push(item);
      host.clock.soon(() => stop.abort());
    }
    assert.deepEqual(items, ['first']);
    await until(() => returned === 2);
    assert.ok(signals >= 1);

    const left = a.stream('b', null, idle())[Symbol.asyncIterator]();
    await left.next();
    const end = left.next();
    await Promise.all([assert.rejects(end, failsWith('draining')), b.close()]);
    assert.equal(returned, 3);
  });
});

describe('a handshake', () => {
  it('refuses another secret, before anything is served', async () => {
    let served = 0;
    const reports: unknown[] = [];
    const { a } = await pair(
      async () => {
        served += 1;
        return null;
      },
      {
        a: { secret: new TextEncoder().encode('the secret of another cluster') },
        b: { report: (error) => reports.push(error) },
      },
    );
    await assert.rejects(
      a.request('b', 1),
      failsWith('partition-unavailable', /does not know the cluster's secret/),
    );
    await until(() => reports.length === 1);
    assert.equal(served, 0);
  });

  it('refuses who dials another name', async () => {
    const { a } = await pair(async () => null);
    await assert.rejects(a.request('c', 1), failsWith('partition-unavailable', /this is 'b', not 'c'/));
  });

  it('refuses a recorded one, a reflected one, requests without one, and garbage', async () => {
    let served = 0;
    const toB: Uint8Array[] = [];
    let far: Connection | null = null;
    const link = wire((bytes, on) => {
      far ??= on; // the dialer speaks first
      if (on === far) toB.push(bytes.slice());
      on.write(bytes);
    });
    const serve: Serve = async () => {
      served += 1;
      return null;
    };
    const { a, address } = await pair(serve, { through: link.through });
    await a.request('b', 'recorded');
    assert.equal(served, 1);
    const [hello, proof, request] = toB;
    assert.ok(hello !== undefined && proof !== undefined && request !== undefined && toB.length === 3);

    // What went to b once, sent to it again: the challenge is another, so the proof is none.
    const replay = await host.network.connect(address, 1_000);
    let answered = '';
    let closed = false;
    replay.onData((bytes) => {
      if (answered === '') replay.write(proof);
      answered += new TextDecoder().decode(bytes);
    });
    replay.onClose(() => {
      closed = true;
    });
    replay.write(hello);
    await until(() => closed);
    assert.match(answered, /does not know the cluster's secret/);
    const impatient = await host.network.connect(address, 1_000);
    const ended = new Promise<void>((resolve) => impatient.onClose(() => resolve()));
    impatient.onData(() => {});
    for (const bytes of toB) impatient.write(bytes);
    await ended;

    const strange = async (send: (channel: ReturnType<typeof openChannel>) => void): Promise<string> => {
      const connection = await host.network.connect(address, 1_000);
      const channel = openChannel(host.clock, connection, HANDSHAKE_BYTES_MAX);
      const refusals: string[] = [];
      let gone = false;
      channel.onClose = () => {
        gone = true;
      };
      channel.onFrame = (kind, _id, text) => {
        if (kind === Kind.refused) refusals.push(text);
        // Gives the accepter its own proof back.
        if (kind === Kind.challenge)
          channel.send(Kind.proof, 0, JSON.stringify({ proof: JSON.parse(text).proof }));
      };
      send(channel);
      await until(() => gone);
      return refusals.join();
    };
    const greeting = JSON.stringify({ protocol: 1, from: 'a', to: 'b', nonce: 'AAAA' });
    assert.match(
      await strange((channel) => channel.send(Kind.hello, 0, greeting)),
      /does not know the cluster's secret/,
    );
    assert.match(await strange((channel) => channel.send(Kind.request, 1, '{}')), /does not speak/);
    assert.match(await strange((channel) => channel.send(Kind.hello, 0, 'no json')), /does not speak/);
    assert.match(
      await strange((channel) => channel.send(Kind.hello, 0, greeting.replace('1', '0'))),
      /'b' speaks protocol 1, 'a' 0: run a newer version of 'a'/,
    );
    await strange((channel) => channel.send(Kind.hello, 0, 'x'.repeat(HANDSHAKE_BYTES_MAX + 1)));
    assert.equal(served, 1);
  });

  it('is of the newest protocol that both speak; who has none in common hears which of the two is old', async () => {
    const range = (oldest: number, newest: number) => ({ protocols: { oldest, newest } });
    const spoken = async (a: object, b: object): Promise<Json> =>
      (await pair(async () => 'heard', { a, b })).a.request('b', 1);
    assert.equal(await spoken(range(1, 2), range(1, 1)), 'heard');
    assert.equal(await spoken(range(1, 1), range(1, 2)), 'heard');
    assert.equal(await spoken(range(2, 3), range(1, 2)), 'heard');
    const says = (sentence: RegExp) => failsWith('partition-unavailable', sentence);
    await assert.rejects(
      spoken(range(1, 1), range(2, 3)),
      says(/'b' speaks protocols 2 to 3, 'a' 1: run a newer version of 'a'/),
    );
    await assert.rejects(
      spoken(range(2, 3), range(1, 1)),
      says(/'a' speaks protocols 2 to 3, 'b' 1: run a newer version of 'b'/),
    );
  });

  it('does not wait for a silent peer for ever', async () => {
    const silent = await host.network.listen(anywhere, () => {});
    opened.push(silent);
    const a = open({ self: 'a', addressOf: () => silent.address, timeoutMs: 100 });
    await assert.rejects(a.request('b', 1), failsWith('partition-unavailable', /handshake took longer/));
    const { address } = await pair(async () => null, { b: { timeoutMs: 100 } });
    const stranger = await host.network.connect(address, 1_000);
    stranger.onData(() => {});
    await new Promise<void>((resolve) => stranger.onClose(() => resolve()));
  });
});

describe('close', () => {
  it('answers what is being served, refuses what comes later', async () => {
    const finish: (() => void)[] = [];
    const { a, b } = await pair(() => new Promise((resolve) => finish.push(() => resolve('done'))));
    const served = a.request('b', 1);
    await until(() => finish.length === 1);
    const closing = b.close();
    await assert.rejects(a.request('b', 2), failsWith('draining'));
    for (const one of finish) one();
    assert.equal(await served, 'done');
    await closing;
    await assert.rejects(a.request('b', 3), failsWith('partition-unavailable'));
    await a.close();
    await assert.rejects(a.request('b', 4), failsWith('draining'));
  });
});
