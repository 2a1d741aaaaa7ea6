import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import config from '../../../cardume.config.ts';
import { isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { put, valuesOf } from '../testing/coordinator-conformance-case.ts';
import { etcdOf } from '../testing/etcd.ts';
import type { CoordinatorTopology, Topology } from '../topology/topology.ts';
import { parseTopology } from '../topology/validate.ts';
import { openCoordinator } from './discovery.ts';

const real = realHost();
const found = await etcdOf(real);
const VARIABLE = 'CARDUME_ETCD_PASSWORD';

const nobody = {
  request: () => assert.fail('nobody is asked'),
  stream: () => assert.fail('nobody is asked'),
};

const withCoordinator = (coordinator: CoordinatorTopology): Topology =>
  parseTopology({ ...structuredClone(config), name: 'discovery-test', coordinator });

const hostWith = (variables: Readonly<Record<string, string>>): Pick<typeof real, 'clock' | 'env'> => ({
  clock: real.clock,
  env: { ...real.env, get: (name) => variables[name] },
});

describe('openCoordinator', () => {
  test('opens none where the topology has none', () => {
    const { coordinator: _, ...none } = config;
    assert.equal(openCoordinator(real, none, nobody), null);
  });

  test('asks the embedded one by the name of a peer', async () => {
    const asked: string[] = [];
    const peers = {
      ...nobody,
      request: async (peer: string) => {
        asked.push(peer);
        return { revision: 1, values: [] };
      },
    };
    const topology = withCoordinator({ engine: 'embedded', host: '127.0.0.1', port: 9_090 });
    assert.deepEqual(await openCoordinator(real, topology, peers)?.read(''), { revision: 1, values: [] });
    assert.deepEqual(asked, ['coordinator']);
  });

  test('says which variable is missing', () => {
    const topology = withCoordinator({
      ...{ engine: 'etcd', endpoints: ['127.0.0.1:2379'], user: 'cardume', passwordVariable: VARIABLE },
    });
    assert.throws(
      () => openCoordinator(hostWith({}), topology, nobody),
      (error) => isCardumeError(error, 'invalid-input') && error.message.includes(VARIABLE),
    );
  });

  test('opens etcd, each cluster with keys of its own', { skip: found.skip }, async () => {
    assert.ok(found.skip === false);
    const { endpoints, tls, user, password } = found.etcd;
    const topology = withCoordinator({ engine: 'etcd', endpoints, tls, user, passwordVariable: VARIABLE });
    const host = hostWith({ [VARIABLE]: password as string });
    const coordinators = ['discovery-test', 'discovery-test-2'].map((name) =>
      openCoordinator(host, { ...topology, name }, nobody),
    );
    const [one, other] = coordinators;
    assert.ok(one && other);
    try {
      await put(one, { key: 'a', value: 'of one' });
      await put(other, { key: 'a', value: 'of another' });
      assert.deepEqual([await valuesOf(one), await valuesOf(other)], [{ a: 'of one' }, { a: 'of another' }]);
    } finally {
      for (const each of [one, other]) {
        await each.change([], [{ key: 'a', value: null }]);
        await each.close();
      }
    }
  });
});
