/** Where the shards of a whole cluster stand in tests: in files, or on the server that `npm run engines` has started. */
import type { Host } from '../host/host.ts';
import type { Engines } from '../topology/topology.ts';
import { serverNamed } from './servers.ts';

export interface Storage {
  readonly engines: Engines;
  /** Of the environment. */
  readonly variables: Readonly<Record<string, string>>;
  clear(): Promise<void>;
}

/** With `CARDUME_ENGINE=mysql` the server. */
export const engineAsked = (host: Host): Engines['log'] =>
  host.env.get('CARDUME_ENGINE') === 'mysql' ? 'mysql' : 'sqlite';

/** Of either engine; the server is there in both cases, when it runs. */
export async function storageOf(host: Host, log: Engines['log'], isReplicated: boolean): Promise<Storage> {
  const found = await serverNamed(host, 'mariadb');
  if (found.skip !== false) {
    if (log === 'mysql') throw new Error('mariadb is not running: npm run engines -- start mariadb');
    return { engines: { log }, variables: {}, clear: async () => undefined };
  }
  const { server } = found;
  const { user, password, host: at, port } = server.address;
  const prefix = `cardume_${isReplicated ? 'replicated' : 'test'}_${Buffer.from(host.random.bytes(4)).toString('hex')}`;
  const database = `${prefix}_{region}_{shard}`;
  const replicas: string[] = [];
  if (isReplicated && log === 'mysql') {
    const following = await serverNamed(host, 'mariadb-replica');
    if (following.skip !== false)
      throw new Error('mariadb-replica is not running: npm run engines -- start mariadb-replica');
    const { admin, address: there } = following.server;
    replicas.push(`mysql://${there.user}@${there.host}:${there.port}/${database}`);
    await admin.close();
  }
  return {
    engines: {
      log,
      mysql: {
        address: `mysql://${user}@${at}:${port}/${database}`,
        replicas,
        passwordVariable: 'CARDUME_TEST_PASSWORD',
      },
    },
    variables: { CARDUME_TEST_PASSWORD: password },
    async clear() {
      await server.dropAll(prefix);
      await server.admin.close();
    },
  };
}
