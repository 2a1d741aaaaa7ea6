/** A projection changes: what it was stays as it is, what it will be grows beside it, and a program can go back. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import type { Entry } from '../events/log.ts';
import { realHost } from '../host/real.ts';
import type { Table } from '../sharding/table.ts';
import { homes } from '../testing/shard-homes.ts';
import { type Build, buildsOf, outdated } from './builds.ts';
import { openBeside, openReading, openStores } from './engines.ts';
import { prepare } from './prepare.ts';
import { type Projection, projection } from './projection.ts';
import { openProjector, type Projector } from './projector.ts';
import { openReaders } from './readers.ts';
import type { ShardPlace } from './storage.ts';

const host = realHost();
const engines = await homes(host);
after(engines.clear);
const readers = openReaders(host, { threadsMax: 1, deadlineMs: 10_000 });
after(readers.close);

type Counted = { readonly type: 'Counted'; readonly by: number };
const table: Table = { name: 'sums', columns: { id: 'text', sum: 'integer' }, key: ['id'], indexes: [] };
const others: Table = { name: 'others', columns: { id: 'text' }, key: ['id'], indexes: [] };

/** A version of the program; each counts in its own way. */
const sums = (revision: number): Projection =>
  projection<Counted>({
    name: 'sums',
    revision,
    tables: [table],
    on: {
      Counted: ({ by }, { stream }, rows) =>
        rows(table).add({ id: stream }, { sum: by * 10 ** (revision - 1) }),
    },
  });
const unchanged = projection<Counted>({
  name: 'others',
  tables: [others],
  on: { Counted: (_event, { stream }, rows) => rows(others).put({ id: stream }) },
});

const P = 1;
const Q = 2;

/** A log in memory. */
function newLog() {
  const entries = new Map<number, Entry[]>([
    [P, []],
    [Q, []],
  ]);
  const read: number[] = [];
  return {
    /** Entries that were read, each time. */
    read,
    source: {
      heads: () =>
        [...entries].map(([partition, of]) => ({
          ...{ partition, epoch: 1, lastEpoch: 1, position: of.length, checksum: new Uint8Array(16) },
        })),
      async read(partition: number, afterPosition: number, max: number) {
        const page = (entries.get(partition) ?? []).slice(afterPosition, afterPosition + max);
        read.push(page.length);
        return page;
      },
    },
    add(partition: number, by: number, count = 1): Entry[] {
      const own = entries.get(partition) as Entry[];
      const from = own.length;
      for (let i = 0; i < count; i += 1) {
        const position = own.length + 1;
        own.push({
          ...{ partition, position, epoch: 1, stream: 's', version: position, type: 'Counted' },
          ...{ data: JSON.stringify({ by }), meta: null, key: null, atMs: 0, checksum: new Uint8Array(16) },
        });
      }
      return own.slice(from);
    },
    drop: (partition: number) => void entries.set(partition, []),
  };
}

