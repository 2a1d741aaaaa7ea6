/** Members of etcd are lost: three of the test's own, which nobody else hears of. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isCardumeError } from '../../base/errors.ts';
import { realHost } from '../../host/real.ts';
import { put, until, valuesOf, watching } from '../../testing/coordinator-conformance-case.ts';
import { etcdOf, etcdUnderTest } from '../../testing/etcd.ts';

const host = realHost();
const { skip } = await etcdOf(host);
const HOUSE = fileURLToPath(new URL('../../../../', import.meta.url));
const TIMEOUT_MS = 2_000;

describe('members of etcd', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-etcd-'));
  function engines(command: 'start' | 'stop', name: string): void {
    const done = spawnSync(
      process.execPath,
      ['tools/launch.mjs', 'tools/engines/engines.ts', command, name],
      {
        ...{ cwd: HOUSE, encoding: 'utf8' },
        env: { ...process.env, CARDUME_ENGINES_FOLDER: folder },
      },
    );
    assert.equal(done.status, 0, done.stderr);
  }
  after(() => {
    engines('stop', 'etcd');
    rmSync(folder, { recursive: true });
  });

  test('one of three may be lost, not two; what stood before stands when they are back', async () => {
    engines('start', 'etcd');
    const found = await etcdOf(host, folder);
    assert.ok(found.skip === false);
    const under = etcdUnderTest(host, found.etcd, TIMEOUT_MS);
    const [a, b] = [await under.open(), await under.open()];
    const begin = await put(a, { key: 'count', value: '0' });
    const lease = await a.grant(60_000);
    await put(a, { key: 'held', value: 'a', lease: lease.id });
    const watcher = await under.open();

    // Whichever of them leads: the others choose another.
    for (const name of ['etcd-1', 'etcd-2', 'etcd-3']) {
      engines('stop', name);
      await eventually(async () => void (await put(a, { key: 'count', value: name })));
      assert.equal((await valuesOf(b))['count'], name);
      await lease.renew();
      engines('start', name);
    }
    await until(under, async () => (await valuesOf(b))['count'] === 'etcd-3');

    engines('stop', 'etcd-2');
    engines('stop', 'etcd-3');
    for (const client of [a, b]) {
      await assert.rejects(client.read(''), (error) => isCardumeError(error, 'partition-unavailable'));
      await assert.rejects(client.change([], [{ key: 'count', value: 'alone' }]), isRefused);
    }
    await assert.rejects(lease.renew(), isRefused);
    engines('start', 'etcd-2');
    engines('start', 'etcd-3');

    // What was in doubt may stand, and nothing of it comes later.
    const { values } = await b.read('count');
    assert.ok(['etcd-3', 'alone'].includes(values[0]?.value ?? ''));
    await lease.renew();
    await put(b, { key: 'count', value: 'end' });
    assert.deepEqual(await valuesOf(a), { count: 'end', held: 'a' });
    // Everything since, without a gap, from a member that was down meanwhile.
    const news = watching(under, watcher, 'count', begin);
    const told = (await news.take(4)).flat().map(({ value }) => value);
    assert.deepEqual(
      told.filter((value) => value?.startsWith('etcd')),
      ['etcd-1', 'etcd-2', 'etcd-3'],
    );
    await news.end();
    await lease.end();
    await under.close();
  });
});

const isRefused = (error: unknown): boolean =>
  isCardumeError(error, 'partition-unavailable') || isCardumeError(error, 'unknown-outcome');

/** A change in the moment when the member is lost may be in doubt: then it is made again. */
async function eventually(work: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries === 5 || !isRefused(error)) throw error;
    }
  }
}
