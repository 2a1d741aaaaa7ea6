/**
 * Folds on each engine against what they mean: random rows written, changed, added to, removed and read, in transactions
 * that commit or are undone, over stores that are closed and opened again, against plain maps.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import type { TailSource } from '../events/tail.ts';
import { realHost } from '../host/real.ts';
import { unbounded } from '../sharding/deadline.ts';
import { planQuery } from '../sharding/plan.ts';
import type { Row, Table, Value } from '../sharding/table.ts';
import { homes } from '../testing/shard-homes.ts';
import { openReading, openStores } from './engines.ts';
import type { Projection } from './projection.ts';
import { openReaders } from './readers.ts';
import type { Fold, Stores } from './storage.ts';

const host = realHost();
const engines = await homes(host);
after(engines.clear);
const readers = openReaders(host, { threadsMax: 1, deadlineMs: 10_000 });
after(readers.close);

const table: Table = {
  name: 'things',
  columns: { id: 'text', n: 'integer', name: 'text', size: 'integer', weight: 'real', extra: 'json' },
  key: ['id', 'n'],
  indexes: [['name']],
};
const columns = Object.keys(table.columns);
const projections: readonly Projection[] = [{ name: 'things', tables: [table], on: {} }];

/** The log has what the checkpoints say: nothing is begun again. */
const source: TailSource = {
  heads: () =>
    [0, 1].map((partition) => ({
      partition,
      epoch: 1,
      lastEpoch: 1,
      position: 1e6,
      checksum: new Uint8Array(16),
    })),
  read: async (partition, position) => [{ partition, epoch: 1, position: position + 1 } as never],
};

interface Key {
  readonly partition: number;
  readonly id: string;
  readonly n: number;
}
type Operation = Key &
  (
    | { readonly does: 'put' | 'patch'; readonly values: Row }
    | { readonly does: 'add'; readonly by: number }
    | { readonly does: 'remove' | 'get' }
  );
/** A transaction; `undone`: it is given up after its last operation. */
interface Transaction {
  readonly operations: readonly Operation[];
  readonly undone: boolean;
  /** The stores are closed and opened again before it. */
  readonly cold: boolean;
}

const key = {
  partition: fc.integer({ min: 0, max: 1 }),
  id: fc.constantFrom('a', 'A', 'a ', '😀'),
  n: fc.integer({ min: 0, max: 1 }),
};
const text = fc.constantFrom('', 'x', "o'clock \\ \0", 'é', null);
const values = fc.record(
  {
    name: text,
    size: fc.constantFrom(0, -1, 2 ** 52, null),
    weight: fc.constantFrom(0.1, -2, 1e300, null),
    extra: fc.constantFrom('{"a":[1]}', null),
  },
  { requiredKeys: [] },
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ ...key, does: fc.constantFrom('put' as const, 'patch' as const), values }),
  fc.record({ ...key, does: fc.constant('add' as const), by: fc.integer({ min: -3, max: 3 }) }),
  fc.record({ ...key, does: fc.constantFrom('remove' as const, 'get' as const) }),
);
const transactions: fc.Arbitrary<Transaction[]> = fc.array(
  fc.record({
    operations: fc.array(operation, { maxLength: 8 }),
    undone: fc.integer({ min: 0, max: 4 }).map((drawn) => drawn === 0),
    cold: fc.integer({ min: 0, max: 5 }).map((drawn) => drawn === 0),
  }),
  { minLength: 1, maxLength: 6 },
);

type Model = Map<string, Row>;
const nameOf = ({ partition, id, n }: Key): string => JSON.stringify([partition, id, n]);
const whole = (row: Row): Row => Object.fromEntries(columns.map((column) => [column, row[column] ?? null]));

/** What the operation means. @returns what it read */
function happen(model: Model, one: Operation): Row | undefined {
  const name = nameOf(one);
  const row = model.get(name);
  const { id, n } = one;
  if (one.does === 'put') model.set(name, whole({ id, n, ...one.values }));
  else if (one.does === 'patch' && row !== undefined) model.set(name, { ...row, ...one.values });
  else if (one.does === 'add') {
    const before = row ?? whole({ id, n });
    model.set(name, { ...before, size: Number(before['size'] ?? 0) + one.by });
  } else if (one.does === 'remove') model.delete(name);
  return one.does === 'get' ? row : undefined;
}

function apply(fold: Fold, one: Operation): Row | undefined {
  const rows = fold.rows(table);
  rows.at(one.partition);
  const { id, n } = one;
  if (one.does === 'put') rows.put({ id, n, ...one.values });
  else if (one.does === 'patch') rows.patch({ id, n }, one.values);
  else if (one.does === 'add') rows.add({ id, n }, { size: one.by });
  else if (one.does === 'remove') rows.remove({ id, n });
  else return rows.get({ id, n });
  return undefined;
}

/** As the projector does: again from the beginning when rows are wanted. */
async function run(fold: Fold, operations: readonly Operation[]): Promise<(Row | undefined)[]> {
  for (;;) {
    const read: (Row | undefined)[] = [];
    for (const one of operations) {
      try {
        const row = apply(fold, one);
        if (one.does === 'get') read.push(row === undefined ? undefined : { ...row });
      } catch (error) {
        if (!fold.isWanting) throw error;
      }
    }
    if (!fold.isWanting) return read;
    await fold.load();
  }
}

for (const { name, skip, newHome } of engines.all) {
  describe(`folds on ${name}`, { skip }, () => {
    it('leave the rows that they mean, whatever was remembered, undone or closed in between', async () => {
      const { place } = await newHome();
      const begun = async (): Promise<Stores> => openStores(host, place, projections, source);
      await host.disk.makeFolder('base' in place ? place.base.slice(0, place.base.lastIndexOf('/')) : '/tmp');
      let stores = await begun();
      let position = 0;
      const model: Model = new Map();

      async function fold({ operations, undone, cold }: Transaction): Promise<void> {
        if (cold) {
          await stores.close();
          stores = await begun();
        }
        const transaction = await stores.readModels.begin();
        const next: Model = new Map(model);
        const expected = operations.flatMap((one) => {
          const row = happen(next, one);
          return one.does === 'get' ? [row] : [];
        });
        assert.deepEqual(await run(transaction, operations), expected);
        if (undone) {
          await transaction.undo();
          return;
        }
        const move = { build: '', partition: 0, from: position, epoch: 1, to: position + 1 };
        await transaction.commit([move]);
        position += 1;
        assert.equal(stores.readModels.checkpoints.position('', 0), position);
        model.clear();
        for (const [at, row] of next) model.set(at, row);
      }

      async function compare(): Promise<void> {
        const reading = await openReading(host, place, projections, readers);
        const found = await reading.scan(
          planQuery({ service: 'test', table: 'things', limit: 1_000 }, () => table).plan,
          unbounded,
        );
        const rows = found.map((cells) => {
          const row = Object.fromEntries(columns.map((column, i) => [column, cells[i] as Value]));
          return [JSON.stringify([cells[columns.length], row['id'], row['n']]), row] as const;
        });
        assert.deepEqual(new Map(rows.toSorted()), new Map([...model].toSorted()));
        for (const [at, row] of model) {
          const [partition, id, n] = JSON.parse(at) as [number, string, number];
          assert.deepEqual({ ...(await reading.row(table, partition, { id, n })) }, row);
        }
        await reading.close();
      }

      await fc.assert(
        fc.asyncProperty(transactions, async (all) => {
          for (const one of all) await fold(one);
          await compare();
        }),
        { numRuns: 60, endOnFailure: true }, // what was left by one case is there for the next
      );
      await stores.close();
    });
  });
}
