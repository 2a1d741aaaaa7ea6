/**
 * The database servers that `npm run engines` has started, for tests. Where one does not run its tests are skipped, and
 * say so; with `CARDUME_ENGINES=required`, as in CI, they fail.
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
}

/** Either the server, or why its tests are skipped. */
export type Found = { readonly server: Server; readonly skip: false } | { readonly skip: string };

const HOUSE = new URL('../../../', import.meta.url);
const ADMIN_BOUNDS = { connectionsMax: 2, statementTimeoutMs: 30_000 };

/** @param name as `npm run engines -- status` tells it @throws Error when it must run and does not */
export async function serverNamed(host: Host, name: string): Promise<Found> {
  const record = await host.disk.read(fileURLToPath(new URL(`.cardume/engines/${name}.json`, HOUSE)));
  if (record !== null) {
    const running = JSON.parse(Buffer.from(record).toString()) as SqlAddress & { ca: string };
    const { port, user, password, host: at, ca } = running;
    const address = { host: at, port, user, password, database: 'information_schema' };
    const admin = host.sql.database(address, ADMIN_BOUNDS);
    try {
      await admin.rows('SELECT 1');
      return { server: serverAt(host, admin, address, ca), skip: false };
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      await admin.close();
    }
  }
  const skip = `skipped: ${name} is not running`;
  if (host.env.get('CARDUME_ENGINES') === 'required')
    throw new Error(`${name} is not running: npm run engines -- start ${name}`);
  return { skip };
}

function serverAt(host: Host, admin: SqlDatabase, address: SqlAddress, ca: string): Server {
  // A long test may leave its connections alone for longer than the server keeps them.
  const exec = (sql: string): Promise<void> => again(host.clock, () => admin.exec(sql));
  return {
    admin,
    address,
    ca,
    async dropAll(prefix) {
      const rows = await again(host.clock, () =>
        admin.rows('SELECT schema_name AS name FROM schemata WHERE schema_name LIKE ?', [
          `${prefix.replaceAll('_', '\\_')}%`,
        ]),
      );
      for (const { name } of rows) await exec(`DROP DATABASE IF EXISTS \`${name}\``);
    },
    async newDatabase(kind = 'test') {
      const database = `cardume_${kind}_${Buffer.from(host.random.bytes(6)).toString('hex')}`;
      await exec(`CREATE DATABASE IF NOT EXISTS ${database}`);
      return {
        address: { ...address, database },
        drop: () => exec(`DROP DATABASE IF EXISTS ${database}`),
      };
    },
  };
}
