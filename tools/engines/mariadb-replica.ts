/**
 * A second MariaDB that replicates the first, asynchronously: of the databases whose names begin with `cardume_replicated_`,
 * from each of its starts on, since tests make databases of their own.
 */
import { createConnection } from 'mysql2/promise';
import { type Engine, isAlive, type Running, recall } from './engine.ts';
import { mariadb } from './mariadb.ts';

export function mariadbReplica(name: string, primary: Engine, port: number): Engine {
  /** @throws Error that says what to start */
  function followed(): Running {
    const running = recall(primary.name);
    if (running === null || !isAlive(running.pid))
      throw new Error(`${name} follows ${primary.name}, which does not run: npm run engines -- start`);
    return running;
  }

  const server = mariadb(name, {
    serverId: 2,
    port,
    options: ['--replicate-wild-do-table=cardume\\_replicated\\_%.%', '--read-only=1'],
    // As a topology has it: one user for all.
    password: () => followed().password,
  });
  return {
    ...server,
    about: 'a second one, which replicates the first: read replicas of shards',
    async start() {
      const started = await server.start();
      await follow(started, followed());
      return started;
    },
  };
}

async function follow(replica: Running, { host, port, user, password }: Running): Promise<void> {
  const there = await createConnection({ host, port, user, password });
  const here = await createConnection({
    ...{ host: replica.host, port: replica.port, user: replica.user, password: replica.password },
  });
  try {
    const [rows] = await there.query('SELECT @@gtid_binlog_pos AS position');
    const [{ position }] = rows as unknown as [{ position: string }];
    await here.query('STOP SLAVE');
    await here.query('SET GLOBAL gtid_slave_pos = ?', [position]);
    await here.query(
      'CHANGE MASTER TO MASTER_HOST = ?, MASTER_PORT = ?, MASTER_USER = ?, MASTER_PASSWORD = ?, MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos',
      [host, port, user, password],
    );
    await here.query('START SLAVE');
  } finally {
    await there.end();
    await here.end();
  }
}