for (const { name, skip, newHome } of engines.all) {
  describe(`builds on ${name}`, { skip }, () => {
    async function start() {
      const { place } = await newHome();
      await host.disk.makeFolder('base' in place ? place.base.slice(0, place.base.lastIndexOf('/')) : '/tmp');
      return { place, log: newLog() };
    }
    type Started = Awaited<ReturnType<typeof start>>;

    /** A program that has the shard. */
    async function run<T>(
      { place, log }: Started,
      revision: number,
      work: (its: Projector) => Promise<T>,
    ): Promise<T> {
      const projections = [sums(revision), unchanged];
      const stores = await openStores(host, place, projections, log.source);
      try {
        const projector = openProjector(stores.readModels, projections, new Map(), log.source);
        await projector.catchUp();
        return await work(projector);
      } finally {
        await stores.close();
      }
    }

    async function sumsIn(place: ShardPlace, revision: number): Promise<(number | null)[]> {
      const reading = await openReading(host, place, [sums(revision), unchanged], readers);
      const rows = [await reading.row(table, P, { id: 's' }), await reading.row(table, Q, { id: 's' })];
      await reading.close();
      return rows.map((row) => (row === null ? null : (row['sum'] as number)));
    }

    it('grow a page at a time beside what follows the log, and follow it from then on', async () => {
      const started = await start();
      const { place, log } = started;
      log.add(P, 1, 3_000);
      log.add(Q, 1, 10);
      await run(started, 1, async (projector) => {
        // A long log is nobody's to wait for, also the first time; nor is it read before it is built.
        assert.equal(projector.building().length, 2);
        assert.deepEqual(log.read.splice(0), [1, 1]);
        while (projector.building().length > 0) await projector.build();
      });
      assert.deepEqual(await sumsIn(place, 1), [3_000, 10]);
      await run(started, 2, async (projector) => {
        const [begun] = projector.building();
        assert.deepEqual([begun?.projection, begun?.tables, begun?.entriesLeft], ['sums', ['sums'], 3_010]);
        await projector.build();
        await projector.fold(log.add(Q, 1)); // others follow, this one does not yet
        const [going] = projector.building();
        assert.ok((going?.entriesFolded ?? 0) > 0 && (going?.entriesLeft ?? 0) < 3_010);
        while (projector.building().length > 0) await projector.build();
        await projector.fold(log.add(P, 1));
        assert.deepEqual(projector.halts(), []);
      });
      assert.deepEqual(await sumsIn(place, 2), [30_010, 110]);
    });

    it('of the program before stand as it left them, and catch up when it comes back', async () => {
      const started = await start();
      const { place, log } = started;
      log.add(P, 1, 5);
      await run(started, 1, async () => undefined);
      log.add(P, 1, 2);
      await run(started, 2, async (projector) => {
        assert.deepEqual(projector.building(), []); // so near that it caught up at once
        assert.deepEqual(await sumsIn(place, 1), [5, null]);
        await projector.fold(log.add(P, 1));
      });
      assert.deepEqual(await sumsIn(place, 2), [80, null]);
      await run(started, 1, async (projector) => {
        assert.deepEqual(await sumsIn(place, 1), [8, null]);
        await projector.fold(log.add(P, 1));
      });
      assert.deepEqual(
        [await sumsIn(place, 1), await sumsIn(place, 2)],
        [
          [9, null],
          [80, null],
        ],
      );
    });

    it('are prepared by a program that comes, while the one before has the shard', async () => {
      const started = await start();
      const { place, log } = started;
      log.add(P, 1, 1_000);
      await run(started, 1, async (projector) => {
        await projector.fold(log.add(P, 1, 2_000));
        const projections = [sums(2), unchanged];
        const beside = await openBeside(host, place, projections, log.source);
        const preparation = await prepare(beside.readModels, projections, new Map(), log.source);
        assert.deepEqual(
          preparation.left().map(({ projection: of, entriesLeft }) => [of, entriesLeft]),
          [['sums', 3_000]],
        );
        do
          await projector.fold(log.add(P, 1)); // by whoever has it
        while (await preparation.step());
        assert.deepEqual(preparation.left(), []);
        await beside.close();
        await projector.fold(log.add(P, 1));
      });
      const all = log.source.heads()[0]?.position as number;
      assert.deepEqual(await sumsIn(place, 1), [all, null]);
      await run(started, 2, async (projector) => assert.deepEqual(projector.building(), []));
      assert.deepEqual(await sumsIn(place, 2), [10 * all, null]);
    });

    it('go on behind a page that another has built', async () => {
      const started = await start();
      const { place, log } = started;
      log.add(P, 1, 1_000);
      await run(started, 1, async () => undefined);
      log.add(P, 1, 2_000);
      await run(started, 2, async (projector) => {
        const projections = [sums(2), unchanged];
        const beside = await openBeside(host, place, projections, log.source);
        await (await prepare(beside.readModels, projections, new Map(), log.source)).step();
        await assert.rejects(projector.build(), (error) => isCardumeError(error, 'fenced'));
        while (projector.building().length > 0) await projector.build();
        await beside.close();
      });
      assert.deepEqual(await sumsIn(place, 2), [30_000, null]);
    });

    it('lose the rows of a partition that moves away, all of them', async () => {
      const started = await start();
      const { place, log } = started;
      log.add(P, 1, 5);
      log.add(Q, 1, 5);
      await run(started, 1, async () => undefined);
      await run(started, 2, async () => undefined);
      const projections = [sums(2), unchanged];
      const stores = await openStores(host, place, projections, log.source);
      while ((await stores.readModels.drop(P, 2)) === 2);
      await stores.close();
      log.drop(P);
      await run(started, 1, async () => undefined);
      assert.deepEqual(
        [await sumsIn(place, 1), await sumsIn(place, 2)],
        [
          [null, 5],
          [null, 50],
        ],
      );
    });

    it('begin again, all of them, when the log is another one', async () => {
      const started = await start();
      started.log.add(P, 1, 5);
      await run(started, 1, async () => undefined);
      await run(started, 2, async () => undefined);
      const { place } = started;
      const log = newLog();
      log.add(P, 1, 2);
      await run({ place, log }, 2, async () => undefined);
      assert.deepEqual(await sumsIn(place, 2), [20, null]);
      await run({ place, log }, 1, async () => undefined);
      assert.deepEqual(await sumsIn(place, 1), [2, null]);
    });
  });
}

describe('builds that are kept', () => {
  it('are the ones in use and two more of each projection, the last that were used', () => {
    const of = (revision: number, turn: number) => {
      const [build] = buildsOf(host.crypto, [sums(revision)]);
      const { name, projection: from } = build as Build;
      return { name, projection: from, isApart: true, turn, tables: [] };
    };
    const stored = [of(1, 7), of(2, 3), of(3, 5), of(4, 6), of(5, 4)];
    const gone = outdated(stored, buildsOf(host.crypto, [sums(1)]));
    assert.deepEqual(gone, [of(5, 4), of(2, 3)]);
  });

  it('have names of their own for every change of their tables', () => {
    const changes: Projection[] = [
      sums(1),
      sums(2),
      { ...sums(1), tables: [{ ...table, columns: { ...table.columns, more: 'text' } }] },
      { ...sums(1), tables: [{ ...table, indexes: [['sum']] }] },
      { ...sums(1), name: 'sums-too' },
    ];
    const builds = buildsOf(host.crypto, changes);
    assert.equal(new Set(builds.map(({ name }) => name)).size, changes.length);
    assert.equal(new Set(builds.map(({ tables }) => tables[0]?.stored.name)).size, changes.length);
    assert.deepEqual(buildsOf(host.crypto, changes), builds);
  });
});
