/** A shard's stores in a database of its own on a server. */
import { again } from '../../database/mysql/again.ts';
import type { TailSource } from '../../events/tail.ts';
import type { Host } from '../../host/host.ts';
import type { SqlAddress } from '../../host/sql.ts';
import { openSqlKeyStore } from '../../privacy/sql-key-store.ts';
import { readPlan } from '../../sharding/sql-reader.ts';
import { type Build, storedPlan, storedTables } from '../builds.ts';
import type { Projection } from '../projection.ts';
import type { Reading, Stores } from '../storage.ts';
import { digestOn } from './digest.ts';
import { memoryReader, openMemory } from './memory.ts';
import { openReadModels } from './read-models.ts';
import { ended, rowOn } from './rows-on.ts';

/** One folds, one saves and looks for keys. */
const STORES_CONNECTIONS_MAX = 2;
const ROW_CONNECTIONS_MAX = 2;
/** Of their own: a report does not hold up who wants a row. */
const SCAN_CONNECTIONS_MAX = 2;
const STATEMENT_TIMEOUT_MS = 30_000;
/** It walks whole partitions. */
const DIGEST = { connectionsMax: 1, statementTimeoutMs: 600_000 };

export async function openMysqlStores(
  host: Host,
  address: SqlAddress,
  projections: readonly Projection[],
  source: TailSource,
): Promise<Stores> {
  const { sql, clock } = host;
  const database = sql.database(address, {
    connectionsMax: STORES_CONNECTIONS_MAX,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  try {
    const readModels = await openReadModels(host, database, projections, source);
    const memory = await openMemory(clock, database);
    const keys = await openSqlKeyStore(clock, database);
    return { readModels, memory, keys, close: database.close };
  } catch (error) {
    await database.close();
    throw error;
  }
}

export async function openMysqlBeside(
  host: Host,
  address: SqlAddress,
  projections: readonly Projection[],
  source: TailSource,
) {
  const database = host.sql.database(address, {
    connectionsMax: STORES_CONNECTIONS_MAX,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  try {
    const readModels = await openReadModels(host, database, projections, source, 'beside');
    return { readModels, close: database.close };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** When the writer thread has made the tables. @param deadlineMs of a scan: behind it the server ends it, too */
export function openMysqlReading(
  host: Host,
  address: SqlAddress,
  builds: readonly Build[],
  deadlineMs: number,
): Reading {
  const { sql, clock } = host;
  const tables = storedTables(builds);
  const database = sql.database(address, {
    connectionsMax: ROW_CONNECTIONS_MAX,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  const scans = sql.database(address, {
    connectionsMax: SCAN_CONNECTIONS_MAX,
    statementTimeoutMs: deadlineMs,
  });
  return {
    ...memoryReader(clock, database),
    row: (table, partition, key) => again(clock, () => rowOn(database, tables, table, partition, key)),
    async scan(plan, within) {
      const stored = storedPlan(tables, plan);
      return ended(deadlineMs, within, (bounds) => again(clock, () => readPlan(scans, stored, bounds())));
    },
    async digest(partition) {
      const own = sql.database(address, DIGEST);
      try {
        return await digestOn(host, own, { partition, builds });
      } finally {
        await own.close();
      }
    },
    async close() {
      await database.close();
      await scans.close();
    },
  };
}
