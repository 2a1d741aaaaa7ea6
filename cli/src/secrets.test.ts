import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { realHost } from 'cardume/host/real';
import { openTokens } from 'cardume/identity/tokens';
import { Failure } from './failure.ts';
import { openSecrets, readSecrets, secretsPath } from './secrets.ts';

const host = realHost();

test('secrets are made once, readable by the owner alone, and work', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-secrets-'));
  t.after(() => rm(folder, { recursive: true }));
  assert.equal(await readSecrets(host, folder), null);
  const made = await openSecrets(host, folder);
  assert.equal((await stat(secretsPath(folder))).mode & 0o777, 0o600);
  assert.equal(made.masterKey.length, 32);
  assert.equal(made.clusterSecret.length, 32);
  assert.notDeepEqual(made.masterKey, made.clusterSecret);

  assert.deepEqual(await openSecrets(host, folder), made);
  assert.deepEqual(await readSecrets(host, folder), made);

  const tokens = openTokens(host, { key: made.tokenKey, issuer: 'test', tokensCachedMax: 1 });
  assert.equal(tokens.verify(tokens.issue({ id: 'operator', role: 'staff' }).token).role, 'staff');
});

test('two folders have different secrets', async (t) => {
  const folders = await Promise.all([1, 2].map(() => mkdtemp(join(tmpdir(), 'cardume-secrets-'))));
  t.after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));
  const [a, b] = await Promise.all(folders.map((folder) => openSecrets(host, folder)));
  assert.notDeepEqual(a, b);
});

test('a damaged file is refused with its name, and never overwritten', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-secrets-'));
  t.after(() => rm(folder, { recursive: true }));
  await openSecrets(host, folder);
  for (const damage of ['', '{"version":1', '{"version":1,"master_key":"00"}', 'null', '{"version":2}']) {
    await writeFile(secretsPath(folder), damage);
    await assert.rejects(
      openSecrets(host, folder),
      (error) => error instanceof Failure && error.message === `${secretsPath(folder)} is damaged.`,
    );
    assert.equal((await stat(secretsPath(folder))).size, damage.length);
  }
});

test('secrets that are missing beside data are not made anew', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cardume-secrets-'));
  t.after(() => rm(folder, { recursive: true }));
  await host.disk.makeFolder(join(folder, 'us-east'));
  await host.disk.write(join(folder, 'us-east', 'users-0.log.db'), '');
  await assert.rejects(openSecrets(host, folder), {
    name: 'Failure',
    message: /is missing, and .*us-east holds data/,
  });
  assert.equal(await readSecrets(host, folder), null);
});
