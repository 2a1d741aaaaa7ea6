/** A disk that fails while a projection is at work is not the projection's fault. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Entry } from '../events/log.ts';
import type { Disk } from '../host/disk.ts';
import type { Table } from '../sharding/table.ts';
import { simulatedHost } from '../testing/simulated/host.ts';
import { projection } from './projection.ts';
import { openProjector } from './projector.ts';
import { openReadModels } from './sqlite/read-models.ts';

const table: Table = { name: 'things', columns: { id: 'text', n: 'integer' }, key: ['id'], indexes: [] };
const things = projection<{ type: 'Counted'; by: number }>({
  name: 'things',
  tables: [table],
  on: {
    Counted({ by }, { stream }, rows) {
      if (by < 0) throw new Error('a bug');
      rows(table).put({ id: stream, n: by });
    },
  },
});

const entry = (position: number, by: number): Entry => ({
  ...{ partition: 1, position, epoch: 1, stream: `s${position}`, version: 1, type: 'Counted' },
  ...{ data: JSON.stringify({ by }), meta: null, key: null, atMs: 0, checksum: new Uint8Array(16) },
});

test('an I/O error halts no projection, and a bug of its own does', async () => {
  const host = simulatedHost({ seed: 1 });
  const log: Entry[] = [];
  const source = {
    read: async (_partition: number, after: number, max: number) => log.slice(after, after + max),
    heads: () => [
      { partition: 1, epoch: 1, lastEpoch: 1, position: log.length, checksum: new Uint8Array(16) },
    ],
  };
  let isFailing = false;
  /** Fails in the middle of the projection's work. */
  const disk: Disk = {
    ...host.disk,
    database(path, options) {
      const database = host.disk.database(path, options);
      return {
        ...database,
        prepare(sql) {
          const statement = database.prepare(sql);
          if (!/things/.test(sql)) return statement;
          const run: typeof statement.run = (...values) => {
            if (isFailing)
              throw new CardumeError('storage-failed', 'the disk reported an input/output error');
            return statement.run(...values);
          };
          return { ...statement, run };
        },
      };
    },
  };
  const readModels = await openReadModels({ ...host, disk }, '/views.db', [things], source);
  const projector = openProjector(readModels, [things], new Map(), source);
  const fold = (by: number) => {
    log.push(entry(log.length + 1, by));
    return projector.fold(log.slice(-1));
  };
  assert.deepEqual(await fold(1), []);
  isFailing = true;
  await assert.rejects(fold(2), (error) => isCardumeError(error, 'storage-failed'));
  assert.deepEqual(projector.halts(), []);
  isFailing = false;
  await projector.catchUp();
  assert.deepEqual(
    (await fold(-1)).map((halt) => halt.projection),
    ['things'],
  );
  readModels.close();
  host.close();
});

test('an event that cannot be read halts those who want it, and holds up no other', async () => {
  const host = simulatedHost({ seed: 1 });
  const others: Table = { name: 'others', columns: { id: 'text' }, key: ['id'], indexes: [] };
  const rests = projection<{ type: 'Rested' }>({
    name: 'rests',
    tables: [others],
    on: { Rested: (_event, { stream }, rows) => rows(others).put({ id: stream }) },
  });
  const upcasters = new Map([
    [
      's2/Counted',
      [
        () => {
          throw new Error('it is not what it was');
        },
      ],
    ],
  ]);
  const log = [entry(1, 1), entry(2, 1), { ...entry(3, 1), type: 'Rested' }];
  const source = {
    read: async (_partition: number, after: number, max: number) => log.slice(after, after + max),
    heads: () => [
      { partition: 1, epoch: 1, lastEpoch: 1, position: log.length, checksum: new Uint8Array(16) },
    ],
  };
  const readModels = await openReadModels(host, '/views.db', [things, rests], source);
  const projector = openProjector(readModels, [things, rests], upcasters, source);
  await projector.catchUp();
  assert.deepEqual(
    projector.halts().map(({ projection: name, reason }) => [name, reason]),
    [['things', 'it is not what it was']],
  );
  assert.equal(readModels.checkpoints.position('', 1), 3);
  readModels.close();
  host.close();
});
