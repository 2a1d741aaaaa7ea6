import { deepEqual, equal, match } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Limits, measure, missed, quantile } from './measures.ts';
import { acked, attempt, mark, recordOf } from './record.fixture.ts';
import type { DrillRecord } from './record.ts';

const LEASE_MS = 3_000;
const marks = [
  mark('struck', 10_000),
  mark('healed', 20_000),
  mark('caught-up', 23_500),
  mark('given-back', 25_000),
];
const measured = (record: DrillRecord, from: 'struck' | 'healed' = 'struck') =>
  measure(record, from, LEASE_MS);

describe('RTO', () => {
  test('is the first success of the class that waited longest, and of struck keys alone', () => {
    const record = recordOf(
      [
        attempt(10_050, 10_060, { affected: false }), // another region's
        attempt(10_100, 10_200, { status: 503 }),
        attempt(13_000, 13_500),
        attempt(14_000, 14_010),
        attempt(10_100, 10_110, { kind: 'read' }),
        attempt(12_000, 14_250, { kind: 'claim' }),
      ],
      { marks },
    );
    const { rtoMs, firstSuccessMs } = measured(record);
    deepEqual(firstSuccessMs, { order: 3_500, claim: 4_250 });
    equal(rtoMs, 4_250);
  });

  test('an answer that was under way at the fault proves nothing', () => {
    const { rtoMs } = measured(recordOf([attempt(9_990, 10_010), attempt(12_900, 13_000)], { marks }));
    equal(rtoMs, 3_000);
  });

  test('nor does a write that is lost at the end', () => {
    const zombie = attempt(10_100, 10_110);
    const acknowledged = [acked(10_110, 'lost', { request: zombie.request })];
    const { rtoMs } = measured(recordOf([zombie, attempt(14_000, 14_500)], { marks, acknowledged }));
    equal(rtoMs, 4_500);
  });

  test('is not reached while one class has no success', () => {
    const attempts = [attempt(12_000, 12_100), attempt(12_000, 12_100, { kind: 'user', status: 503 })];
    const found = measured(recordOf(attempts, { marks }));
    equal(found.rtoMs, null);
    deepEqual(found.firstSuccessMs, { order: 2_100, user: null });
    match(missed(found, limits)[0] as string, /No write got through any more: user\./);
  });

  test('counts from the end of the fault where nothing can go on before', () => {
    const { rtoMs } = measured(
      recordOf([attempt(10_500, 10_600), attempt(20_100, 20_700)], { marks }),
      'healed',
    );
    equal(rtoMs, 700);
  });
});

describe('RPO', () => {
  test('counts what is lost, and the oldest of it before the fault', () => {
    const acknowledged = [
      acked(9_000, 'there'),
      acked(9_400, 'lost'),
      acked(9_900, 'lost', { kind: 'stock' }),
      acked(11_500, 'lost'),
      acked(9_950, 'unknown'),
    ];
    const found = measured(recordOf([attempt(10_100, 10_200)], { marks, acknowledged }));
    deepEqual(found.writes, { acknowledged: 5, lost: 3, unknown: 1 });
    deepEqual(found.lostByKind, { order: 2, stock: 1 });
    equal(found.rpoMs, 600);
    deepEqual(found.rpoMsByKind, { order: 600, stock: 100 });
    equal(found.lostBehindMs, 1_500);
  });

  test('nothing lost is 0', () => {
    const { rpoMs, lostBehindMs } = measured(recordOf([], { marks, acknowledged: [acked(9_000, 'there')] }));
    deepEqual([rpoMs, lostBehindMs], [0, 0]);
  });
});

describe('errors and latency', () => {
  const request = 1_000_000;
  const record = recordOf(
    [
      attempt(1_000, 1_010),
      attempt(2_000, 2_030),
      // Begun before the fault, and met by it: three attempts, and done in the end.
      attempt(9_900, 10_000.5, { request, status: 0 }),
      attempt(10_100, 10_200, { request, status: 503 }),
      attempt(11_000, 11_100, { request }),
      attempt(12_000, 12_100, { status: 409 }),
      attempt(30_000, 30_005),
    ],
    { marks },
  );

  test('attempts and requests are counted apart, by phase', () => {
    const { phases, retries, failed, lastFailureMs } = measured(record);
    const [before, during, after] = phases;
    deepEqual(
      phases.map(({ name, requests, fromMs, toMs }) => [name, requests, fromMs, toMs]),
      [
        ['before', 2, 0, 10_000],
        ['during', 2, 10_000, 25_000],
        ['after', 1, 25_000, 60_000],
      ],
    );
    deepEqual(during?.attemptErrors, { 0: 1, 409: 1, 503: 1 });
    deepEqual(during?.requestErrors, { 409: 1 });
    deepEqual([before?.attemptErrors, after?.attemptErrors], [{}, {}]);
    deepEqual([before?.p50Ms, before?.p99Ms, during?.slowestMs, after?.p99Ms], [10, 30, 1_200, 5]);
    deepEqual([retries, failed, lastFailureMs], [2, 1, 2_100]);
  });

  test('a read of what is lost is told as lost, any other failure fails', () => {
    const missing = attempt(12_000, 12_010, { kind: 'read', status: 404 });
    const failedOf = (found: 'there' | 'lost') =>
      measured(recordOf([missing], { marks, acknowledged: [acked(9_000, found)] })).failed;
    deepEqual([failedOf('lost'), failedOf('there')], [0, 1]);
  });

  test('the nearest rank', () => {
    deepEqual([quantile([], 0.5), quantile([1], 0.99), quantile([1, 2, 3, 4], 0.5)], [null, 1, 2]);
  });

  test('what the platform did meanwhile', () => {
    const counted = { count: 24, region: 'us-west' };
    const found = measured(
      recordOf([attempt(13_500, 13_600), attempt(12_500, 12_600), attempt(19_900, 20_100)], {
        marks: [
          ...marks,
          { ...mark('homes-moved', 13_000), ...counted },
          { ...mark('homes-moved', 24_000), ...counted }, // given back
          { ...mark('quarantined', 22_000), count: 3, region: 'us-east' },
        ],
      }),
    );
    deepEqual([found.movedPartitions, found.quarantined, found.catchUpMs], [24, 3, 3_500]);
    equal(found.doneMeanwhile, 1, 'later than a lease lasts, and before the way back');
  });
});

