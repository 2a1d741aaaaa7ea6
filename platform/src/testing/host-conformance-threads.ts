/** What the threads of every host must do. */
import assert from 'node:assert/strict';
import type { Host } from '../host/host.ts';
import type { Thread } from '../host/threads.ts';
import type { ThreadTask } from './conformance-thread.ts';
import { type Cases, hex, until } from './host-case.ts';

const THREAD = new URL('./conformance-thread.ts', import.meta.url);
const spawn = (host: Host, task: ThreadTask): Thread => host.threads.spawn(THREAD, 'conformance', task);
const exit = (thread: Thread): Promise<Error | null> => new Promise((resolve) => thread.onExit(resolve));

export const threads: Cases = {
  async 'messages pass both ways, cloned and in order'(host) {
    const thread = spawn(host, { task: 'echo', greeting: 'at work' });
    const messages: unknown[] = [];
    thread.onMessage((message) => messages.push(message));
    const sent = { at: { bytes: Uint8Array.of(1, 2, 3), big: 2n ** 70n, map: new Map([['a', 1]]) } };
    thread.post(sent);
    sent.at.map.set('a', 2);
    for (let i = 0; i < 1_000; i += 1) thread.post(i);
    await until(host, () => messages.length === 1_002);
    assert.deepEqual(messages.slice(0, 2), [
      'at work',
      { at: { bytes: Uint8Array.of(1, 2, 3), big: 2n ** 70n, map: new Map([['a', 1]]) } },
    ]);
    assert.deepEqual(
      messages.slice(2),
      Array.from({ length: 1_000 }, (_, i) => i),
    );
    assert.throws(() => thread.post(() => undefined), { name: 'DataCloneError' });
    await thread.stop();
  },

  async 'a stopped thread tells of its exit once, without an error, and takes no more'(host) {
    const thread = spawn(host, { task: 'echo', greeting: 'at work' });
    const messages: unknown[] = [];
    const exits: unknown[] = [];
    thread.onMessage((message) => messages.push(message));
    thread.onExit((error) => exits.push(error));
    await until(host, () => messages.length === 1);
    await thread.stop();
    thread.post('late');
    await thread.stop();
    await until(host, () => exits.length > 0);
    assert.deepEqual(exits, [null]);
    assert.deepEqual(messages, ['at work']);
  },

  async 'an error ends the thread, behind the messages that it sent'(host) {
    const thread = spawn(host, { task: 'count and throw', count: 50 });
    const seen: unknown[] = [];
    thread.onMessage((message) => seen.push(message));
    thread.onExit((error) => seen.push(error?.message));
    await until(host, () => seen.length === 51);
    assert.deepEqual(seen, [...Array.from({ length: 50 }, (_, i) => i), 'counted to 50']);
  },

  async 'an error in a listener ends the thread'(host) {
    const thread = spawn(host, { task: 'throw at a message' });
    const exited = exit(thread);
    thread.post('this');
    assert.equal((await exited)?.message, 'refused this');
  },

  async 'a thread that returns and listens to nothing ends by itself'(host) {
    assert.equal(await exit(spawn(host, { task: 'return' })), null);
  },

  async 'a module that does not load is told'(host) {
    const thread = host.threads.spawn(new URL('./no-such-module.ts', import.meta.url), 'missing', null);
    assert.match((await exit(thread))?.message ?? '', /no-such-module/);
  },

  async 'a module is loaded by its address'(host) {
    assert.equal(typeof (await host.threads.load(THREAD.href))['serve'], 'function');
    await assert.rejects(
      host.threads.load(new URL('./no-such-module.ts', import.meta.url).href),
      /no-such-module/,
    );
  },

  async 'each thread has a host of its own, and all have one monotonic clock'(host) {
    const answers: { random: Uint8Array; nowMs: number; sleptMs: number }[] = [];
    const beforeMs = host.clock.monotonicMs();
    for (const thread of [spawn(host, { task: 'use the host' }), spawn(host, { task: 'use the host' })]) {
      thread.onMessage((message) => answers.push(message));
    }
    await until(host, () => answers.length === 2);
    const [one, two] = answers as [(typeof answers)[0], (typeof answers)[0]];
    assert.ok(one.sleptMs >= 4 && two.sleptMs >= 4, `slept ${one.sleptMs} and ${two.sleptMs} ms`);
    assert.notEqual(hex(one.random), hex(two.random));
    for (const { nowMs } of answers)
      assert.ok(nowMs > beforeMs && nowMs <= host.clock.monotonicMs(), `${nowMs} after ${beforeMs}`);
  },
};
