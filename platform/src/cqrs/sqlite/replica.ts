/** A replica in a file beside the shard's own, which is fed from the shard's log. */
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { type Build, storedPlan, storedTables } from '../builds.ts';
import type { Feeder } from '../feeder.ts';
import type { Readers } from '../readers.ts';
import type { Replica } from '../replica.ts';
import { hasReached } from './floor.ts';
import { rowsIn } from './rows-in.ts';

export interface SqliteReplicaOptions {
  readonly base: string;
  /** 1, 2, 3, … */
  readonly number: number;
  /** Module of the service. */
  readonly module: string;
  readonly builds: readonly Build[];
  readonly readers: Readers;
  readonly feeder: Feeder;
}

export function openSqliteReplica({ disk }: Host, options: SqliteReplicaOptions): Replica {
  const { base, number, module, builds, readers, feeder } = options;
  const path = `${base}.replica-${number}.db`;
  const tables = storedTables(builds);
  let views: Database | null = null;
  let rows: ReturnType<typeof rowsIn> | null = null;
  return {
    name: `replica-${number}`,
    isFed: true,
    look: (heads) => feeder.feed({ module, base, path, heads }),
    async row(table, partition, key, floor) {
      views ??= disk.database(path, { readOnly: true });
      rows ??= rowsIn(views, tables);
      views.exec('BEGIN');
      try {
        return hasReached(views, floor) ? { row: rows(table, partition, key) } : null;
      } finally {
        views.exec('ROLLBACK');
      }
    },
    scan: (plan, floor, within) => readers.scanFrom(path, storedPlan(tables, plan), floor, within),
    async close() {
      views?.close();
    },
  };
}