describe('the pause of a planned move', () => {
  const before = [attempt(9_000, 9_100), attempt(9_200, 9_320), attempt(9_500, 9_520, { kind: 'user' })];

  test('is what a struck write took beyond the median of its class', () => {
    const found = measured(
      recordOf(
        [
          ...before,
          attempt(9_900, 10_400), // met by it
          attempt(12_000, 12_050),
          attempt(12_000, 13_000, { kind: 'stock' }), // of a class that was not seen before
          attempt(12_000, 14_000, { affected: false }),
          attempt(12_000, 14_000, { kind: 'read' }),
          attempt(24_000, 24_300, { kind: 'user' }),
          attempt(25_500, 27_000), // when all was over
        ],
        { marks },
      ),
    );
    equal(found.pauseMs, 400, '500 ms, where 100 are usual');
  });

  test('is not known where nothing was written before', () =>
    equal(measured(recordOf([attempt(12_000, 12_050)], { marks })).pauseMs, null));
});

const rpoMsMax = { order: 1_000, user: 1_000, stock: 1_000, claim: 0, product: 0 };
const limits: Limits = {
  rtoMsMax: 5_000,
  rpoMsMax,
  lostBehindMsMax: LEASE_MS,
  mustStop: false,
  pauseMsMax: null,
};

describe('bounds', () => {
  const good = measured(
    recordOf([attempt(13_000, 14_000)], { marks, acknowledged: [acked(9_000, 'there')] }),
  );

  test('nothing is missed by what keeps to them', () => deepEqual(missed(good, limits), []));

  test('each is told by itself', () => {
    const one = (change: Partial<typeof good>, within: Partial<Limits>, says: RegExp): void => {
      const found = missed({ ...good, ...change }, { ...limits, ...within });
      equal(found.length, 1, found.join(' '));
      match(found[0] as string, says);
    };
    one({ rtoMs: 5_001 }, {}, /RTO is 5\.00 s, the bound is 5\.00 s/);
    one({ rpoMsByKind: { order: 1_200 }, lostByKind: { order: 2 } }, {}, /RPO is 1\.20 s \(order\)/);
    one(
      { rpoMsByKind: { claim: 0 }, lostByKind: { claim: 1 } },
      {},
      /1 acknowledged writes \(claim\) are lost/,
    );
    one({ lostBehindMs: 3_100 }, {}, /longer than a lease lasts/);
    one({ doneMeanwhile: 3 }, { mustStop: true }, /3 writes were done when no region can have had a lease/);
    const moved = { movedPartitions: 60 };
    one({ pauseMs: 0 }, { pauseMsMax: 1_000 }, /Nothing moved/);
    one({ ...moved, pauseMs: 1_001 }, { pauseMsMax: 1_000 }, /Writes waited 1\.00 s, the bound is 1\.00 s/);
    one({ ...moved, pauseMs: null }, { pauseMsMax: 1_000 }, /Writes waited unseen/);
    const failing = good.phases.map((phase) => ({ ...phase, attemptErrors: { 503: 1 } }));
    one({ ...moved, pauseMs: 0, phases: failing }, { pauseMsMax: 1_000 }, /3 attempts failed/);
    one({ troubles: ['Copies are behind.'] }, {}, /Copies are behind/);
    one({ writes: { acknowledged: 9, lost: 0, unknown: 1 } }, {}, /could not be read back/);
    one({ openOrders: 2 }, {}, /2 orders have not ended/);
    one({ failed: 1 }, {}, /1 requests failed/);
    deepEqual(missed({ ...good, doneMeanwhile: 3 }, limits), []);
  });
});
