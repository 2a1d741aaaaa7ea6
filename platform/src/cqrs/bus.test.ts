import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { naturalId } from '../base/id.ts';
import { encodeToken } from '../events/token.ts';
import type { Freshness } from '../sharding/query.ts';
import { partitionKey } from '../topology/partition.ts';
import { type AggregateOf, type Bus, reading } from './bus.ts';

const orders: AggregateOf<unknown> = { service: 'orders', aggregate: 'order' };
const accounts: AggregateOf<unknown> = { service: 'users', aggregate: 'account' };
const here = { scope: 1, partition: 3 };
const there = { scope: 2, partition: 3 };
const digest = new Uint8Array(32);

/** @returns with which freshness the bus was asked */
async function asked(freshness: Freshness, ask: (bus: Bus) => Promise<unknown>): Promise<unknown[]> {
  const found: unknown[] = [];
  const note = async (one: unknown): Promise<never> => void found.push(one) as never;
  const bus = {
    load: (_of: unknown, _id: unknown, _lasting: unknown, one: unknown) => note(one),
    row: (_service: unknown, _table: unknown, _place: unknown, _key: unknown, one: unknown) => note(one),
    query: (_query: unknown, bounds: { freshness: unknown }) => note(bounds.freshness),
  } as unknown as Bus;
  await ask(reading(bus, freshness));
  return found;
}

async function askAll(bus: Bus): Promise<void> {
  await bus.load(orders, naturalId('ord', here, digest));
  await bus.load(orders, naturalId('ord', there, digest));
  await bus.load(accounts, naturalId('acc', here, digest));
  await bus.row('orders', 'orders', here, { id: '' });
  await bus.row('users', 'claims', here, { id: '' });
  await bus.query({ service: 'users', table: 'accounts', limit: 1 });
  await bus.load(orders, naturalId('ord', here, digest), false, null);
}

test('who is content with what is old is told by copies, of everything', async () => {
  const old: Freshness = { maxStalenessMs: 1_000, seen: null };
  deepStrictEqual(await asked(old, askAll), [old, old, old, old, old, old, null]);
});

test('who shows a token sees what led to it: other single things than what it is of are the newest', async () => {
  const token = encodeToken({ partition: partitionKey(here), epoch: 1, position: 4 });
  const old: Freshness = { maxStalenessMs: 1_000, seen: { service: 'orders', token } };
  deepStrictEqual(await asked(old, askAll), [old, null, null, old, null, old, null]);
});
