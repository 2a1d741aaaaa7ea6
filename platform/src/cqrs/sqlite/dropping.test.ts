/** Rows of a partition that moved away: the power fails, whatever it was told of earlier syncs, and they stay away. */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import type { Entry } from '../../events/log.ts';
import type { Table } from '../../sharding/table.ts';
import { type SimulatedHost, simulatedHost } from '../../testing/simulated/host.ts';
import { storedTables } from '../builds.ts';
import { projection } from '../projection.ts';
import { openProjector } from '../projector.ts';
import { openReadModels } from './read-models.ts';

const PATH = '/data/shard.views.db';
const [P, Q] = [1, 2];
const ROWS_MAX = 10;

const table: Table = { name: 'names', columns: { id: 'text' }, key: ['id'], indexes: [] };
const names = projection<{ readonly type: 'Named' }>({
  name: 'names',
  tables: [table],
  on: { Named: (_event, { stream }, rows) => rows(table).put({ id: stream }) },
});

function entry(partition: number, position: number): Entry {
  return {
    ...{ partition, epoch: 1, position, checksum: new Uint8Array(16) },
    ...{ stream: `${partition}-${position}`, version: 1, type: 'Named', data: '{}' },
    ...{ meta: null, key: null, atMs: 0 },
  };
}

const isFailure = (error: unknown): boolean => isCardumeError(error, 'storage-failed');

async function open(host: SimulatedHost) {
  const readModels = await openReadModels(host, PATH, [names], { read: async () => [], heads: () => [] });
  return {
    readModels,
    stored: storedTables(readModels.builds).get('names')?.name as string,
    projector: openProjector(readModels, [names], new Map(), { read: async () => [], heads: () => [] }),
  };
}

test('what was dropped behind a sync that failed does not come back', { timeout: 60_000 }, async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const host = simulatedHost({ seed });
    try {
      await host.run(host.disk.makeFolder('/data'));
      await host.run(
        (async () => {
          const { readModels, projector, stored } = await open(host);
          await projector.fold([entry(P, 1), entry(Q, 1), entry(P, 2)]);
          host.disk.database(PATH).exec('PRAGMA wal_checkpoint(TRUNCATE)');
          await projector.fold([entry(Q, 2)]); // goes with the sync that fails
          host.failWrites({ code: 'EIO', path: '.views.db', forgotten: true });
          await readModels.drop(P, ROWS_MAX);
          await rejects(readModels.settle(), isFailure); // the sync
          ok(await readModels.settle());
          await projector.fold([entry(Q, 3)]);
          const reader = host.disk.database(PATH, { readOnly: true });
          const rows = reader.prepare(`SELECT id FROM "${stored}"`).iterate();
          rows.next();
          ok(!(await readModels.settle()), 'somebody reads');
          rows.return?.();
        })(),
      );
      host.crash();
      const { readModels, stored } = await host.run(open(host));
      const reader = host.disk.database(PATH, { readOnly: true });
      deepStrictEqual(reader.prepare(`SELECT id FROM "${stored}" WHERE _partition = ?`).all(P), []);
      readModels.close();
    } finally {
      host.close();
    }
  }
});
