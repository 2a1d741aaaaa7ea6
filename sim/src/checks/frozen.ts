/**
 * Rights of a region that was lost, where others took over without a proof that they have all that it told: whatever stands
 * in place of what was cut, and was decided before it was known what that is, freezes what was left before it takes or gives.
 */
import type { StockEvent } from '@cardume/shop/products/stock';
import { markOf } from 'cardume/cqrs/answers';
import { termOf } from 'cardume/events/epoch';
import type { Entry } from 'cardume/events/log';
import type { Coverage } from '../coverage.ts';
import type { Shelf } from './shelf.ts';

/** Events that go with what can be sold. */
const MOVES: readonly StockEvent['type'][] = [
  'StockReceived',
  'StockReserved',
  'StockReturned',
  'TransferSent',
  'TransferReceived',
  'RightsFrozen',
];

export function checkFrozen(
  shelves: readonly Shelf[],
  coverage: Coverage,
  wrong: (what: string) => void,
): void {
  const products = shelves.filter(({ service }) => service.name === 'products');
  const standing = new Map<string, Entry>();
  // What was submitted again is what had been told.
  for (const { entries } of products)
    for (const entry of entries)
      if (entry.version !== null && entry.stream.startsWith('stk') && markOf(entry.meta) === null)
        standing.set(`${entry.stream} ${entry.version}`, entry);
  for (const { host, base, region } of products) {
    const log = host.disk.database(`${base}.log.db`, { readOnly: true });
    const cut = log
      .prepare(
        `SELECT stream, MIN(version) AS version, epoch, cut_ms FROM quarantine
         WHERE version IS NOT NULL AND stream LIKE 'stk%' GROUP BY stream, cut_ms`,
      )
      .all();
    log.close();
    for (const { stream, version, epoch, cut_ms: cutMs } of cut) {
      let at = Number(version);
      let instead = standing.get(`${stream} ${at}`);
      const isSooner = ({ epoch: other, atMs }: Entry): boolean =>
        termOf(other) > termOf(Number(epoch)) && atMs < Number(cutMs);
      while (instead !== undefined && isSooner(instead) && !MOVES.includes(instead.type as never)) {
        at += 1;
        instead = standing.get(`${stream} ${at}`);
      }
      if (instead === undefined || !isSooner(instead)) continue;
      if (instead.type === 'RightsFrozen') coverage.reached('rights of a lost region were frozen');
      else
        wrong(
          `${stream} went on with ${instead.type} at ${instead.position}, and ${region} had told something else`,
        );
    }
  }
}
