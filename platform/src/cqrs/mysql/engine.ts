/** Shards in databases of MySQL's family. */
import { mysql } from '../../events/mysql/mysql.ts';
import type { ShardEngine } from '../engine.ts';
import type { DatabasePlace } from '../storage.ts';
import { openMysqlReplica } from './replica.ts';
import { openMysqlBeside, openMysqlReading, openMysqlStores } from './stores.ts';

export const mysqlEngine: ShardEngine<DatabasePlace> = {
  log: mysql,
  openStores: (host, { sql }, ...more) => openMysqlStores(host, sql, ...more),
  openBeside: (host, { sql }, ...more) => openMysqlBeside(host, sql, ...more),
  openReading: (host, { sql }, builds, { deadlineMs }) => openMysqlReading(host, sql, builds, deadlineMs),
  openReplicas: (host, { replicas = [] }, { builds, readers }) =>
    replicas.map((address) => openMysqlReplica(host, address, builds, readers.deadlineMs)),
};
