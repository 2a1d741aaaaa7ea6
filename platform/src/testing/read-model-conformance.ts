/**
 * What every engine of read models must do. Each case gets an empty storage; `read-model-mutants.ts` proves that each rule
 * is seen when it is broken.
 */
import assert from 'node:assert/strict';
import { type ErrorCode, isCardumeError } from '../base/errors.ts';
import type { Opening } from '../cqrs/builds.ts';
import { differences } from '../cqrs/digest.ts';
import type { Projection } from '../cqrs/projection.ts';
import type { Fold, PartitionRows, Reading, ReadModels } from '../cqrs/storage.ts';
import type { TailSource } from '../events/tail.ts';
import { unbounded } from '../sharding/deadline.ts';
import type { Query, QueryResult } from '../sharding/query.ts';
import { scatter } from '../sharding/scatter.ts';
import type { Row, Table } from '../sharding/table.ts';

export interface ReadModelsUnderTest {
  /** A further opener of the same storage, which is empty at first: of its own, when left out. */
  open(
    projections: readonly Projection[],
    source: TailSource,
    opening?: Opening,
  ): Promise<{ readonly readModels: ReadModels; close(): Promise<void> }>;
  /** A reader beside it, of what is committed. */
  read(projections: readonly Projection[]): Promise<Pick<Reading, 'row' | 'scan' | 'digest' | 'close'>>;
}

export interface ReadModelsHarness extends ReadModelsUnderTest {
  close(): Promise<void>;
}

/** Cases by title. */
export type ReadModelCases = Readonly<Record<string, (under: ReadModelsUnderTest) => Promise<void>>>;

const things: Table = {
  name: 'things',
  columns: { id: 'text', n: 'integer', name: 'text', size: 'integer' },
  key: ['id'],
  indexes: [['name']],
};
const all: readonly Projection[] = [{ name: 'things', tables: [things], on: {} }];
const changed: readonly Projection[] = [{ name: 'things', revision: 2, tables: [things], on: {} }];
const P = 33;
const Q = 34;

/** A log that has whatever checkpoints say. */
const source: TailSource = {
  heads: () =>
    [P, Q].map((partition) => ({
      ...{ partition, epoch: 1, lastEpoch: 1, position: 1_000, checksum: new Uint8Array(16) },
    })),
  read: async (partition, after) => [{ partition, epoch: 1, position: after + 1 } as never],
};
/** Another one: it has nothing at those positions. */
const otherSource: TailSource = { ...source, read: async () => [] };

type Change = (rows: PartitionRows) => void;

/** As the projector does: again from the beginning when rows are wanted. */
async function change(fold: Fold, work: Change, partition = P): Promise<void> {
  for (;;) {
    const rows = fold.rows(things);
    rows.at(partition);
    try {
      work(rows);
    } catch (error) {
      if (!fold.isWanting) throw error;
    }
    if (!fold.isWanting) return;
    await fold.load();
  }
}

async function commit(
  { readModels }: { readonly readModels: ReadModels },
  work: Change,
  { partition = P, build = '', from = readModels.checkpoints.position(build, partition) } = {},
): Promise<void> {
  const fold = await readModels.begin();
  try {
    await change(fold, work, partition);
    await fold.commit([{ build, partition, from, epoch: 1, to: from + 1 }]);
  } catch (error) {
    await fold.undo();
    throw error;
  }
}

async function found(
  under: ReadModelsUnderTest,
  query: Partial<Query> = {},
  projections = all,
): Promise<QueryResult> {
  const reading = await under.read(projections);
  try {
    const asked = { service: 's', table: 'things', limit: 100, ...query };
    return await scatter(
      asked,
      () => things,
      [reading],
      (one, plan) => one.scan(plan, unbounded),
    );
  } finally {
    await reading.close();
  }
}

const ids = async (under: ReadModelsUnderTest, query: Partial<Query> = {}): Promise<unknown[]> =>
  (await found(under, query)).rows.map(({ id }) => id);

async function rowOf(under: ReadModelsUnderTest, id: string, partition = P): Promise<Row | null> {
  const reading = await under.read(all);
  const row = await reading.row(things, partition, { id });
  await reading.close();
  return row === null ? null : { ...row };
}

async function fails(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error) => isCardumeError(error, code));
}

const thing = (id: string, more: Row = {}): Row => ({ id, n: null, name: null, size: null, ...more });

