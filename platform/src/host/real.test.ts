import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostConformance } from '../testing/host-conformance.ts';
import { realHost } from './real.ts';
import { collectAfterStart } from './real-garbage.ts';

hostConformance('real host', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-host-'));
  return {
    host: realHost(),
    folder,
    done: (work) => work,
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
});

test('argon2id gives the vector of the reference implementation', async () => {
  const cost = { memoryKib: 65_536, passes: 2 };
  const digest = await realHost().crypto.argon2id('password', Buffer.from('somesalt'), cost);
  assert.equal(
    Buffer.from(digest).toString('hex'),
    '09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7',
  );
});

test('what the signing key signs, its public half verifies', () => {
  const { privatePem, publicPem } = realHost().crypto.newSigningKey();
  const message = Buffer.from('an access token');
  const signature = sign(null, message, createPrivateKey(privatePem));
  assert.equal(verify(null, message, createPublicKey(publicPem), signature), true);
  const other = realHost().crypto.newSigningKey().publicPem;
  assert.equal(verify(null, message, createPublicKey(other), signature), false);
});

test('a file is written with its mode', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-host-'));
  try {
    await realHost().disk.write(join(folder, 'key.pem'), 'secret', 0o600);
    assert.equal(statSync(join(folder, 'key.pem')).mode & 0o777, 0o600);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the environment is that of the process', () => {
  const { env } = realHost();
  assert.equal(env.get('PATH'), process.env['PATH']);
  assert.equal(env.processId, process.pid);
  assert.match(env.runtime, /^node 26\.\d+\.\d+, sqlite 3\./);
});

test('what a start leaves behind is collected, once', async () => {
  const kept = { text: 'kept' };
  const seen = [new WeakRef({ text: 'garbage' }), new WeakRef(kept)];
  await sleep(20); // a reference holds what it names until the turn in which it was made is over
  assert.ok(seen.every((one) => one.deref() !== undefined));
  collectAfterStart(20);
  await sleep(200);
  assert.deepEqual(
    seen.map((one) => one.deref()?.text),
    [undefined, kept.text],
  );
});
