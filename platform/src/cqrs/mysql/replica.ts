/**
 * A replica on a server that follows the shard's own by the server's means: asynchronous replication, which commits what
 * the shard committed in the same order. (MariaDB does so by default, MySQL from 8.0.27 on: `replica_preserve_commit_order`.)
 */
import { inSnapshot } from '../../database/mysql/snapshot.ts';
import type { Host } from '../../host/host.ts';
import type { SqlAddress, SqlSession } from '../../host/sql.ts';
import type { Within } from '../../sharding/deadline.ts';
import { readPlanIf } from '../../sharding/sql-reader.ts';
import { type Build, storedPlan, storedTables } from '../builds.ts';
import { type Floor, type Replica, reaches, type Standing } from '../replica.ts';
import { ended, rowOn } from './rows-on.ts';

const CONNECTIONS_MAX = 2;
const STATEMENT_TIMEOUT_MS = 1_000;
/** With the wait for a connection: whoever waits longer asks the shard. */
const ROW_MS_MAX = 500;
const NEVER = new AbortController().signal;

export function openMysqlReplica(
  { sql }: Host,
  address: SqlAddress,
  builds: readonly Build[],
  deadlineMs: number,
): Replica {
  const tables = storedTables(builds);
  const looks = sql.database(address, { connectionsMax: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  const rows = sql.database(address, {
    connectionsMax: CONNECTIONS_MAX,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  const scans = sql.database(address, { connectionsMax: CONNECTIONS_MAX, statementTimeoutMs: deadlineMs });
  return {
    name: `${address.host}:${address.port}`,
    isFed: false,
    look: () => inSnapshot(looks, standingOn),
    row: (table, partition, key, floor) =>
      inSnapshot(
        rows,
        async (session) =>
          (await hasReached(session, floor))
            ? { row: await rowOn(session, tables, table, partition, key) }
            : null,
        { timeoutMs: ROW_MS_MAX, signal: NEVER },
      ),
    scan: (plan, floor, within) =>
      ended(deadlineMs, halfOf(within), (bounds) =>
        readPlanIf(scans, storedPlan(tables, plan), (session) => hasReached(session, floor), bounds()),
      ),
    async close() {
      await Promise.all([looks.close(), rows.close(), scans.close()]);
    },
  };
}

const hasReached = async (session: SqlSession, floor: Floor): Promise<boolean> =>
  reaches(await standingOn(session), floor);

async function standingOn(session: SqlSession): Promise<Standing> {
  const builds = await session.rows('SELECT name, apart FROM _builds');
  const folded = await session.rows(
    "SELECT partition_key, position FROM _folded WHERE build = '' AND epoch > 0",
  );
  return {
    builds: new Set(builds.filter(({ apart }) => apart === 0).map(({ name }) => String(name))),
    positions: new Map(folded.map((row) => [row['partition_key'] as number, row['position'] as number])),
    // As on the shard itself, which tells of it.
    ...{ isBuilding: false, halts: [] },
  };
}

/** A server that hangs must leave time for the shard. */
function halfOf({ leftMs, signal }: Within): Within {
  const keptMs = Math.min(leftMs() / 2, Number.MAX_SAFE_INTEGER);
  return { signal, leftMs: () => Math.max(1, leftMs() - keptMs) };
}
