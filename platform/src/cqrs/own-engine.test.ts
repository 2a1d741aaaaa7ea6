/** An engine that is not of the house passes the suites by the way that a topology names it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { PlaceOfModule } from '../events/engine.ts';
import { openLog, openWriterPool } from '../events/events.ts';
import { verifyLog } from '../events/verify.ts';
import { realHost } from '../host/real.ts';
import { damageArchive, loseSegment } from '../testing/damaged-archive.ts';
import { P, Q } from '../testing/log-conformance-case.ts';
import { logConformance, readModelConformance } from '../testing/testing.ts';
import { openBeside, openReading, openStores } from './engines.ts';
import { openReaders } from './readers.ts';

const BOUNDS = { batchEntriesMax: 128, queueEntriesMax: 10_000 };
const host = realHost();
const readers = openReaders(host, { threadsMax: 1, deadlineMs: 10_000 });
const folder = mkdtempSync(join(tmpdir(), 'cardume-own-engine-'));
after(async () => {
  await readers.close();
  rmSync(folder, { recursive: true, force: true });
});

let shards = 0;
function newPlace(): PlaceOfModule {
  shards += 1;
  const at = {
    region: 'here',
    shard: `shard-${shards}`,
    folder: 'not used',
    replicas: 0,
    options: { folder },
  };
  return { module: new URL('./own-engine.fixture.ts', import.meta.url).href, at };
}

logConformance('a log of an engine of somebody else', async () => {
  const place = newPlace();
  const pool = openWriterPool(host, { threadsMax: 2 });
  const base = `${folder}/here/shard-${shards}/shard`;
  return {
    host,
    open: (partitions = [P, Q], bounds = {}, more = {}) =>
      openLog(host, { ...place, partitions, pool, bounds: { ...BOUNDS, ...bounds }, ...more }),
    done: (work) => work,
    faults: async () => (await verifyLog(host, place)).faults,
    damageArchive: (max) => damageArchive(host.disk, `${base}.archive`, max),
    loseSegment: async () => loseSegment(host.disk, `${base}.log.db`),
    close: () => pool.close(),
  };
});

readModelConformance('read models of an engine of somebody else', async () => {
  const place = newPlace();
  await host.disk.makeFolder(`${folder}/here/shard-${shards}`);
  return {
    async open(projections, source, opening = 'own') {
      const open = opening === 'own' ? openStores : openBeside;
      const { readModels, close } = await open(host, place, projections, source);
      return { readModels, close };
    },
    read: (projections) => openReading(host, place, projections, readers),
    close: async () => undefined,
  };
});
