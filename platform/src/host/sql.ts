/**
 * Databases behind a wire: servers that speak MySQL's protocol (MariaDB, MySQL, Aurora; Vitess and TiDB by theirs).
 * Text of the house is bytes there: columns are VARBINARY or BLOB, which no collation folds or pads.
 */
import { isCardumeError } from '../base/errors.ts';
import type { SqlRow, SqlValue } from './disk.ts';

export interface SqlServers {
  /** Connects when first used; the caller closes. */
  database(address: SqlAddress, bounds: SqlBounds): SqlDatabase;
}

/** Structured-cloneable: threads connect by themselves. */
export interface SqlAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Absent: the connection is not encrypted, which is for loopback alone. */
  readonly tls?: SqlTls | undefined;
}

export interface SqlTls {
  /** PEM of the authority that signed the server's certificate; the system's authorities when absent. */
  readonly ca?: string | undefined;
}

export interface SqlBounds {
  readonly connectionsMax: number;
  /** Of one statement; one that takes longer is ended on the server, too. */
  readonly statementTimeoutMs: number;
}

/**
 * Statements are prepared, once a connection. A number is bound as a double, a bigint as a whole number: some servers
 * take nothing else behind LIMIT. Blobs come back as bytes, whole numbers as numbers (as text beyond 2^53), decimals as
 * text.
 *
 * @throws CardumeError `conflict` for a second row of a unique key; `storage-failed` with what to do, for whatever an
 *   operator can mend. Anything else is a bug and stays what it is.
 */
export interface SqlSession {
  rows(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]>;
  /** @returns how many rows it found to change */
  run(sql: string, values?: readonly SqlValue[]): Promise<{ readonly changes: number }>;
  /** As it stands, not prepared: what begins and ends transactions, and definitions. */
  exec(sql: string): Promise<void>;
}

/** What a call may take: each of its statements, and the wait for a connection. What takes longer is ended on the server. */
export interface SqlWithin {
  /** Less than the database's own bound. */
  readonly timeoutMs: number;
  /** Nobody waits any more: told as if it had taken too long. */
  readonly signal: AbortSignal;
}

export interface SqlDatabase extends SqlSession {
  /** As the server calls it, for errors. */
  readonly name: string;
  rows(sql: string, values?: readonly SqlValue[], within?: SqlWithin): Promise<SqlRow[]>;
  /** Work on one connection; what it leaves open when it fails is rolled back. */
  session<T>(work: (session: SqlSession) => Promise<T>, within?: SqlWithin): Promise<T>;
  /** The same one, by connections of its own; the caller closes. */
  another(bounds: SqlBounds): SqlDatabase;
  close(): Promise<void>;
}

/**
 * The server has undone the transaction for another's sake, or a lock was not to be had in time. Those from 8002 are TiDB's,
 * of which its manual says that the whole transaction can be tried again ("Error Codes"); read, not run.
 */
const CONTENDED: ReadonlySet<number> = new Set([1205, 1213, 8002, 8022, 8028, 9007]);

/** Nothing of the transaction stands, and it may pass when it is tried again. */
export function isContended(error: unknown): boolean {
  return isCardumeError(error, 'storage-failed') && CONTENDED.has(causeOf(error).errno ?? 0);
}

/** The connection ended: whether the statement was carried out is not known. */
export function isLost(error: unknown): boolean {
  return isCardumeError(error, 'storage-failed') && causeOf(error).fatal === true;
}

export function isNoDatabase(error: unknown): boolean {
  return isCardumeError(error, 'storage-failed') && causeOf(error).errno === 1049;
}

/** A table, column or key that a definition would make is there, or one that it would drop is gone. */
const DEFINED: ReadonlySet<number> = new Set([1050, 1051, 1060, 1061, 1091]);

/** What the definition asks for is so already. */
export function isDefined(error: unknown): boolean {
  return DEFINED.has((error as { readonly errno?: number }).errno ?? 0);
}

/** The server has no such function. */
export function isNoFunction(error: unknown): boolean {
  return (error as { readonly errno?: number }).errno === 1305;
}

export function isTimedOut(error: unknown): boolean {
  return isCardumeError(error, 'storage-failed') && causeOf(error).code === 'PROTOCOL_SEQUENCE_TIMEOUT';
}

function causeOf(error: Error): {
  readonly errno?: number;
  readonly fatal?: boolean;
  readonly code?: string;
} {
  return (error.cause ?? {}) as { errno?: number; fatal?: boolean; code?: string };
}