export const readModelCases: ReadModelCases = {
  'rows and checkpoint stand together, or neither': async (under) => {
    const opened = await under.open(all, source);
    await commit(opened, (rows) => rows.put(thing('a')));
    const fold = await opened.readModels.begin();
    await change(fold, (rows) => rows.put(thing('b')));
    assert.deepEqual(await ids(under), ['a']); // what is not committed is nobody's to see
    await fold.undo();
    await commit(opened, (rows) => rows.put(thing('c')));
    await opened.close();
    const again = await under.open(all, source);
    assert.deepEqual([again.readModels.begunAgain, again.readModels.checkpoints.position('', P)], [false, 2]);
    assert.deepEqual(await ids(under), ['a', 'c']);
    await again.close();
  },

  'a row is put whole, patched where it is, added to from nothing, and removed': async (under) => {
    const opened = await under.open(all, source);
    await commit(opened, (rows) => {
      rows.put({ id: 'a', n: 1, name: 'x' });
      rows.put({ id: 'a', n: 2 });
      rows.patch({ id: 'a' }, { size: 5 });
      rows.patch({ id: 'none' }, { size: 5 });
      rows.add({ id: 'b' }, { size: 2 });
      rows.add({ id: 'b' }, { size: -5 });
      rows.put(thing('c'));
      rows.remove({ id: 'c' });
    });
    await commit(opened, (rows) => {
      const { size } = rows.get({ id: 'b' }) as { size: number };
      rows.patch({ id: 'b' }, { n: size, name: rows.get({ id: 'c' }) === undefined ? 'gone' : 'there' });
    });
    assert.deepEqual(await rowOf(under, 'a'), thing('a', { n: 2, size: 5 }));
    assert.deepEqual(await rowOf(under, 'b'), thing('b', { n: -3, size: -3, name: 'gone' }));
    assert.deepEqual(await ids(under), ['a', 'b']);
    await opened.close();
  },

  'partitions keep their rows apart': async (under) => {
    const opened = await under.open(all, source);
    await commit(opened, (rows) => rows.put(thing('a', { n: 1 })));
    await commit(opened, (rows) => rows.put(thing('a', { n: 2 })), { partition: Q });
    assert.deepEqual([(await rowOf(under, 'a', P))?.['n'], (await rowOf(under, 'a', Q))?.['n']], [1, 2]);
    assert.deepEqual(
      (await found(under, { partitions: [Q] })).rows.map(({ n }) => n),
      [2],
    );
    assert.equal((await found(under)).rows.length, 2);
    await opened.close();
  },

  'whoever has fallen behind another host moves no checkpoint, and leaves no row': async (under) => {
    const stale = await under.open(all, source);
    await commit(stale, (rows) => rows.put(thing('a')));
    const other = await under.open(all, source);
    await commit(other, (rows) => rows.put(thing('b')));
    await fails(
      commit(stale, (rows) => rows.put(thing('stale'))),
      'fenced',
    );
    await fails(
      commit(stale, (rows) => rows.put(thing('stale')), { from: 0 }),
      'fenced',
    );
    await stale.readModels.checkpoints.refresh();
    await commit(stale, (rows) => rows.put(thing('c')));
    assert.deepEqual(await ids(under), ['a', 'b', 'c']);
    await other.close();
    await stale.close();
  },

  'of two who build the same, each page is one’s': async (under) => {
    const opened = await under.open(all, source);
    await commit(opened, (rows) => rows.put(thing('a')));
    await opened.close();
    const own = await under.open(changed, source);
    const beside = await under.open(changed, source, 'beside');
    const build = own.readModels.builds[0]?.name as string;
    await commit(beside, (rows) => rows.add({ id: 'a' }, { n: 1 }), { build });
    await fails(
      commit(own, (rows) => rows.add({ id: 'a' }, { n: 1 }), { build }),
      'fenced',
    );
    await own.readModels.checkpoints.refresh();
    await commit(own, (rows) => rows.add({ id: 'a' }, { n: 1 }), { build });
    await fails(
      commit(beside, (rows) => rows.add({ id: 'a' }, { n: 1 }), { build }),
      'fenced',
    );
    await beside.close();
    await own.close();
    assert.deepEqual(
      (await found(under, {}, changed)).rows.map(({ n }) => n),
      [2],
    );
  },

  'whoever prepares a build leaves it alone once it follows the others': async (under) => {
    const opened = await under.open(all, source);
    for (const partition of [P, Q]) await commit(opened, (rows) => rows.put(thing('a')), { partition });
    await opened.close();
    const own = await under.open(changed, source);
    const beside = await under.open(changed, source, 'beside');
    const build = own.readModels.builds[0]?.name as string;
    for (const partition of [P, Q])
      await commit(own, (rows) => rows.add({ id: 'a' }, { n: 1 }), { partition, build });
    await own.readModels.checkpoints.join(build);
    await fails(
      commit(beside, (rows) => rows.add({ id: 'a' }, { n: 1 }), { partition: Q, build }),
      'fenced',
    );
    await beside.close();
    await own.close();
    assert.deepEqual(
      (await found(under, {}, changed)).rows.map(({ n }) => n),
      [1, 1],
    );
  },

  'what was prepared of a partition that has moved away is gone when its build follows the others': async (
    under,
  ) => {
    const opened = await under.open(all, source);
    await commit(opened, (rows) => rows.put(thing('a')));
    const beside = await under.open(changed, source, 'beside');
    const build = beside.readModels.builds[0]?.name as string;
    for (const partition of [P, Q])
      await commit(beside, (rows) => rows.put(thing('a')), { partition, build });
    await beside.close();
    await opened.close();
    const own = await under.open(changed, source);
    await own.readModels.checkpoints.join(build);
    await commit(own, (rows) => rows.put(thing('b')), { partition: Q });
    await own.close();
    assert.deepEqual(
      (await found(under, {}, changed)).rows.map(({ id }) => id),
      ['a', 'b'],
    );
  },

  'a projection that is left behind keeps its place, and comes back to the others': async (under) => {
    const opened = await under.open(all, source);
    const { checkpoints, builds } = opened.readModels;
    const build = builds[0]?.name as string;
    await commit(opened, (rows) => rows.put(thing('a')));
    await checkpoints.fork('', build);
    await commit(opened, () => undefined); // the others go on
    await opened.close();
    const again = await under.open(all, source);
    const now = again.readModels.checkpoints;
    assert.deepEqual([now.isApart(build), now.position(build, P), now.position('', P)], [true, 1, 2]);
    await commit(again, (rows) => rows.put(thing('b')), { build });
    assert.equal(now.position('', P), 2);
    await now.join(build);
    assert.equal(now.isApart(build), false);
    await again.close();
    assert.deepEqual(await ids(under), ['a', 'b']);
  },

  'texts and keys are what their bytes are': async (under) => {
    const opened = await under.open(all, source);
    // Behind the last of 16 bits stand the characters that UTF-16 writes with surrogates.
    const texts = ['', ' ', 'A', 'a', 'a ', 'a\0', 'b', 'é', '\uffee', '😀'];
    await commit(opened, (rows) => {
      for (const text of texts.toReversed()) rows.put({ id: text, name: text, n: 1 });
    });
    const inOrder = texts.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(await ids(under, { orderBy: [{ column: 'name', direction: 'ascending' }] }), inOrder);
    assert.deepEqual(
      await ids(under, { orderBy: [{ column: 'id', direction: 'descending' }] }),
      inOrder.toReversed(),
    );
    assert.deepEqual(await ids(under, { where: [{ column: 'name', op: '=', value: 'a' }] }), ['a']);
    assert.equal((await rowOf(under, 'a '))?.['name'], 'a ');
    assert.equal(await rowOf(under, 'É'), null);
    await opened.close();
  },

  'a prefix is a text, whatever its characters mean elsewhere': async (under) => {
    const opened = await under.open(all, source);
    const texts = ['50%', '50% off', '500', 'A_1', 'AB1', 'a_1', '\\', '\\x'];
    await commit(opened, (rows) => {
      for (const text of texts) rows.put({ id: text, name: text });
    });
    const behind = async (value: string): Promise<unknown[]> =>
      ids(under, {
        where: [{ column: 'name', op: 'prefix', value }],
        orderBy: [{ column: 'name', direction: 'ascending' }],
      });
    assert.deepEqual(await behind('50%'), ['50%', '50% off']);
    assert.deepEqual(await behind('A_'), ['A_1']);
    assert.deepEqual(await behind('\\'), ['\\', '\\x']);
    assert.equal((await behind('')).length, texts.length);
    await opened.close();
  },

  'NULL stands first, passes no comparison, and is counted apart': async (under) => {
    const opened = await under.open(all, source);
    await commit(opened, (rows) => {
      for (const [id, n] of [
        ['a', null],
        ['b', 1],
        ['c', null],
        ['d', -1],
      ] as const)
        rows.put({ id, n });
    });
    const by = (direction: 'ascending' | 'descending') =>
      ids(under, { orderBy: [{ column: 'n', direction }] });
    assert.deepEqual(await by('ascending'), ['a', 'c', 'd', 'b']);
    assert.deepEqual(await by('descending'), ['b', 'd', 'c', 'a']);
    assert.deepEqual(await ids(under, { where: [{ column: 'n', op: '<', value: 5 }] }), ['b', 'd']);
    assert.deepEqual(await ids(under, { where: [{ column: 'n', op: 'is-null' }] }), ['a', 'c']);
    const { rows } = await found(under, {
      aggregate: { groupBy: [], columns: { all: { count: '*' }, n: { count: 'n' } } },
    });
    assert.deepEqual(
      rows.map((row) => ({ ...row })),
      [{ all: 4, n: 2 }],
    );
    await opened.close();
  },

  'sums are exact beyond what a number holds': async (under) => {
    const opened = await under.open(all, source);
    const huge = Number.MAX_SAFE_INTEGER;
    await commit(opened, (rows) => {
      for (let i = 0; i < 1_100; i += 1) rows.put({ id: `t${i}`, n: i % 2, size: huge });
      rows.put({ id: 'less', n: 0, size: -1 });
    });
    const { rows } = await found(under, {
      aggregate: { groupBy: ['n'], columns: { sum: { sum: 'size' } } },
      orderBy: [{ column: 'n', direction: 'ascending' }],
    });
    assert.deepEqual(
      rows.map(({ sum }) => sum),
      [550n * BigInt(huge) - 1n, 550n * BigInt(huge)],
    );
    await opened.close();
  },

  'pages together are all rows, each once, also where they equal each other': async (under) => {
    const opened = await under.open(all, source);
    const fill =
      (from: number): Change =>
      (rows) => {
        for (let i = from; i < 40; i += 2)
          rows.put({ id: `t${i}`, n: i % 3, name: i % 4 === 0 ? null : 'x' });
      };
    await commit(opened, fill(0));
    await commit(opened, fill(1), { partition: Q });
    for (const direction of ['ascending', 'descending'] as const) {
      const orderBy = [
        { column: 'name', direction },
        { column: 'n', direction: 'ascending' as const },
      ];
      const whole = await ids(under, { orderBy });
      const paged: unknown[] = [];
      let after: string | undefined;
      do {
        const page: QueryResult = await found(under, {
          orderBy,
          limit: 7,
          ...(after === undefined ? {} : { after }),
        });
        paged.push(...page.rows.map(({ id }) => id));
        after = page.next ?? undefined;
      } while (after !== undefined);
      assert.deepEqual([new Set(paged).size, paged], [40, whole]);
    }
    await opened.close();
  },

  'a changed definition has tables and places of its own, and leaves what was': async (under) => {
    const opened = await under.open(all, source);
    await commit(opened, (rows) => rows.put(thing('a')));
    await opened.close();
    const next = await under.open(changed, source);
    const build = next.readModels.builds[0]?.name as string;
    const { checkpoints } = next.readModels;
    assert.deepEqual(
      [checkpoints.isApart(build), checkpoints.position(build, P), checkpoints.position('', P)],
      [true, 0, 1],
    );
    await commit(next, (rows) => rows.put(thing('b')), { build });
    await checkpoints.join(build);
    await commit(next, (rows) => rows.put(thing('c')));
    await next.close();
    assert.deepEqual(await ids(under), ['a']);
    const before = await under.open(all, source);
    const own = before.readModels.builds[0]?.name as string;
    assert.deepEqual(
      [before.readModels.checkpoints.isApart(own), before.readModels.checkpoints.position(own, P)],
      [true, 1],
    );
    await before.close();
  },

  'a partition that goes away leaves no row, in parts, and the others stay': async (under) => {
    const opened = await under.open(all, source);
    const fill: Change = (rows) => {
      for (let i = 0; i < 10; i += 1) rows.put(thing(`t${i}`));
    };
    await commit(opened, fill);
    await commit(opened, fill, { partition: Q });
    await opened.close();
    const next = await under.open(changed, source);
    assert.equal(await next.readModels.drop(P, 4), 4);
    while ((await next.readModels.drop(P, 4)) === 4);
    assert.equal(await next.readModels.drop(P, 4), 0);
    assert.equal(next.readModels.checkpoints.position('', P), 0);
    await next.close();
    const { rows } = await found(under);
    assert.deepEqual([rows.length, (await found(under, { partitions: [P] })).rows.length], [10, 0]);
  },

  'what was folded beyond a position is discarded in parts, and counts for nothing from the first': async (
    under,
  ) => {
    const opened = await under.open(all, source);
    const { discard, checkpoints } = opened.readModels;
    const fill: Change = (rows) => {
      for (let i = 0; i < 10; i += 1) rows.put(thing(`t${i}`));
    };
    await commit(opened, fill);
    await commit(opened, fill);
    await commit(opened, fill, { partition: Q });
    assert.deepEqual([await discard(P, 2, 4), checkpoints.position('', P)], [0, 2]);
    assert.deepEqual([await discard(P, 1, 4), checkpoints.position('', P)], [4, 0]);
    const digest = async (): Promise<number> => {
      const reading = await under.read(all);
      const { position } = await reading.digest(P);
      await reading.close();
      return position;
    };
    assert.equal(await digest(), 0);
    await fails(
      commit(opened, (rows) => rows.put(thing('between'))),
      'fenced',
    );
    await opened.close();
    const again = await under.open(all, source);
    const { readModels } = again;
    assert.deepEqual([readModels.begunAgain, readModels.checkpoints.position('', P)], [false, 0]);
    while ((await readModels.discard(P, Number.MAX_SAFE_INTEGER, 4)) === 4);
    assert.equal((await found(under, { partitions: [P] })).rows.length, 0);
    assert.deepEqual([(await ids(under)).length, readModels.checkpoints.position('', Q)], [10, 1]);
    await commit(again, (rows) => rows.put(thing('a')));
    await commit(again, (rows) => rows.put(thing('b')));
    assert.deepEqual([readModels.checkpoints.position('', P), await digest()], [2, 2]);
    await again.close();
    // Of builds that keep places of their own those that are beyond.
    const next = await under.open(changed, source);
    const name = next.readModels.builds[0]?.name as string;
    await commit(next, (rows) => rows.put(thing('new')), { build: name });
    assert.equal(await next.readModels.discard(P, 1, 9), 2);
    assert.deepEqual((await found(under, { partitions: [P] })).rows.length, 0);
    assert.deepEqual(
      (await found(under, { partitions: [P] }, changed)).rows.map(({ id }) => id),
      ['new'],
    );
    assert.equal(next.readModels.checkpoints.position(name, P), 1);
    await next.close();
  },

  'everything begins again when the log is another one': async (under) => {
    const opened = await under.open(all, source);
    assert.equal(opened.readModels.begunAgain, true);
    await commit(opened, (rows) => rows.put(thing('a')));
    await opened.close();
    const again = await under.open(all, otherSource);
    assert.deepEqual([again.readModels.begunAgain, again.readModels.checkpoints.position('', P)], [true, 0]);
    assert.deepEqual(await ids(under), []);
    await again.close();
  },

  'a digest is that of the rows, whatever their order, and of one partition': async (under) => {
    const opened = await under.open(all, source);
    const put =
      (...rows: Row[]): Change =>
      (into) => {
        for (const row of rows) into.put(row);
      };
    const [a, b] = [thing('a', { n: 1 }), thing('b', { name: '😀' })];
    await commit(opened, put(a, b));
    await commit(opened, put(b, a), { partition: Q });
    const digest = async (partition: number) => {
      const reading = await under.read(all);
      const one = await reading.digest(partition);
      await reading.close();
      return one;
    };
    assert.deepEqual(differences(await digest(P), await digest(Q)), []);
    assert.deepEqual([(await digest(P)).position, (await digest(P)).tables['things']?.rows], [1, 2]);
    await commit(opened, put({ ...b, name: '😁' }), { partition: Q });
    assert.deepEqual(differences(await digest(P), await digest(Q)), ['things']);
    await opened.close();
  },
};
