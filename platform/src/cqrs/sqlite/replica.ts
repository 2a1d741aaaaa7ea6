/** A replica in a file beside the shard's own, which is fed from the shard's log. */
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import type { Row } from '../../sharding/table.ts';
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
  let views: { readonly database: Database; readonly rows: ReturnType<typeof rowsIn> } | null = null;

  function open(): NonNullable<typeof views> {
    const database = disk.database(path, { readOnly: true });
    return { database, rows: rowsIn(database, tables) };
  }

  /** The file may be another one by now. */
  function letGo(): void {
    views?.database.close();
    views = null;
  }

  return {
    name: `replica-${number}`,
    isFed: true,
    look: (heads) => feeder.feed({ module, base, path, heads }),
    async row(table, partition, key, floor) {
      let found: { readonly row: Row | null } | null = null;
      try {
        views ??= open();
        views.database.exec('BEGIN');
        if (hasReached(views.database, floor)) found = { row: views.rows(table, partition, key) };
        views.database.exec('ROLLBACK');
        return found;
      } finally {
        if (found === null) letGo();
      }
    },
    scan: (plan, floor, within) => readers.scanFrom(path, storedPlan(tables, plan), floor, within),
    async close() {
      letGo();
      await feeder.leave(path);
    },
  };
}
