/** MySQL's protocol through `mysql2`: bounded pools, prepared statements, failures told as ours. */
import { createRequire } from 'node:module';
import type * as Mysql from 'mysql2/promise';
import type { Pool, PoolConnection, PoolOptions, ResultSetHeader } from 'mysql2/promise';
import { CardumeError } from '../base/errors.ts';
import type { SqlRow, SqlValue } from './disk.ts';
import {
  isLost,
  isTimedOut,
  type SqlAddress,
  type SqlBounds,
  type SqlDatabase,
  type SqlServers,
  type SqlSession,
  type SqlTls,
  type SqlWithin,
} from './sql.ts';

/**
 * Of every connection, before its first statement. Strict: what does not fit is refused, not cut. Read committed: no
 * locks on gaps, so that writers of different partitions do not wait for one another. A lock that is not to be had
 * belongs to a connection that hangs; we hear of it in time to do something about it.
 */
const SETTINGS = [
  "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
  'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
  'SET SESSION autocommit = 1',
  'SET SESSION innodb_lock_wait_timeout = 5',
  'SET SESSION lock_wait_timeout = 5',
  // A host that vanished, or stands still, in the middle of a transaction must not hold its locks for hours. It also ends
  // what is idle: the driver's own way to do that would end all connections that are free, every second.
  'SET SESSION wait_timeout = 30',
  // Text is ordered whole (`TEXT_BYTES_MAX`, and the length that a blob carries), not by its first kilobyte.
  'SET SESSION max_sort_length = 8200',
];
const CONNECT_TIMEOUT_MS = 5_000;
const PREPARED_MAX = 200;
/** Statements that wait for a connection. */
const WAITING_MAX = 10_000;

/** Loaded when a server is wanted: with the embedded engine no process pays for it. */
let loaded: typeof Mysql | null = null;
function driver(): typeof Mysql {
  loaded ??= createRequire(import.meta.url)('mysql2/promise') as typeof Mysql;
  return loaded;
}

export const realSql: SqlServers = {
  database: (address, bounds) => open(address, bounds),
};

