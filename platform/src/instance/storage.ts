/** Where the topology's shards stand: files of the data folder, databases of a server, or what an engine of others says. */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { ShardPlace } from '../cqrs/storage.ts';
import type { PlaceInTopology } from '../events/engine.ts';
import type { Host } from '../host/host.ts';
import { isNoDatabase, type SqlAddress } from '../host/sql.ts';
import type { ShardOfMap } from '../sharding/shard-map.ts';
import type { MysqlServer, RegionName, Topology } from '../topology/topology.ts';

export interface ShardNamed extends Pick<ShardOfMap, 'service' | 'name'> {
  /** What the topology says, when it is left out. */
  readonly engine?: ShardOfMap['engine'];
}

const PREPARING = { connectionsMax: 1, statementTimeoutMs: 10_000 };
/** Of MySQL's family, for any name. */
const NAME_CHARACTERS_MAX = 64;

/**
 * A database that is missing is made.
 * @throws CardumeError `invalid-input` when the topology has no server, or the password's variable is not set; `storage-failed` when the server cannot
 *   be reached, or the database is missing and the user may not make it
 */
export async function placeOf(
  host: Host,
  { engines, services }: Topology,
  dataFolder: string,
  region: RegionName,
  { service, name: shard, engine = engines.log }: ShardNamed,
): Promise<ShardPlace> {
  const replicas = services[service]?.replicas ?? 0;
  if (engine === 'sqlite') return { base: `${dataFolder}/${region}/${shard}`, replicas };
  const { mysql, modules = {} } = engines;
  if (engine !== 'mysql') {
    const known = modules[engine];
    if (known === undefined)
      throw new CardumeError(
        'invalid-input',
        `'${shard}' has engine '${engine}', and the topology knows none: set engines.modules`,
      );
    const at: PlaceInTopology = {
      region,
      shard,
      folder: `${dataFolder}/${region}`,
      replicas,
      options: known.options ?? {},
    };
    return { module: known.module, at: at as unknown as Json };
  }
  if (mysql === undefined) {
    throw new CardumeError(
      'invalid-input',
      `'${shard}' stands on a server, and the topology names none: set engines.mysql`,
    );
  }
  const address = addressOf(host, mysql, mysql.address, region, shard);
  await prepareDatabase(host, address);
  const following = mysql.replicas ?? [];
  return { sql: address, replicas: following.map((one) => addressOf(host, mysql, one, region, shard)) };
}

function addressOf(
  host: Host,
  { passwordVariable, tls }: MysqlServer,
  template: string,
  region: RegionName,
  shard: string,
): SqlAddress {
  const password = host.env.get(passwordVariable);
  if (password === undefined) {
    throw new CardumeError(
      'invalid-input',
      `the variable ${passwordVariable} is not set: it holds the password of the topology's mysql server`,
    );
  }
  const filled = template.replaceAll('{region}', region).replaceAll('{shard}', shard);
  const [, user, at, port, database] = /^mysql:\/\/([^@]+)@([^:]+):(\d+)\/(.+)$/.exec(filled) as unknown as [
    string,
    string,
    string,
    string,
    string,
  ];
  if (database.length > NAME_CHARACTERS_MAX) {
    throw new CardumeError(
      'invalid-input',
      `a database's name has at most ${NAME_CHARACTERS_MAX} characters, and '${database}' has ${database.length}`,
    );
  }
  return { host: at, port: Number(port), user, password, database, tls };
}

async function prepareDatabase({ sql }: Host, address: SqlAddress): Promise<void> {
  const own = sql.database(address, PREPARING);
  try {
    await own.rows('SELECT 1');
  } catch (error) {
    if (!isCardumeError(error) || !isNoDatabase(error)) throw error;
    await make(sql, address, error);
  } finally {
    await own.close();
  }
}

async function make(sql: Host['sql'], address: SqlAddress, missing: CardumeError): Promise<void> {
  const server = sql.database({ ...address, database: 'information_schema' }, PREPARING);
  try {
    await server.exec(`CREATE DATABASE IF NOT EXISTS \`${address.database}\``);
  } catch (error) {
    if (!isCardumeError(error, 'storage-failed')) throw error;
    throw missing; // it says what to do
  } finally {
    await server.close();
  }
}
