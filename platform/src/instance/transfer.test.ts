import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import type { CopyPage, Entry } from '../events/log.ts';
import type { Clock } from '../host/host.ts';
import { longWork } from './long-work.ts';
import { openTransfers, type Way } from './transfer.ts';

const PARTITION = 7;

/** A home that has so many entries and gets so many more while a page is copied, a copy, and how pages went over. */
function way(
  entries: number,
  grows: number,
  refusedAt = 0,
): { way: Way; pages: number[]; copied: () => number } {
  const head = { partition: PARTITION, position: entries };
  const pages: number[] = [];
  let copied = 0;
  const from = {
    log: {
      heads: () => [head],
      async readPartition(_: number, after: number, max: number) {
        const page = Array.from({ length: Math.min(max, head.position - after) }, (_, i) => after + i + 1);
        head.position += grows;
        return page.map((position) => ({ position }) as Entry);
      },
    },
  };
  const to = {
    moving: {
      async copy([page]: readonly CopyPage[]) {
        const { entries, homeEpoch } = page as CopyPage;
        strictEqual(homeEpoch, null);
        pages.push(entries.length);
        if (entries.at(-1)?.position === refusedAt)
          return [{ partition: PARTITION, refused: { code: 'conflict', detail: 'it does not follow' } }];
        copied = entries.at(-1)?.position ?? copied;
        return [{ partition: PARTITION, head: {}, added: entries.length }];
      },
    },
  };
  const names = { service: 'orders', fromName: 'orders-0', toName: 'orders-1' };
  return { way: { ...names, partition: PARTITION, from, to } as unknown as Way, pages, copied: () => copied };
}

const clock = { monotonicMs: () => 0, sleep: async () => undefined } as unknown as Clock;
const transfersWith = (onRest: () => void = () => undefined) => {
  const work = longWork({ ...clock, sleep: async () => onRest() } as Clock, () => undefined);
  return {
    work,
    ...openTransfers({ clock, map: null as never, hosted: null as never, homes: null as never, work }),
  };
};

test('a home that is written as fast as it is copied is caught up all the same', async () => {
  const { way: hot, pages, copied } = way(10_000, 64);
  strictEqual(await transfersWith().copyUpTo(hot, 0, Number.POSITIVE_INFINITY), copied());
  ok(pages.length < 200, `${pages.length} pages`);
  ok(Math.max(...pages) <= 1_024);
  strictEqual(pages[0], 64);
});

test('whoever asks is told how far it is, and nothing when it is done', async () => {
  const told: (number | null)[] = [];
  const { noted, copyUpTo } = transfersWith(() => told.push(noted(PARTITION).entriesLeft));
  strictEqual(await copyUpTo(way(200, 0).way, 0, Number.POSITIVE_INFINITY), 200);
  deepStrictEqual(told, [136, 72, 8]);
  strictEqual(noted(PARTITION).entriesLeft, null);
});

test('it ends between two pages when the instance closes', async () => {
  const { work, copyUpTo } = transfersWith(() => work.end());
  strictEqual(await copyUpTo(way(10_000, 0).way, 0, Number.POSITIVE_INFINITY), 64);
});

test('a page that is refused ends it with the reason', async () => {
  const { way: refused, copied } = way(200, 0, 128);
  const copying = transfersWith().copyUpTo(refused, 0, Number.POSITIVE_INFINITY);
  await rejects(copying, (error) => isCardumeError(error, 'conflict'));
  strictEqual(copied(), 64);
});
