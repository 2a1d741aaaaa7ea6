/** Which engine keeps a shard, by its place. */
import { CardumeError } from '../base/errors.ts';
import type { LogPlace } from '../events/engine.ts';
import type { TailSource } from '../events/tail.ts';
import type { Host } from '../host/host.ts';
import { buildsOf } from './builds.ts';
import type { Feeder } from './feeder.ts';
import { openMysqlReplica } from './mysql/replica.ts';
import { openMysqlBeside, openMysqlReading, openMysqlStores } from './mysql/stores.ts';
import type { Projection } from './projection.ts';
import type { Readers } from './readers.ts';
import type { Replica } from './replica.ts';
import type { Service } from './service.ts';
import { openSqliteReplica } from './sqlite/replica.ts';
import { openSqliteBeside, openSqliteReading, openSqliteStores } from './sqlite/stores.ts';
import type { Reading, ReadModels, ShardPlace, Stores } from './storage.ts';

export function logPlaceOf(place: ShardPlace): LogPlace {
  return 'base' in place ? { path: `${place.base}.log.db` } : place;
}

export function openStores(
  host: Host,
  place: ShardPlace,
  projections: readonly Projection[],
  source: TailSource,
): Promise<Stores> {
  return 'base' in place
    ? openSqliteStores(host, place.base, projections, source)
    : openMysqlStores(host, place.sql, projections, source);
}

/** Read models alone, while another process has the shard open. */
export function openBeside(
  host: Host,
  place: ShardPlace,
  projections: readonly Projection[],
  source: TailSource,
): Promise<{ readonly readModels: ReadModels; close(): Promise<void> }> {
  return 'base' in place
    ? openSqliteBeside(host, place.base, projections, source)
    : openMysqlBeside(host, place.sql, projections, source);
}

export function replicasAt(
  host: Host,
  place: ShardPlace,
  { module, projections }: Service,
  readers: Readers,
  feeder: Feeder | undefined,
): Replica[] {
  const builds = buildsOf(host.crypto, projections);
  if ('sql' in place)
    return (place.replicas ?? []).map((address) =>
      openMysqlReplica(host, address, builds, readers.deadlineMs),
    );
  if (feeder === undefined) return [];
  return Array.from({ length: place.replicas ?? 0 }, (_, i) =>
    openSqliteReplica(host, { base: place.base, number: i + 1, module, builds, readers, feeder }),
  );
}

/** @param readers of SQLite's scans @param deadlineMs of a scan on a server */
export function openReading(
  host: Host,
  place: ShardPlace,
  projections: readonly Projection[],
  readers: Readers,
): Reading {
  const builds = buildsOf(host.crypto, projections);
  return untilClosed(
    'base' in place
      ? openSqliteReading(host, place.base, builds, readers)
      : openMysqlReading(host, place.sql, builds, readers.deadlineMs),
  );
}

/** Whoever is late is told so: the storage is not there any more. */
function untilClosed(reading: Reading): Reading {
  let isClosed = false;
  function open(): Reading {
    if (isClosed) throw new CardumeError('draining', 'the shard is closed');
    return reading;
  }
  return {
    row: async (...asked) => open().row(...asked),
    scan: async (...asked) => open().scan(...asked),
    findSnapshot: async (...asked) => open().findSnapshot(...asked),
    findCheckpoint: async (...asked) => open().findCheckpoint(...asked),
    digest: async (of) => open().digest(of),
    close() {
      isClosed = true;
      return reading.close();
    },
  };
}
