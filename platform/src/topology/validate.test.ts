import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import config from '../../../cardume.config.ts';
import { isCardumeError } from '../base/errors.ts';
import { parseTopology } from './validate.ts';

// biome-ignore lint/suspicious/noExplicitAny: the tests break the value in every way
type Broken = any;

/** Path → message of every fault of the house's topology after a change. */
function faultsOf(change: (topology: Broken) => void): Record<string, string> {
  const topology: Broken = structuredClone(config);
  change(topology);
  try {
    parseTopology(topology);
  } catch (error) {
    assert.ok(isCardumeError(error, 'invalid-input'));
    for (const { path, message } of error.faults) assert.ok(error.message.includes(`${path}: ${message}`));
    assert.equal(new Set(error.faults.map(({ path, message }) => path + message)).size, error.faults.length);
    return Object.fromEntries(error.faults.map(({ path, message }) => [path, message]));
  }
  return {};
}

/** Exactly this one fault. */
function onlyFault(path: string, message: RegExp, change: (topology: Broken) => void): void {
  const faults = faultsOf((topology) => void change(topology));
  assert.deepEqual(Object.keys(faults), [path]);
  assert.match(faults[path] as string, message);
}

describe('parseTopology', () => {
  it('takes the house`s own', () => assert.deepEqual(parseTopology(structuredClone(config)), config));

  it('names unknown fields, with the nearest known one', () => {
    onlyFault(
      '/bounds/bodyByteMax',
      /no such field; did you mean 'bodyBytesMax'\?/,
      (t) => (t.bounds.bodyByteMax = 1),
    );
    onlyFault('/region', /did you mean 'regions'\?/, (t) => {
      t.region = {};
    });
    onlyFault('/regions/us-east/colour', /known are code, host/, (t) => {
      t.regions['us-east'].colour = 1;
    });
    onlyFault('/edge/a~1b', /no such field/, (t) => {
      t.edge['a/b'] = 1;
    });
  });

  it('checks the shape of every field', () => {
    onlyFault('/name', /a name of 1 to 32.*got "Big Shop"/, (t) => {
      t.name = 'Big Shop';
    });
    onlyFault(
      '/bounds/readDeadlineMs',
      /from 10 to 600000, but it is missing/,
      (t) => delete t.bounds.readDeadlineMs,
    );
    onlyFault(
      '/bounds/readDeadlineMs',
      /from 10 to 600000, got "5s"/,
      (t) => (t.bounds.readDeadlineMs = '5s'),
    );
    onlyFault('/bounds/drainTimeoutMs', /got 0\.5/, (t) => {
      t.bounds.drainTimeoutMs = 0.5;
    });
    onlyFault('/engines/log', /'sqlite', 'mysql', or one of modules, got "oracle"/, (t) => {
      t.engines.log = 'oracle';
    });
    onlyFault('/engines/modules/oracle/module', /the URL of a module/, (t) => {
      t.engines = { log: 'oracle', modules: { oracle: { module: './oracle.ts' } } };
    });
    onlyFault('/engines/modules/mysql', /the house has an engine of that name/, (t) => {
      t.engines.modules = { mysql: { module: 'file:///oracle.ts' } };
    });
    onlyFault('/engines/modules/Oracle', /lower-case/, (t) => {
      t.engines.modules = { Oracle: { module: 'file:///oracle.ts', options: {} } };
    });
    for (const wrong of [{ f: () => 1 }, { n: 1n }, { m: new Map() }, { long: 'x'.repeat(70_000) }])
      onlyFault('/engines/modules/oracle/options', /expected JSON of at most/, (t) => {
        t.engines.modules = { oracle: { module: 'file:///oracle.ts', options: wrong } };
      });
    const modules = { oracle: { module: 'file:///oracle.ts', options: { sid: 1 } } };
    const taken = faultsOf((t) => {
      t.engines = { log: 'oracle', modules };
    });
    assert.deepEqual(taken, {});
    onlyFault('/engines/mysql', /a server: .* but it is missing/, (t) => {
      t.engines.log = 'mysql';
    });
    onlyFault('/engines/mysql/address', /expected an address such as/, (t) => {
      t.engines.mysql = {
        address: 'mysql://user:secret@host:3306/{region}-{shard}',
        passwordVariable: 'P',
        tls: {},
      };
    });
    onlyFault('/engines/mysql/address', /each shard has one of its own/, (t) => {
      t.engines.mysql = { address: 'mysql://user@db-{region}:3306/shop', passwordVariable: 'P', tls: {} };
    });
    onlyFault('/engines/mysql/address', /regions share no database/, (t) => {
      t.engines.mysql = { address: 'mysql://{region}@db:3306/{shard}', passwordVariable: 'P', tls: {} };
    });
    onlyFault('/engines/mysql/passwordVariable', /the name of a variable/, (t) => {
      t.engines.mysql = { address: 'mysql://user@127.0.0.1:3306/{region}-{shard}', passwordVariable: 'p' };
    });
    onlyFault('/engines/mysql/tls', /is encrypted/, (t) => {
      t.engines.mysql = { address: 'mysql://user@db-{region}:3306/{shard}', passwordVariable: 'P' };
    });
    onlyFault('/engines/mysql/replicas/0', /each shard has one of its own/, (t) => {
      t.engines.mysql = {
        address: 'mysql://user@127.0.0.1:3306/{region}-{shard}',
        replicas: ['mysql://user@127.0.0.1:3307/{region}'],
        passwordVariable: 'P',
      };
    });
    onlyFault('/engines/mysql/tls', /is encrypted/, (t) => {
      t.engines.mysql = {
        address: 'mysql://user@127.0.0.1:3306/{region}-{shard}',
        replicas: ['mysql://user@db-{region}:3306/{shard}'],
        passwordVariable: 'P',
      };
    });
    onlyFault('/services/users/durability', /'region' or 'cross-region', got "both"/, (t) => {
      t.services.users.durability = 'both';
    });
    onlyFault('/services/users/durability', /needs a coordinator/, (t) => {
      delete t.coordinator;
      t.services.users.durability = 'cross-region';
    });
    const crossRegion = faultsOf((t) => {
      t.services.users.durability = 'cross-region';
      t.coordinator = { engine: 'embedded', host: '127.0.0.1', port: 9_090 };
    });
    assert.deepEqual(crossRegion, {});
    onlyFault('/services/users/replicas', /from 0 to 4, got 5/, (t) => {
      t.services.users.replicas = 5;
    });
    onlyFault('/edge/port', /from 1 to 65535, got 0/, (t) => {
      t.edge.port = 0;
    });
    onlyFault('/regions/us-east/host', /a host name/, (t) => {
      t.regions['us-east'].host = 'http://a';
    });
    onlyFault(
      '/regions/us-east/countries/0',
      /ISO 3166.*got "usa"/,
      (t) => (t.regions['us-east'].countries[0] = 'usa'),
    );
  });

  it('checks what outlives a region, and who may hold what', () => {
    onlyFault('/services/orders/rpoMsMax', /needs a coordinator/, (t) => {
      delete t.coordinator;
      t.services.orders.rpoMsMax = 5_000;
    });
    onlyFault('/services/orders/rpoMsMax', /for the durability 'region' alone/, (t) => {
      t.services.orders.durability = 'cross-region';
      t.services.orders.rpoMsMax = 5_000;
    });
    onlyFault('/services/orders/rpoMsMax', /from 500 to 86400000, got 100/, (t) => {
      t.services.orders.rpoMsMax = 100;
    });
    const policy = (bornIn: string, regions: Broken, elsewhere: Broken, change: (users: Broken) => void) => {
      return (t: Broken): void => {
        t.services.users.residency = { [bornIn]: { regions, elsewhere } };
        change(t.services.users);
      };
    };
    const nothing = (): void => undefined;
    const across = (users: Broken): void => {
      users.durability = 'cross-region';
    };
    const bound = (users: Broken): void => {
      users.rpoMsMax = 5_000;
    };
    const at = '/services/users/residency/eu-west';
    onlyFault(
      '/services/users/residency/eu-wets',
      /no region 'eu-wets'; did you mean 'eu-west'/,
      policy('eu-wets', ['eu-west'], 'nothing', nothing),
    );
    onlyFault(`${at}/regions`, /at least one region, got \[\]/, policy('eu-west', [], 'nothing', nothing));
    onlyFault(
      `${at}/regions`,
      /expected 'eu-west' among them/,
      policy('eu-west', ['us-east'], 'sealed', nothing),
    );
    onlyFault(
      `${at}/regions/1`,
      /'eu-west' is listed twice/,
      policy('eu-west', ['eu-west', 'eu-west'], 'sealed', nothing),
    );
    onlyFault(
      `${at}/regions/1`,
      /no region 'us-wst'; did you mean/,
      policy('eu-west', ['eu-west', 'us-wst'], 'sealed', nothing),
    );
    onlyFault(
      `${at}/elsewhere`,
      /'nothing' or 'sealed', got "all"/,
      policy('eu-west', ['eu-west'], 'all', nothing),
    );
    onlyFault(
      at,
      /'cross-region' needs a second region that may hold/,
      policy('eu-west', ['eu-west'], 'nothing', across),
    );
    onlyFault(
      at,
      /rpoMsMax needs a second region that may hold/,
      policy('eu-west', ['eu-west'], 'nothing', bound),
    );
    for (const change of [across, bound]) {
      assert.deepEqual(faultsOf(policy('eu-west', ['eu-west'], 'sealed', change)), {});
      assert.deepEqual(faultsOf(policy('eu-west', ['eu-west', 'us-east'], 'nothing', change)), {});
    }
    assert.deepEqual(faultsOf(policy('eu-west', ['eu-west'], 'nothing', nothing)), {});
  });

  it('checks the rules that span fields', () => {
    onlyFault('/regions/us-west/code', /code 1 stands at \/regions\/us-east\/code already/, (t) => {
      t.regions['us-west'].code = 1;
    });
    onlyFault('/regions/us-west/peerPort', /127\.0\.0\.1:8080 stands at \/edge\/port already/, (t) => {
      t.regions['us-west'].peerPort = 8080;
    });
    onlyFault(
      '/regions/eu-west/countries/0',
      /"BR" stands at \/regions\/us-east\/countries\/\d+ already/,
      (t) => {
        t.regions['eu-west'].countries[0] = 'BR';
      },
    );
    onlyFault('/regions', /exactly one region whose countries have '\*'.*none/, (t) => {
      t.regions['eu-west'].countries.pop();
    });
    onlyFault(
      '/services/users/partitions',
      /power of two, got 12/,
      (t) => (t.services.users.partitions = 12),
    );
    onlyFault(
      '/services/users/globalPartitions',
      /power of two, got 3/,
      (t) => (t.services.users.globalPartitions = 3),
    );
    onlyFault(
      '/services/orders/shards',
      /at most one shard a partition \(16\), got 17/,
      (t) => (t.services.orders.shards = 17),
    );
    onlyFault('/bounds/queueEntriesMax', /at least batchEntriesMax/, (t) => {
      t.bounds.queueEntriesMax = 10;
    });
    onlyFault('/regions/US', /expected a name/, (t) => {
      t.regions.US = { ...t.regions['us-east'], code: 9, port: 1, peerPort: 2, countries: [] };
    });
    const hosted = faultsOf((t) => {
      t.instances.services = ['users', 'oders', 'users', 'products'];
    });
    assert.match(hosted['/instances/services/1'] as string, /no service 'oders'; did you mean 'orders'\?/);
    assert.match(hosted['/instances/services/2'] as string, /listed twice/);
    assert.match(hosted['/instances/services'] as string, /no instance hosts the service 'orders'/);
  });

  it('takes a coordinator of either engine, and says what it needs', () => {
    const etcd = {
      ...{ engine: 'etcd', endpoints: ['etcd-1:2379', '[fd00::1]:2379'], tls: {} },
      ...{ user: 'cardume', passwordVariable: 'CARDUME_ETCD_PASSWORD' },
    };
    const embedded = { engine: 'embedded', host: '127.0.0.1', port: 9_090 };
    const local = { engine: 'etcd', endpoints: ['127.0.0.1:2379', 'localhost:2380', '[::1]:2381'] };
    for (const coordinator of [etcd, embedded, local])
      assert.deepEqual(
        faultsOf((t) => (t.coordinator = coordinator)),
        {},
      );

    onlyFault('/coordinator/engine', /'embedded' or 'etcd', got "zookeeper"/, (t) => {
      t.coordinator = { engine: 'zookeeper' };
    });
    onlyFault('/coordinator/engine', /but it is missing/, (t) => {
      t.coordinator = { host: '127.0.0.1', port: 9_090 };
    });
    onlyFault('/coordinator/endpoint', /did you mean 'endpoints'\?/, (t) => {
      t.coordinator = { ...etcd, endpoint: 'etcd-1:2379' };
    });
    onlyFault('/coordinator/port', /from 1 to 65535, but it is missing/, (t) => {
      t.coordinator = { engine: 'embedded', host: '127.0.0.1' };
    });
    onlyFault('/coordinator/endpoints', /1 to 9 addresses of members, but it is missing/, (t) => {
      t.coordinator = { engine: 'etcd' };
    });
    onlyFault('/coordinator/endpoints', /1 to 9 addresses/, (t) => {
      t.coordinator = { ...etcd, endpoints: [] };
    });
    onlyFault('/coordinator/endpoints/1', /an address such as 'etcd-1:2379', got "https:/, (t) => {
      t.coordinator = { ...etcd, endpoints: ['etcd-1:2379', 'https://etcd-2:2379'] };
    });
    onlyFault('/coordinator/endpoints/1', /"etcd-1:2379" is listed twice/, (t) => {
      t.coordinator = { ...etcd, endpoints: ['etcd-1:2379', 'etcd-1:2379'] };
    });
    onlyFault('/coordinator/tls', /a connection that leaves this machine is encrypted/, (t) => {
      t.coordinator = { engine: 'etcd', endpoints: ['127.0.0.1:2379', 'etcd-2:2379'] };
    });
    onlyFault('/coordinator/user', /both or neither/, (t) => {
      t.coordinator = { ...etcd, user: undefined };
    });
    onlyFault('/coordinator/passwordVariable', /both or neither/, (t) => {
      t.coordinator = { ...etcd, passwordVariable: undefined };
    });
    onlyFault('/coordinator/passwordVariable', /the name of a variable/, (t) => {
      t.coordinator = { ...etcd, passwordVariable: 'secret word' };
    });
    onlyFault('/coordinator/endpoints', /'embedded' has no such field; it has host, port/, (t) => {
      t.coordinator = { ...embedded, endpoints: ['127.0.0.1:2379'] };
    });
    onlyFault('/coordinator/host', /'etcd' has no such field; it has endpoints, user/, (t) => {
      t.coordinator = { ...etcd, host: '127.0.0.1' };
    });
    onlyFault('/regions/us-west/port', /127.0.0.1:9090 stands at \/coordinator\/port already/, (t) => {
      t.coordinator = embedded;
      t.regions['us-west'].port = 9_090;
    });
    onlyFault('/regions/coordinator', /the region needs another name/, (t) => {
      t.coordinator = embedded;
      t.regions.coordinator = {
        ...t.regions['us-west'],
        code: 30,
        port: 9_100,
        peerPort: 9_101,
        countries: [],
      };
    });
  });

  it('tells all at once, however many there are', () => {
    const faults = faultsOf((t) => {
      for (const bound of Object.keys(t.bounds)) t.bounds[bound] = -1;
      t.services.users.partitions = 3;
      t.regions['us-west'].code = 1;
    });
    assert.equal(Object.keys(faults).length, Object.keys(config.bounds).length + 2);
  });

  it('survives anything', () => {
    for (const value of [
      null,
      3,
      'text',
      [],
      {},
      { regions: [], services: 5, instances: null, bounds: 'x' },
    ]) {
      assert.throws(
        () => parseTopology(value),
        (error) => isCardumeError(error, 'invalid-input'),
      );
    }
  });
});
