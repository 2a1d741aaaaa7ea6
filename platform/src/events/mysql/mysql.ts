/** The log in a database of MySQL's family: MariaDB, MySQL, Aurora, and what speaks like them. */
import type { Host } from '../../host/host.ts';
import type { SqlAddress, SqlDatabase } from '../../host/sql.ts';
import type { Driver, LogPlace } from '../engine.ts';
import { checkMap } from '../schema.ts';
import { wholeReader } from './archive.ts';
import { inspect } from './inspect.ts';
import { openAgain, openFirst } from './opening.ts';
import { archiveTables, rowsOf } from './reader.ts';
import { hasGivenAway, prepareSchema } from './schema.ts';

/** A writer's: one for its batches, one for what follows the log. */
const WRITER_CONNECTIONS_MAX = 2;
const READER_CONNECTIONS_MAX = 4;
/** Of one statement: longer than a lock is waited for. */
const STATEMENT_TIMEOUT_MS = 10_000;

/** A verification walks whole tables. */
const INSPECTION = { connectionsMax: 1, statementTimeoutMs: 600_000 };

const addressOf = (place: LogPlace): SqlAddress => (place as { readonly sql: SqlAddress }).sql;

function connect({ sql }: Host, place: LogPlace, connectionsMax: number): SqlDatabase {
  return sql.database(addressOf(place), { connectionsMax, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
}

export const mysql: Driver = {
  async open(host, place, start, mayCommit) {
    const database = connect(host, place, WRITER_CONNECTIONS_MAX);
    try {
      await prepareSchema(host.clock, database);
      if (!('recovery' in start)) checkMap(database.name, await hasGivenAway(database), start);
      return 'recovery' in start
        ? await openAgain(host, database, start.recovery, mayCommit)
        : await openFirst(host, database, start, mayCommit);
    } catch (error) {
      await database.close();
      throw error;
    }
  },
  async openReader(host, place) {
    const database = connect(host, place, READER_CONNECTIONS_MAX);
    try {
      const rows = rowsOf(host.clock, database);
      const tables = archiveTables(rows);
      await tables.look();
      return { ...wholeReader(host, rows, tables), close: database.close };
    } catch (error) {
      await database.close();
      throw error;
    }
  },
  async inspect(host, place, look) {
    const database = host.sql.database(addressOf(place), INSPECTION);
    try {
      return await inspect(host, database, look);
    } finally {
      await database.close();
    }
  },
};
