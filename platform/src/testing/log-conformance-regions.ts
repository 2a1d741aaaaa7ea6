/** What a log does for partitions whose homes and copies stand in different regions. */
import assert from 'node:assert/strict';
import { EPOCHS_A_TERM, firstEpochOf, TERM_MAX, termOf } from '../events/epoch.ts';
import type { Log } from '../events/log.ts';
import { decodeToken, encodeToken } from '../events/token.ts';
import { event, events, follow, type LogCases, names, P, Q, take } from './log-conformance-case.ts';

const epochOf = (log: Log, partition: number): number | undefined =>
  log.heads().find((head) => head.partition === partition)?.epoch;

export const regions: LogCases = {
  'a floor lifts the epoch of whoever opens or adopts, and never lowers it': async (under) => {
    const floor = firstEpochOf(1);
    assert.deepEqual([floor, termOf(floor), termOf(floor - 1)], [EPOCHS_A_TERM, 1, 0]);
    const floors = new Map([[P, floor]]);
    const first = await under.open([P, Q], {}, { floors });
    assert.deepEqual([epochOf(first, P), epochOf(first, Q)], [floor, 1]);
    await first.append(P, [event('s', 1)]);
    await first.close();
    const again = await under.open([P, Q], {}, { floors });
    assert.deepEqual([epochOf(again, P), epochOf(again, Q)], [floor + 1, 2]);
    const released = await again.moving.release(P);
    assert.equal((await again.moving.adopt(P, released.epoch, floor)).epoch, floor + 3);
    const { epoch } = await again.moving.release(P);
    assert.equal((await again.moving.adopt(P, epoch, firstEpochOf(2))).epoch, firstEpochOf(2));
    await again.append(P, [event('s', 2)]);
    await again.moving.release(P);
    await again.close();
    // What stands as a copy becomes a home.
    const last = await under.open([P], {}, { floors: new Map([[P, firstEpochOf(TERM_MAX)]]) });
    assert.equal(epochOf(last, P), firstEpochOf(TERM_MAX));
    const appended = await last.append(P, events('t', 1));
    assert.deepEqual(decodeToken(encodeToken(appended)), appended);
    assert.deepEqual(
      names(
        await take(follow(last, P, encodeToken({ ...appended, epoch: firstEpochOf(2), position: 2 })), 1),
      ),
      ['t@1'],
    );
    await last.close();
  },
};
