import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../host/host.ts';
import { realHost } from '../host/real.ts';
import { damageArchive, loseSegment } from '../testing/damaged-archive.ts';
import type { LogHarness } from '../testing/log-conformance.ts';
import { P, Q } from '../testing/log-conformance-case.ts';
import { simulatedHost } from '../testing/simulated/host.ts';
import { logConformance } from '../testing/testing.ts';
import { openLog, openWriterPool } from './events.ts';
import { verifyLog } from './verify.ts';

const BOUNDS = { batchEntriesMax: 128, queueEntriesMax: 10_000 };

function harnessOver(
  host: Host,
  path: string,
): Omit<LogHarness, 'done' | 'close'> & { stop(): Promise<void> } {
  const pool = openWriterPool(host, { threadsMax: 2 });
  return {
    host,
    open: (partitions = [P, Q], bounds = {}, more = {}) =>
      openLog(host, { path, partitions, pool, bounds: { ...BOUNDS, ...bounds }, ...more }),
    faults: async () => (await verifyLog(host, { path })).faults,
    damageArchive: (max) => damageArchive(host.disk, path.replace(/\.db$/, '.archive'), max),
    loseSegment: async () => loseSegment(host.disk, path),
    stop: () => pool.close(),
  };
}

logConformance('SQLite log on this machine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-log-'));
  const harness = harnessOver(realHost(), join(folder, 'shard.db'));
  return {
    ...harness,
    done: (work) => work,
    async close() {
      await harness.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
});

let seed = 0;
logConformance('SQLite log on the simulated machine', () => {
  seed += 1;
  const host = simulatedHost({ seed });
  const harness = harnessOver(host, '/data/shard.db');
  return {
    ...harness,
    done: (work) => host.run(work),
    async close() {
      await host.run(harness.stop());
      host.close();
    },
  };
});