function open(address: SqlAddress, bounds: SqlBounds): SqlDatabase {
  const { host, port, user, password, database, tls } = address;
  const where = `${host}:${port}/${database}`;
  const encrypted: PoolOptions = tls === undefined ? {} : { ssl: encryption(tls) };
  const pool: Pool = driver().createPool({
    host,
    port,
    user,
    password,
    database,
    ...encrypted,
    charset: 'utf8mb4',
    timezone: 'Z',
    supportBigNumbers: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    connectionLimit: bounds.connectionsMax,
    maxPreparedStatements: PREPARED_MAX,
    queueLimit: WAITING_MAX,
    enableKeepAlive: true,
  });
  pool.on('connection', (connection) => {
    const raw = connection as unknown as {
      query(sql: string): void;
      on(event: 'error', hear: () => void): void;
    };
    raw.on('error', () => undefined); // whoever uses it next is told; nobody listens in between
    for (const setting of SETTINGS) raw.query(setting);
  });

  async function connection(limit?: SqlWithin): Promise<PoolConnection> {
    const taken = pool.getConnection();
    try {
      return await (limit === undefined ? taken : within(limit.timeoutMs, taken, limit.signal));
    } catch (error) {
      void taken.then(
        (late) => late.release(),
        () => undefined,
      );
      throw translated(where, user, error);
    }
  }

  function sessionOn(
    held: PoolConnection,
    limit?: SqlWithin,
  ): SqlSession & { broken(): boolean; timedOut(): boolean } {
    let broken = false;
    let timedOut = false;
    async function told<T>(work: Promise<[T, unknown]>): Promise<T> {
      try {
        return (await within(limit?.timeoutMs ?? bounds.statementTimeoutMs, work, limit?.signal))[0];
      } catch (error) {
        const failure = translated(where, user, error);
        broken ||= isLost(failure);
        timedOut ||= isTimedOut(failure);
        throw failure;
      }
    }
    const execute = (sql: string, values: readonly SqlValue[]): Promise<SqlRow[] | ResultSetHeader> =>
      told(held.execute(sql, values.map(bound) as never) as unknown as Promise<[SqlRow[], unknown]>);
    return {
      broken: () => broken,
      timedOut: () => timedOut,
      rows: async (sql, values = []) => (await execute(sql, values)) as SqlRow[],
      run: async (sql, values = []) => ({
        changes: ((await execute(sql, values)) as ResultSetHeader).affectedRows,
      }),
      exec: async (sql) => void (await told(held.query(sql))),
    };
  }

  async function held<T>(
    work: (session: SqlSession) => Promise<T>,
    isTransaction: boolean,
    limit?: SqlWithin,
  ): Promise<T> {
    const taken = await connection(limit);
    const session = sessionOn(taken, limit);
    try {
      const result = await work(session);
      taken.release();
      return result;
    } catch (error) {
      if (session.timedOut()) void kill(taken.threadId).catch(() => undefined); // it ended meanwhile
      await giveBack(taken, session.broken(), isTransaction);
      throw error;
    }
  }

  async function giveBack(taken: PoolConnection, isBroken: boolean, isTransaction: boolean): Promise<void> {
    if (!isBroken && !isTransaction) return taken.release();
    try {
      if (isBroken) throw new Error('the connection is of no use');
      await within(bounds.statementTimeoutMs, taken.query('ROLLBACK'));
      taken.release();
    } catch {
      taken.destroy(); // the server undoes what was open on it
    }
  }

  /** On a connection of its own: the pool may be what is stuck. */
  async function kill(threadId: number): Promise<void> {
    const own = { host, port, user, password, ...encrypted, connectTimeout: CONNECT_TIMEOUT_MS };
    const other = await driver().createConnection(own);
    try {
      await within(CONNECT_TIMEOUT_MS, other.query(`KILL ${threadId}`));
    } finally {
      other.destroy();
    }
  }

  return {
    name: database,
    another: (others) => open(address, others),
    rows: (sql, values, limit) => held((session) => session.rows(sql, values), false, limit),
    run: (sql, values) => held((session) => session.run(sql, values), false),
    exec: (sql) => held((session) => session.exec(sql), false),
    session: (work, limit) => held(work, true, limit),
    async close() {
      // What ends badly has ended.
      await within(CONNECT_TIMEOUT_MS, pool.end()).catch(() => undefined);
    },
  };
}

function encryption({ ca }: SqlTls): NonNullable<PoolOptions['ssl']> {
  return {
    ...(ca === undefined ? {} : { ca }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    verifyIdentity: true,
  };
}

/** The driver's own limit begins when a statement is sent, behind its preparation and the connection's settings. */
function within<T>(limitMs: number, work: Promise<T>, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const over = (why: string): void =>
      reject(Object.assign(new Error(why), { code: 'PROTOCOL_SEQUENCE_TIMEOUT' }));
    const left = (): void => over('nobody waits for an answer');
    const late = setTimeout(() => over(`no answer within ${limitMs} ms`), limitMs);
    signal?.addEventListener('abort', left);
    if (signal?.aborted === true) left();
    work
      .finally(() => {
        clearTimeout(late);
        signal?.removeEventListener('abort', left);
      })
      .then(resolve, reject);
  });
}

/**
 * A number travels as a double, which is exact up to 2^53 and what the driver is fastest with: with whole numbers typed
 * as such, 128 rows took half as long again.
 */
