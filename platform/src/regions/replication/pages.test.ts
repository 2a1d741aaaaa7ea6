import { deepStrictEqual, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import type { Entry } from '../../events/log.ts';
import { type Page, packPages, unpackPages } from './pages.ts';

const entry = (position: number): Entry => ({
  partition: 1027,
  position,
  epoch: 2 ** 20 + 1,
  stream: `ord_100_${position}`,
  version: position % 3 === 0 ? null : position,
  type: position % 3 === 0 ? '' : 'OrderPlaced',
  data: JSON.stringify({ total: position, name: 'Bacalhau à Brás 🐟' }),
  meta: position % 2 === 0 ? null : '{"result":{}}',
  key: position % 2 === 0 ? null : `key ${position}`,
  atMs: 1_700_000_000_000 + position,
  checksum: Uint8Array.from({ length: 16 }, (_, i) => (position * 7 + i) % 256),
});

const page: Page = {
  service: 'orders',
  partition: 1027,
  homeEpoch: 2 ** 20 + 1,
  entries: Array.from({ length: 50 }, (_, i) => entry(i + 1)),
  keys: [{ partition: 1027, subject: 'acc_1', wrapped: Uint8Array.from([1, 2, 255]) }],
};

test('pages arrive as they were sent, byte for byte, and smaller than they are', () => {
  const text = packPages([page, { ...page, entries: [], keys: [] }]);
  deepStrictEqual(unpackPages(text), [page, { ...page, entries: [], keys: [] }]);
  ok(text.length < JSON.stringify(page).length / 2, `${text.length} characters`);
});

test('what is no parcel is refused', () => {
  for (const text of ['', 'AAAA', packPages([page]).slice(0, 40)])
    throws(
      () => unpackPages(text),
      (error) => isCardumeError(error, 'internal'),
    );
});
