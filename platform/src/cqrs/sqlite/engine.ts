/** Shards in files of SQLite. */
import { sqlite } from '../../events/sqlite/sqlite.ts';
import type { ShardEngine } from '../engine.ts';
import type { FilesPlace } from '../storage.ts';
import { openSqliteReplica } from './replica.ts';
import { openSqliteBeside, openSqliteReading, openSqliteStores } from './stores.ts';

export const sqliteEngine: ShardEngine<FilesPlace> = {
  log: sqlite,
  openStores: (host, { base }, ...more) => openSqliteStores(host, base, ...more),
  openBeside: (host, { base }, ...more) => openSqliteBeside(host, base, ...more),
  openReading: (host, { base }, ...more) => openSqliteReading(host, base, ...more),
  openReplicas(host, { base, replicas = 0 }, { feeder, ...of }) {
    if (feeder === undefined) return [];
    return Array.from({ length: replicas }, (_, i) =>
      openSqliteReplica(host, { base, number: i + 1, ...of, feeder }),
    );
  },
};