function bound(value: SqlValue): unknown {
  if (typeof value === 'bigint') return driver().TypedParameter.LONGLONG(value);
  return value instanceof Uint8Array && !Buffer.isBuffer(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : value;
}

const DUPLICATE = 1062;
/** The server's error numbers (MySQL 8 and MariaDB 10.11 manuals, "Server Error Message Reference"; from 8002, TiDB's "Error Codes"). */
const EXPLAINED: Readonly<Record<number, string>> = {
  1021: 'the server’s disk is full',
  1040: 'the server has no connection left: lower the pools, or raise max_connections',
  1044: 'the user may not use this database: grant it',
  1045: 'user or password is wrong',
  1047: 'the server’s cluster is not ready',
  1049: 'there is no such database: create it, or correct its name in the topology',
  1053: 'the server is shutting down',
  1114: 'the table is full: the server’s disk may be',
  1129: 'the server has blocked this host after too many failed connections: FLUSH HOSTS',
  1142: 'the user may not do this: grant it',
  1146: 'a table is missing',
  1153: 'a row is larger than the server’s max_allowed_packet',
  1203: 'the user has no connection left',
  1205: 'a lock was not to be had in time',
  1213: 'the transaction was undone for another’s sake',
  1226: 'the user’s limit is reached',
  1290: 'the server is read-only: it is a replica, or was set so',
  1317: 'the statement was interrupted',
  1461: 'the server keeps no more prepared statements: raise max_prepared_stmt_count',
  1792: 'the transaction is read-only',
  1836: 'the server is read-only',
  1927: 'the connection was ended on the server',
  1969: 'the statement took longer than the server allows',
  3024: 'the statement took longer than the server allows',
  3032: 'the server is offline',
  8002: 'the transaction was undone for another’s sake',
  8022: 'the transaction was undone for another’s sake',
  8025: 'a row is larger than the server’s txn-entry-size-limit',
  8028: 'the transaction was undone for the sake of a table’s new definition',
  9001: 'the server’s cluster does not answer it in time',
  9002: 'the server’s cluster does not answer it in time',
  9003: 'the server’s cluster is busy',
  9004: 'the server’s cluster is busy',
  9005: 'a part of the server’s cluster is away',
  9007: 'the transaction was undone for another’s sake',
};
/** What the network says (errno(3)), and mysql2 when the wire breaks. */
const LOST: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there: start the server, or correct the address in the topology',
  ECONNRESET: 'the connection broke',
  ENOTFOUND: 'there is no host of that name',
  EPIPE: 'the connection broke',
  ETIMEDOUT: 'the server does not answer',
  EHOSTUNREACH: 'the host cannot be reached',
  PROTOCOL_CONNECTION_LOST: 'the connection broke',
  PROTOCOL_SEQUENCE_TIMEOUT: 'the server took longer than the statement may',
  HANDSHAKE_NO_SSL_SUPPORT:
    'the server offers no TLS: turn it on there, or leave `tls` out for a server on loopback',
  HANDSHAKE_SSL_ERROR: 'the server’s certificate is not trusted: name its authority as `ca`',
};

/** Of the connection rather than of the statement: whatever the system calls it. */
function isOfWire(error: unknown): boolean {
  const { fatal, syscall, message } = error as { fatal?: boolean; syscall?: string; message: string };
  return fatal === true || syscall !== undefined || /closed state|Connection lost/.test(message);
}

/** Never tells the password. @param error of mysql2, with the server's number in `errno` */
function translated(where: string, user: string, error: unknown): unknown {
  const { errno = 0, code = '', message } = error as { errno?: number; code?: string; message: string };
  if (message === 'Pool is closed.')
    return new CardumeError('draining', `${where}: it is closed`, { cause: error });
  if (message === 'Queue limit reached.')
    return new CardumeError('overloaded', `${WAITING_MAX} statements wait for a connection`, {
      cause: error,
    });
  if (errno === DUPLICATE) return new CardumeError('conflict', message, { cause: error });
  const lost =
    LOST[code] ?? (isOfWire(error) && EXPLAINED[errno] === undefined ? LOST['ECONNRESET'] : undefined);
  const why = lost ?? EXPLAINED[errno];
  if (why === undefined) return error;
  const cause = lost === undefined ? error : Object.assign(error as object, { fatal: true });
  return new CardumeError('storage-failed', `${user}@${where}: ${why}`, { cause });
}
