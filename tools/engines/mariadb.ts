/** MariaDB on loopback with a data folder of its own: durable as in production, small in memory. */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { aptInstall, programOf } from './apt.ts';
import { certificateIn } from './certificate.ts';
import { type Engine, end, folderOf, freePort, type Running, recall, untilListening } from './engine.ts';

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 30_000;
const USER = 'cardume';

export interface MariadbOptions {
  /** What replication tells servers apart by. */
  readonly serverId: number;
  /** The first to try. */
  readonly port: number;
  /** Of the server, besides those that it always has. */
  readonly options?: readonly string[];
  /** When its data is made; one of its own when left out. */
  readonly password?: () => string;
}

export function mariadb(
  name: string,
  { serverId, port, options = [], password: given }: MariadbOptions,
): Engine {
  const folder = folderOf(name);
  const data = join(folder, 'data');
  const log = join(folder, 'server.log');
  /** The first start has succeeded: users and passwords stand. */
  const made = join(folder, 'made');
  const user = process.getuid?.() === 0 ? ['--user=root'] : [];

  function make(password: string): void {
    mkdirSync(folder, { recursive: true });
    const done = spawnSync(
      programOf('mariadb-install-db') as string,
      [
        '--no-defaults',
        `--datadir=${data}`,
        '--auth-root-authentication-method=normal',
        '--skip-test-db',
        ...user,
      ],
      { encoding: 'utf8' },
    );
    if (done.status !== 0) throw new Error(`mariadb-install-db failed:\n${done.stderr}${done.stdout}`);
    // Read by the server at its first start. It listens on loopback, so its user may come from there alone.
    const sql = [
      `CREATE USER '${USER}'@'127.0.0.1' IDENTIFIED BY '${password}'`,
      `GRANT ALL ON *.* TO '${USER}'@'127.0.0.1' WITH GRANT OPTION`,
      "ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket",
    ];
    writeFileSync(join(folder, 'first.sql'), sql.map((line) => `${line};\n`).join(''), { mode: 0o600 });
  }

  return {
    name,
    about: 'a database server of MySQL’s family: log and read models (engine mysql)',
    installed: () => programOf('mariadbd') !== null && programOf('mariadb-install-db') !== null,
    install: () => aptInstall('mariadb-server'),
    async start() {
      const password = given?.() ?? recall(name)?.password ?? randomBytes(18).toString('base64url');
      // What was begun and not finished is made anew, as is what has another password.
      const isNew = !existsSync(made) || recall(name)?.password !== password;
      if (isNew) {
        rmSync(data, { recursive: true, force: true });
        make(password);
      }
      const running = { host: '127.0.0.1', port: await freePort(port), user: USER, password };
      const { ca, cert, key } = certificateIn(join(folder, 'tls'));
      const out = openSync(log, 'a', 0o600);
      const child = spawn(
        programOf('mariadbd') as string,
        [
          '--no-defaults',
          ...user,
          `--datadir=${data}`,
          `--bind-address=${running.host}`,
          `--port=${running.port}`,
          // A path of a socket has at most 107 bytes, and a clone may stand deep in folders.
          `--socket=/tmp/cardume-${name}-${running.port}.sock`,
          `--pid-file=${join(folder, 'server.pid')}`,
          `--server-id=${serverId}`,
          `--log-bin=${join(folder, 'binlog')}`,
          '--binlog-format=ROW',
          '--sync-binlog=1',
          '--innodb-flush-log-at-trx-commit=1',
          '--innodb-buffer-pool-size=256M',
          '--innodb-log-file-size=256M',
          '--expire-logs-days=1',
          '--skip-name-resolve',
          `--ssl-ca=${ca}`,
          `--ssl-cert=${cert}`,
          `--ssl-key=${key}`,
          '--max-connections=300',
          ...options,
          ...(isNew ? [`--init-file=${join(folder, 'first.sql')}`] : []),
        ],
        { detached: true, stdio: ['ignore', out, out] },
      );
      child.unref();
      const started: Running = { ...running, pid: child.pid as number, ca: readFileSync(ca, 'utf8') };
      await untilListening(started, START_MS_MAX, () => readFileSync(log, 'utf8').slice(-2_000));
      if (isNew) writeFileSync(made, '');
      return started;
    },
    stop: (running) => end(running.pid, STOP_MS_MAX),
  };
}
