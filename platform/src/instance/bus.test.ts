/** Queries that leave the region: what they say to others, and what they make of those that do not know it yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import { realHost } from '../host/real.ts';
import type { Table } from '../sharding/table.ts';
import type { Placement } from '../topology/partition.ts';
import { openAtHome } from './at-home.ts';
import { openBus } from './bus.ts';
import { hostedShards } from './hosted.ts';
import type { Message } from './message.ts';
import { openReceiver, type Receiver } from './receiver.ts';

const { clock } = realHost();
const table: Table = {
  name: 'orders',
  columns: { id: 'text', total: 'integer' },
  key: ['id'],
  indexes: [],
  shardedBy: 'id',
};
const plain = { service: 'orders', table: 'orders' };
const joining = {
  ...plain,
  join: [{ type: 'inner', table: 'orders', as: 'same', on: [{ left: 'id', right: 'id' }] }],
} as const;

/** The bus of a region that is home to nothing; all is in the other. */
function busBeside(answer: (message: Message, signal?: AbortSignal) => Promise<Json>) {
  const placement: Placement = {
    homeOf: () => 'eu-west',
    shardOf: () => 'orders-0',
    partitionsOf: (service, region) => (region === 'eu-west' ? [{ service, scope: 1, partition: 0 }] : []),
  };
  const hosted = hostedShards(clock);
  return openBus({
    clock,
    here: 'us-east',
    regions: ['us-east', 'eu-west'],
    placement,
    atHome: openAtHome({ clock, here: 'us-east', placement, hosted, homesMove: false }),
    hosted,
    copies: null,
    tables: new Map([['orders/orders', table]]),
    peers: {
      request: (_peer, message, signal) => answer(message as unknown as Message, signal),
      stream: () => assert.fail('no query is a stream'),
    },
    readDeadlineMs: 5_000,
  });
}

const internal = (): Promise<never> =>
  Promise.reject(new CardumeError('internal', 'Something broke on our side.'));

test('what is left of the deadline travels with the plan, and no more than the topology allows', async () => {
  const lefts: number[] = [];
  const bus = busBeside(async (message) => {
    assert.ok(message.kind === 'scan-region');
    lefts.push(message.leftMs as number);
    return { shards: 1, parts: [[]] };
  });
  await bus.query(plain);
  await bus.query(plain, { deadlineMs: 40 });
  await bus.query(plain, { deadlineMs: 100_000 });
  const [usual, less, most] = lefts as [number, number, number];
  assert.ok(usual > 4_900 && usual <= 5_000 && less <= 40 && most <= 5_000, lefts.join());
  for (const deadlineMs of [0, -1, Number.NaN])
    await assert.rejects(bus.query(plain, { deadlineMs }), /deadlineMs: expected at least 1/);
});

test('a query that is late, or left, tells the other region', async () => {
  const signals: AbortSignal[] = [];
  const bus = busBeside((_message, signal) => {
    signals.push(signal as AbortSignal);
    return new Promise(() => undefined);
  });
  await assert.rejects(bus.query(plain, { deadlineMs: 20 }), (error) =>
    isCardumeError(error, 'deadline-exceeded'),
  );
  const asker = new AbortController();
  const left = bus.query(plain, { signal: asker.signal });
  asker.abort();
  await assert.rejects(left, (error) => isCardumeError(error, 'deadline-exceeded'));
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, true],
  );
});

test('a region of the version before refuses joins by name, and answers the rest', async () => {
  const asked: string[] = [];
  const bus = busBeside((message) => {
    asked.push(message.kind);
    return message.kind === 'scan-region' ? Promise.resolve({ shards: 1, parts: [[]] }) : internal();
  });
  assert.deepEqual((await bus.query(plain)).rows, []);
  await assert.rejects(
    bus.query(joining),
    (error) =>
      isCardumeError(error, 'partition-unavailable') &&
      /'eu-west' runs the version before, which knows neither joins nor unions/.test(error.message),
  );
  assert.deepEqual(asked, ['scan-region', 'scan-region-2', 'scan-kinds']);
  const broken = busBeside((message) =>
    message.kind === 'scan-kinds' ? Promise.resolve(['scan-region-2']) : internal(),
  );
  await assert.rejects(broken.query(joining), (error) => isCardumeError(error, 'internal'));
});

test('a message of a later version is refused by its kind', async () => {
  const receive: Receiver = openReceiver({
    clock,
    hosted: hostedShards(clock),
    staticHomes: () => null,
    resharding: internal,
    regions: null,
    readDeadlineMs: 5_000,
    execute: internal,
  });
  const { signal } = new AbortController();
  await assert.rejects(
    receive('eu-west', { kind: 'scan-region-3' } as unknown as Message, signal) as Promise<Json>,
    (error) =>
      isCardumeError(error, 'partition-unavailable') && /does not know 'scan-region-3'/.test(error.message),
  );
  assert.deepEqual(await receive('eu-west', { kind: 'scan-kinds' }, signal), [
    'scan-region',
    'scan-region-2',
  ]);
});
