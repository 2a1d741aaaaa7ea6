import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import type { Connection, Listener } from '../../host/network.ts';
import { realHost } from '../../host/real.ts';
import { fails, put, valuesOf, watching } from '../../testing/coordinator-conformance-case.ts';
import { type Etcd, etcdOf, etcdUnderTest } from '../../testing/etcd.ts';
import { coordinatorConformance } from '../../testing/testing.ts';
import type { Changed, Coordinator } from '../coordinator.ts';
import { type EtcdOptions, openEtcd } from './etcd.ts';

const host = realHost();
const found = await etcdOf(host);

coordinatorConformance(
  'the coordinator over etcd',
  () => {
    assert.ok(found.skip === false);
    return etcdUnderTest(host, found.etcd);
  },
  found.skip,
);

async function withClient(
  change: (etcd: Etcd) => Partial<EtcdOptions>,
  work: (client: Coordinator) => Promise<void>,
): Promise<void> {
  assert.ok(found.skip === false);
  const { etcd } = found;
  const prefix = `/cardume/test-${Buffer.from(host.random.bytes(6)).toString('hex')}/`;
  const client = openEtcd(host.clock, { ...etcd, prefix, timeoutMs: 1_000, ...change(etcd) });
  try {
    await work(client);
  } finally {
    await client.close();
  }
}

/** @throws unless the call is refused with the code and a sentence that says this */
async function refused(work: Promise<unknown>, code: string, detail: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    if (!isCardumeError(error)) throw error;
    assert.equal(error.code, code, error.message);
    assert.match(error.message, detail);
    return true;
  });
}

const nextOf = (client: Coordinator): Promise<unknown> =>
  client.watch('', 0, new AbortController().signal)[Symbol.asyncIterator]().next() as Promise<unknown>;

describe('who may come to etcd', { skip: found.skip }, () => {
  test('comes over TLS, or plainly where that is wanted', async () => {
    await withClient(
      ({ plainEndpoints }) => ({ endpoints: plainEndpoints, tls: undefined }),
      async (client) => {
        await put(client, { key: 'a', value: '1' });
        assert.deepEqual(await valuesOf(client), { a: '1' });
        await put(client, { key: 'a', value: null });
      },
    );
    const strange = { tls: {} };
    await withClient(
      () => strange,
      async (client) => {
        await refused(client.read(''), 'partition-unavailable', /SIGNATURE/);
        await refused(client.change([], [{ key: 'a', value: '1' }]), 'partition-unavailable', /SIGNATURE/);
      },
    );
  });

  test('with the wrong password, or none, is told so', async () => {
    for (const [who, detail] of [
      [{ password: 'wrong' }, /does not let 'cardume' in: .*invalid user ID or password/],
      [{ user: undefined, password: undefined }, /does not let in who has no user/],
    ] as const) {
      await withClient(
        () => who,
        async (client) => {
          await refused(client.read(''), 'partition-unavailable', detail);
          await refused(client.change([], [{ key: 'a', value: '1' }]), 'partition-unavailable', detail);
          await refused(nextOf(client), 'partition-unavailable', /invalid user ID|user name is empty/);
        },
      );
    }
  });

  test('has the keys that it is permitted, and hears of no others', async () => {
    await withClient(
      () => ({ prefix: '/of-others/' }),
      async (client) => {
        await refused(client.read(''), 'partition-unavailable', /permits it not to 'cardume'/);
        await refused(
          client.change([], [{ key: 'a', value: '1' }]),
          'partition-unavailable',
          /permits it not/,
        );
        await refused(nextOf(client), 'partition-unavailable', /permission denied/);
      },
    );
  });
});

interface Between {
  readonly endpoint: string;
  /** What answers do from now on. */
  answers: 'pass' | 'are lost' | 'are held';
  close(): Promise<void>;
}

/** A wire to a member, which forwards all that is asked. */
async function between(endpoint: string): Promise<Between> {
  const [name, port] = endpoint.split(':') as [string, string];
  const open = new Set<Connection>();
  const wire = { answers: 'pass' as Between['answers'] };
  const listener: Listener = await host.network.listen({ host: '127.0.0.1', port: 0 }, (near) => {
    open.add(near);
    const early: Uint8Array[] = [];
    let send = (bytes: Uint8Array): void => void early.push(bytes);
    near.onData((bytes) => send(bytes));
    void host.network.connect({ host: name, port: Number(port) }, 1_000).then((far) => {
      send = (bytes) => far.write(bytes);
      for (const bytes of early) send(bytes);
      far.onData((bytes) => {
        if (wire.answers === 'are lost') near.close();
        else if (wire.answers === 'pass') near.write(bytes);
      });
      near.onClose(() => far.close());
      far.onClose(() => near.close());
    });
  });
  return Object.assign(wire, {
    endpoint: `127.0.0.1:${listener.address.port}`,
    close: () => listener.close(),
  });
}

