/**
 * The database servers that `npm run engines` has started, for tests. Where one does not run its tests are skipped, and
 * say so; with `CARDUME_ENGINES=required`, as in CI, they fail.
 *
 * Whatever is tried on MariaDB may be tried on another server of MySQL's family: `CARDUME_MARIADB=vitess` takes the one
 * that `.cardume/engines/vitess.json` tells of, which nobody starts but you. With a `database` in it, tests have that alone,
 * and empty it: on Vitess, a keyspace.
 */
import { fileURLToPath } from 'node:url';
import { isCardumeError } from '../base/errors.ts';
import { again } from '../database/mysql/again.ts';
import type { Host } from '../host/host.ts';
import type { SqlAddress, SqlDatabase } from '../host/sql.ts';

export interface Server {
  /** A new database of its own, and what drops it. @param kind `replicated`: the server's replica has it, too */
  newDatabase(kind?: 'test' | 'replicated'): Promise<{ readonly address: SqlAddress; drop(): Promise<void> }>;
  /** Drops databases by the beginning of their names. */
  dropAll(prefix: string): Promise<void>;
  readonly address: SqlAddress;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string;
  /** For whoever watches or disturbs the server. */
  readonly admin: SqlDatabase;
  /** What its connections do. */
  running(): Promise<Connection[]>;
}

export interface Connection {
  readonly id: number;
  readonly database: string;
  /** Empty when it does nothing. */
  readonly statement: string;
}

/** Either the server, or why its tests are skipped. */
export type Found = { readonly name: string } & (
  | { readonly server: Server; readonly skip: false }
  | { readonly skip: string }
);

interface Recorded extends Omit<SqlAddress, 'database'> {
  readonly ca: string;
  readonly database?: string;
}

const HOUSE = new URL('../../../', import.meta.url);
const ADMIN_BOUNDS = { connectionsMax: 2, statementTimeoutMs: 30_000 };

/** @param name as `npm run engines -- status` tells it @throws Error when it must run and does not */
export async function serverNamed(host: Host, asked: string): Promise<Found> {
  const name = (asked === 'mariadb' ? host.env.get('CARDUME_MARIADB') : undefined) ?? asked;
  const record = await host.disk.read(fileURLToPath(new URL(`.cardume/engines/${name}.json`, HOUSE)));
  if (record !== null) {
    const running = JSON.parse(Buffer.from(record).toString()) as Recorded;
    const { port, user, password, host: at, ca, database: only } = running;
    const address = { host: at, port, user, password, database: 'information_schema' };
    const admin = host.sql.database(address, ADMIN_BOUNDS);
    try {
      await admin.rows('SELECT 1');
      return { name, server: serverAt(host, admin, address, { ca, only }), skip: false };
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      await admin.close();
    }
  }
  const skip = `skipped: ${name} is not running`;
  if (host.env.get('CARDUME_ENGINES') === 'required')
    throw new Error(`${name} is not running: npm run engines -- start ${name}`);
  return { name, skip };
}

function serverAt(
  host: Host,
  admin: SqlDatabase,
  address: SqlAddress,
  { ca, only }: { readonly ca: string; readonly only: string | undefined },
): Server {
  // A long test may leave its connections alone for longer than the server keeps them.
  const exec = (sql: string): Promise<void> => again(host.clock, () => admin.exec(sql));
  return {
    admin,
    address,
    ca,
    async running() {
      // MySQL's table of the same cannot be read while a statement with bytes runs.
      return (await admin.rows('SHOW FULL PROCESSLIST')).map(({ Id, db, Info }) => ({
        id: Id as number,
        database: String(db ?? ''),
        statement: String(Info ?? ''),
      }));
    },
    async dropAll(prefix) {
      const rows = await again(host.clock, () =>
        admin.rows('SELECT schema_name AS name FROM schemata WHERE schema_name LIKE ?', [
          `${prefix.replaceAll('_', '\\_')}%`,
        ]),
      );
      for (const { name } of rows) await exec(`DROP DATABASE IF EXISTS \`${name}\``);
    },
    async newDatabase(kind = 'test') {
      if (only !== undefined) {
        const empty = (): Promise<void> => emptied(host, { ...address, database: only });
        await empty();
        return { address: { ...address, database: only }, drop: empty };
      }
      const database = `cardume_${kind}_${Buffer.from(host.random.bytes(6)).toString('hex')}`;
      await exec(`CREATE DATABASE IF NOT EXISTS ${database}`);
      return {
        address: { ...address, database },
        drop: () => exec(`DROP DATABASE IF EXISTS ${database}`),
      };
    },
  };
}

async function emptied(host: Host, address: SqlAddress): Promise<void> {
  const database = host.sql.database(address, ADMIN_BOUNDS);
  try {
    for (const table of await database.rows('SHOW TABLES'))
      await database.exec(`DROP TABLE \`${Object.values(table)[0]}\``);
  } finally {
    await database.close();
  }
}
