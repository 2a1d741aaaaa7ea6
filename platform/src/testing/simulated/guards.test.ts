import assert from 'node:assert/strict';
import { randomBytes, scrypt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { test } from 'node:test';
import { setTimeout as later } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { simulatedHost } from './host.ts';

const outside: Readonly<Record<string, () => unknown>> = {
  'Date.now': () => Date.now(),
  'new Date': () => new Date(),
  Date: () => Date(),
  'performance.now': () => performance.now(),
  hrtime: () => process.hrtime(),
  'Math.random': () => Math.random(),
  setTimeout: () => setTimeout(() => {}, 1),
  setImmediate: () => setImmediate(() => {}),
  'timers/promises': () => later(1),
  randomBytes: () => randomBytes(1),
  scrypt: () => scrypt('a', 'b', 16, () => {}),
  'crypto.getRandomValues': () => crypto.getRandomValues(new Uint8Array(1)),
  'crypto.subtle': () => crypto.subtle.digest('SHA-256', new Uint8Array(1)),
  fetch: () => fetch('http://127.0.0.1:1'),
  net: () => createConnection(1),
  fs: () => readFileSync(import.meta.filename),
  Worker: () => new Worker('0', { eval: true }),
};

for (const [name, reach] of Object.entries(outside)) {
  test(`${name} throws in a simulation, and says what to use`, async () => {
    const host = simulatedHost({ seed: 1 });
    const work = async (): Promise<void> => {
      await host.clock.sleep(1);
      await reach();
    };
    await assert.rejects(host.run(work()), /was called in a simulation: use host\.\w+/);
    host.close();
  });
}

test('values are free, and outside of a simulation everything is', async () => {
  const host = simulatedHost({ seed: 1 });
  const work = async (): Promise<string> => {
    await host.clock.sleep(1);
    return new Date(host.clock.nowMs()).toISOString();
  };
  assert.equal(await host.run(work()), '2026-01-01T00:00:00.001Z');
  assert.ok(Date.now() > 0 && Math.random() < 1 && randomBytes(1).length === 1);
  assert.ok(new Date() instanceof Date);
  assert.equal(readFileSync(import.meta.filename).length > 0, true);
  host.close();
});
