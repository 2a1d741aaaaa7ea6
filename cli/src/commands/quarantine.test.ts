import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decidedLines, parts, quarantineLines } from './quarantine.ts';

const id = 'us-east/orders/rs-mh34-1c';
const line = { id, stream: 'ord_1', type: 'OrderPlaced', at_ms: 0, decided: null };

describe('cardume regions quarantine', () => {
  it('says of each entry what it is, whether it was asked for under a key, and what was decided', () => {
    const decided = { as: 'discarded', by: 'otto', at_ms: 1_000 };
    assert.deepEqual(
      quarantineLines([
        { ...line, version: 1, idempotency_key: 'acc_1|orders.place|x' },
        { ...line, version: null, idempotency_key: null, decided },
      ]),
      [
        `${id}  ord_1  OrderPlaced, version 1, of 1970-01-01T00:00:00.000Z, with an idempotency key`,
        `${id}  ord_1  an answer without an event, of 1970-01-01T00:00:00.000Z, no idempotency key; discarded by otto at 1970-01-01T00:00:01.000Z`,
      ],
    );
  });

  it('asks for entries of one region at a time, and no more than the API takes', () => {
    const ids = Array.from(
      { length: 250 },
      (_, i) => `${i % 10 === 0 ? 'eu-west' : 'us-east'}/orders/a-${i}-1`,
    );
    const asked = parts(ids);
    assert.deepEqual(
      asked.map((own) => own.length),
      [25, 100, 100, 25],
    );
    assert.deepEqual(asked.flat().toSorted(), ids.toSorted());
    for (const own of asked) assert.equal(new Set(own.map((one) => one.split('/')[0])).size, 1);
  });

  it('says what stays, why, and what to do about it', () => {
    assert.deepEqual(decidedLines('discard', { entries: 1_200, left: [] }), ['Discarded: 1,200 entries.']);
    assert.match(decidedLines('resubmit', { entries: 0, left: [] }).join(), /^Nothing of that waits/);
    const left = Array.from({ length: 22 }, (_, i) => {
      return { ids: [id], stream: `ord_${i}`, why: 'its stream has gone on without it', retryable: i === 21 };
    });
    const lines = decidedLines('resubmit', { entries: 3, left });
    assert.deepEqual(lines.slice(0, 3), [
      'Submitted again: 3 entries.',
      'Not taken, and still in the quarantine: 22 streams.',
      `  ord_0, 1 entry from ${id} on: its stream has gone on without it`,
    ]);
    assert.match(lines.at(-3) ?? '', /and 2 more/);
    assert.match(lines.at(-2) ?? '', /ask again in a moment/);
    assert.match(lines.at(-1) ?? '', /quarantine discard/);
  });
});
