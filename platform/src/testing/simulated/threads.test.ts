import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedHost } from './host.ts';

const ECHO = new URL('../conformance-thread.ts', import.meta.url);

test('messages of each thread come in order, those of several interleave as the seed decides', async () => {
  const interleavings = new Set<string>();
  for (let seed = 1; seed <= 10; seed += 1) {
    const host = simulatedHost({ seed });
    const heard: string[] = [];
    const threads = ['a', 'b', 'c'].map((name) => {
      const thread = host.threads.spawn(ECHO, name, { task: 'echo', greeting: `${name}ready` });
      thread.onMessage((message: string) => heard.push(message));
      return { name, thread };
    });
    await host.run(() => heard.length === 3);
    for (let i = 0; i < 20; i += 1) for (const { name, thread } of threads) thread.post(`${name}${i}`);
    await host.run(() => heard.length === 63);
    for (const { name } of threads) {
      const own = heard.filter((message) => message.startsWith(name));
      assert.deepEqual(own, [`${name}ready`, ...Array.from({ length: 20 }, (_, i) => `${name}${i}`)]);
    }
    interleavings.add(heard.join());
    host.close();
  }
  assert.equal(interleavings.size, 10);
});

test('a message that comes before anyone listens is an error, as a worker would lose it', async () => {
  const host = simulatedHost({ seed: 1 });
  host.threads.spawn(ECHO, 'deaf', { task: 'echo', greeting: 'ready' });
  await assert.rejects(
    host.advance(1_000),
    /a message of thread main\/deaf#1 came before onMessage was called/,
  );
  host.close();
});

test('stopping a thread ends its timers and closes its databases', async () => {
  const host = simulatedHost({ seed: 1 });
  const thread = host.threads.spawn(ECHO, 'sleeper', { task: 'use the host' });
  const heard: unknown[] = [];
  thread.onMessage((message) => heard.push(message));
  await host.advance(11); // started at 5 to 10 ms, and asleep for 5
  await host.run(thread.stop());
  await host.advance(1_000);
  assert.deepEqual(heard, []);
  host.close();
});