describe('answers of etcd that do not arrive', { skip: found.skip }, () => {
  async function withWire(
    work: (client: Coordinator, wire: Between, others: readonly string[]) => Promise<void>,
    others: (etcd: Etcd) => readonly string[],
  ): Promise<void> {
    assert.ok(found.skip === false);
    const wire = await between(found.etcd.plainEndpoints[0] as string);
    const more = others(found.etcd);
    try {
      await withClient(
        () => ({ endpoints: [wire.endpoint, ...more], tls: undefined }),
        (client) => work(client, wire, more),
      );
    } finally {
      await wire.close();
    }
  }

  test('leave a change in doubt: it may stand, and is not sent again', async () => {
    await withWire(
      async (client, wire) => {
        const first = await put(client, { key: 'a', value: '1' });
        for (const answers of ['are lost', 'are held'] as const) {
          wire.answers = answers;
          await refused(client.change([], [{ key: 'a', value: answers }]), 'unknown-outcome', /is not known/);
          await refused(client.read(''), 'partition-unavailable', /has not answered within 1000 ms/);
          wire.answers = 'pass';
          const { values } = await client.read('');
          assert.equal(values[0]?.value, answers, 'it stood');
        }
        const told = watching(
          { host, ttlMs: 0, open: async () => client, forget: async () => {} },
          client,
          '',
          first,
        );
        assert.equal((await told.take(2)).length, 2, 'each of them once');
        await told.end();
        await put(client, { key: 'a', value: null });
      },
      () => [],
    );
  });

  test('do not matter where another member may be asked', async () => {
    await withWire(
      async (client, wire) => {
        await put(client, { key: 'a', value: '1' });
        for (const answers of ['are lost', 'are held'] as const) {
          wire.answers = answers;
          assert.deepEqual(await valuesOf(client), { a: '1' });
          const lease = await client.grant(2_000);
          await lease.renew();
          await lease.end();
          await fails(lease.renew(), 'fenced');
        }
        await put(client, { key: 'a', value: null });
      },
      ({ plainEndpoints }) => plainEndpoints.slice(1),
    );
  });

  test('leave the next change to another member', async () => {
    await withWire(
      async (client, wire) => {
        const revision = await put(client, { key: 'a', value: '1' });
        wire.answers = 'are held';
        const again = (value: string): Promise<Changed> =>
          client.change([{ key: 'a', revision }], [{ key: 'a', value }]);
        await refused(again('2'), 'unknown-outcome', /did not answer within/);
        assert.equal((await again('3')).done, false, 'the first has come about');
        assert.deepEqual(await valuesOf(client), { a: '2' });
        await put(client, { key: 'a', value: null });
      },
      ({ plainEndpoints }) => plainEndpoints.slice(1),
    );
  });

  test('end a watch in time, which goes on from its revision', async () => {
    await withWire(
      async (client, wire) => {
        const begin = await put(client, { key: 'a', value: '1' });
        const under = { host, ttlMs: 0, open: async () => client, forget: async () => {} };
        const news = watching(under, client, '', begin);
        await put(client, { key: 'a', value: '2' });
        const [first] = await news.take(1);
        wire.answers = 'are held';
        await refused(news.take(1), 'partition-unavailable', /is gone, or does not hear its cluster/);
        wire.answers = 'pass';
        await refused(news.end(), 'partition-unavailable', /is gone/);
        const again = watching(under, client, '', first?.[0]?.revision ?? 0);
        await put(client, { key: 'a', value: null });
        assert.equal((await again.take(1))[0]?.[0]?.value, null);
        await again.end();
      },
      () => [],
    );
  });

  test('of nobody who is there: nothing was changed', async () => {
    await withClient(
      () => ({ endpoints: ['127.0.0.1:9', '127.0.0.1:10'], tls: undefined }),
      async (client) => {
        await refused(client.change([], [{ key: 'a', value: '1' }]), 'partition-unavailable', /ECONNREFUSED/);
        await refused(client.read(''), 'partition-unavailable', /ECONNREFUSED/);
        await refused(nextOf(client), 'partition-unavailable', /ECONNREFUSED/);
      },
    );
  });
});
