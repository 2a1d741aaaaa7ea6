import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChecksumsAt, commonPosition } from './divergence.ts';

/** A log whose entries up to `common` are everybody's. */
const logOf =
  (name: string, common: number, length: number): ChecksumsAt =>
  async (positions) =>
    positions.map((at) => (at > length ? null : at <= common ? `same ${at}` : `${name} ${at}`));

test('the last common position is found, wherever two histories part and however long they are', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 3_000 }),
      fc.nat({ max: 3_000 }),
      fc.nat({ max: 3_000 }),
      async (common, copyTail, homeTail) => {
        const copy = logOf('copy', common, common + copyTail);
        const home = logOf('home', common, common + homeTail);
        strictEqual(await commonPosition(copy, home, common + copyTail), common);
      },
    ),
  );
});

test('a long history takes a few asks', async () => {
  let asks = 0;
  const home = logOf('home', 900_000, 1_000_000);
  const counted: ChecksumsAt = (positions) => {
    asks += 1;
    return home(positions);
  };
  strictEqual(await commonPosition(logOf('copy', 900_000, 1_000_000), counted, 1_000_000), 900_000);
  strictEqual(asks <= 6, true);
});
