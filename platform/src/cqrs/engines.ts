/** Which engine keeps a shard, by its place. */
import { CardumeError } from '../base/errors.ts';
import type { LogPlace } from '../events/engine.ts';
import { engineIn } from '../events/engines.ts';
import type { TailSource } from '../events/tail.ts';
import type { Host } from '../host/host.ts';
import { buildsOf } from './builds.ts';
import type { Beside, ShardEngine } from './engine.ts';
import type { Feeder } from './feeder.ts';
import { mysqlEngine } from './mysql/engine.ts';
import type { Projection } from './projection.ts';
import type { Readers } from './readers.ts';
import type { Replica } from './replica.ts';
import type { Service } from './service.ts';
import { sqliteEngine } from './sqlite/engine.ts';
import type { Reading, ShardPlace, Stores } from './storage.ts';

export function logPlaceOf(place: ShardPlace): LogPlace {
  return 'base' in place ? { path: `${place.base}.log.db` } : place;
}

async function engineOf(host: Pick<Host, 'threads'>, place: ShardPlace): Promise<ShardEngine> {
  if ('base' in place) return sqliteEngine as ShardEngine;
  if ('sql' in place) return mysqlEngine as ShardEngine;
  return engineIn<ShardEngine>(host, place.module);
}

/** On the writer thread: what follows the log. */
export async function openStores(
  host: Host,
  place: ShardPlace,
  projections: readonly Projection[],
  source: TailSource,
): Promise<Stores> {
  return (await engineOf(host, place)).openStores(host, place, projections, source);
}

/** Read models alone, while another process has the shard open. */
export async function openBeside(
  host: Host,
  place: ShardPlace,
  projections: readonly Projection[],
  source: TailSource,
): Promise<Beside> {
  return (await engineOf(host, place)).openBeside(host, place, projections, source);
}

/** For reads that may be old. */
export async function openReplicasAt(
  host: Host,
  place: ShardPlace,
  { module, projections }: Service,
  readers: Readers,
  feeder: Feeder | undefined,
): Promise<readonly Replica[]> {
  const builds = buildsOf(host.crypto, projections);
  return (await engineOf(host, place)).openReplicas(host, place, { module, builds, readers, feeder });
}

/** When the writer thread has made the stores. */
export async function openReading(
  host: Host,
  place: ShardPlace,
  projections: readonly Projection[],
  readers: Readers,
): Promise<Reading> {
  const engine = await engineOf(host, place);
  return untilClosed(engine.openReading(host, place, buildsOf(host.crypto, projections), readers));
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
