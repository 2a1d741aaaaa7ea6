import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../base/id.ts';
import type { Table } from '../sharding/table.ts';
import { partitionKey } from '../topology/partition.ts';
import { checkPlace } from './row.ts';

const lines: Table = {
  name: 'lines',
  columns: { order: 'text', n: 'integer', sku: 'text' },
  key: ['order', 'n'],
  indexes: [],
  shardedBy: 'order',
};
const place = { scope: 1, partition: 3 };
const partition = partitionKey(place);
const id = newId('ord', place, 0, new Uint8Array(10));

test('a sharding column holds ids of the row’s partition, or nothing', () => {
  checkPlace(lines, { order: id, n: 1 }, partition);
  checkPlace(lines, { order: null }, partition);
  checkPlace(lines, { sku: 'a part of a row' }, partition);
  checkPlace({ ...lines, shardedBy: undefined } as unknown as Table, { order: 'anything' }, partition);
  const wrong = /table 'lines': 'order' is no id of the row's partition/;
  assert.throws(() => checkPlace(lines, { order: id }, partition + 1), wrong);
  assert.throws(() => checkPlace(lines, { order: 'ord_1' }, partition), wrong);
  assert.throws(() => checkPlace(lines, { order: 5 }, partition), wrong);
});
