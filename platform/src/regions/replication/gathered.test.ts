import { deepStrictEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { CardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import type { Entry } from '../../events/log.ts';
import { type Arrived, gathered } from './gathered.ts';
import { type Parcel, packPages } from './pages.ts';

const entry = (partition: number, position: number): Entry => ({
  ...{ partition, position, epoch: 1, stream: 'ord_1', version: position, type: 'OrderPlaced' },
  ...{ data: '{}', meta: null, key: null, atMs: 1, checksum: new Uint8Array(16) },
});

/** Entries of one partition. */
function parcel(
  partition: number,
  positions: readonly number[],
  { homeEpoch = 1, ...more }: Partial<Parcel> & { homeEpoch?: number } = {},
): Json {
  const entries = positions.map((position) => entry(partition, position));
  const pages = packPages([{ service: 'orders', partition, homeEpoch, entries, keys: [] }]);
  return { pages, diverged: [], gone: [], came: [], ...more } as unknown as Json;
}

async function* streamOf(parcels: readonly Json[], failure?: Error): AsyncGenerator<Json> {
  yield* parcels;
  if (failure !== undefined) throw failure;
}

const shown = ({ pages, gone }: Arrived): unknown => [
  ...pages.map(({ partition, entries }) => [partition, ...entries.map(({ position }) => position)]),
  ...gone.map(([, partition]) => `gone ${partition}`),
];

/** All of it, the first ones when nothing has come yet, and the others when everything has. */
async function take(stream: AsyncIterable<Json>): Promise<unknown[]> {
  const taken: unknown[] = [];
  for await (const arrived of gathered(stream, new AbortController().signal)) {
    taken.push(shown(arrived));
    await new Promise((resolve) => setImmediate(resolve)); // it is written: meanwhile others come
  }
  return taken;
}

test('what comes while the first is written is taken together, in order', async () => {
  const parcels = [parcel(1, [1, 2]), parcel(1, [3]), parcel(2, [7]), parcel(1, [4, 5])];
  deepStrictEqual(await take(streamOf(parcels)), [
    [[1, 1, 2]],
    [
      [1, 3, 4, 5],
      [2, 7],
    ],
  ]);
});

test('not what an other home has written, nor what is told beside entries, nor too much', async () => {
  const many = Array.from({ length: 1_500 }, (_, i) => i + 5);
  const parcels = [
    parcel(1, [1]),
    parcel(1, [2]),
    parcel(1, [3], { homeEpoch: 2 }),
    parcel(1, [4], { homeEpoch: 2, gone: [['orders', 2]] }),
    parcel(1, many, { homeEpoch: 2 }),
    parcel(3, many),
  ];
  deepStrictEqual(await take(streamOf(parcels)), [
    [[1, 1]],
    [[1, 2]],
    [[1, 3]],
    [[1, 4], 'gone 2'],
    [[1, ...many]],
    [[3, ...many]],
  ]);
});

test('what came before a failure is taken before it is told', async () => {
  const taken: unknown[] = [];
  const failing = streamOf(
    [parcel(1, [1]), parcel(1, [2])],
    new CardumeError('partition-unavailable', 'away'),
  );
  await rejects(async () => {
    for await (const arrived of gathered(failing, new AbortController().signal)) taken.push(shown(arrived));
  }, /away/);
  deepStrictEqual(taken.flat(), [
    [1, 1],
    [1, 2],
  ]);
});

test('nothing is taken behind the signal, whatever has come', async () => {
  const end = new AbortController();
  const taken: unknown[] = [];
  const parcels = Array.from({ length: 100 }, (_, i) => parcel(1, [i + 1]));
  for await (const arrived of gathered(streamOf(parcels), end.signal)) {
    taken.push(shown(arrived));
    end.abort();
  }
  deepStrictEqual(taken, [[[1, 1]]]);
});
