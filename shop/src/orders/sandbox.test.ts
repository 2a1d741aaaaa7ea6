import { deepStrictEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Rehearsal } from '../rehearsal.ts';
import { type PaymentRequest, type Payments, paymentTimeouts, withTimeouts } from './payment.ts';
import { sandbox } from './sandbox.ts';

function open(): { readonly payments: Payments; readonly stage: Rehearsal } {
  const stage = new Rehearsal([]);
  return { payments: sandbox(stage.clock, { lateMs: 5_000, paymentsMax: 2 }), stage };
}

const asked = (token: string, key = 'ord_1'): PaymentRequest => ({
  key,
  order: key,
  amountE4: 10_000,
  currency: 'GBP',
  token,
});
const approved = { status: 'approved', reference: 'sandbox-ord_1' };

describe('the sandbox', () => {
  test('approves, as often as it is asked', async () => {
    const { payments } = open();
    deepStrictEqual(await payments.authorise(asked('tok_approve')), approved);
    deepStrictEqual(await payments.authorise(asked('tok_approve')), approved);
    deepStrictEqual(await payments.status('ord_1'), approved);
  });

  test('declines', async () => {
    const { payments } = open();
    const { status, reference } = await payments.authorise(asked('tok_decline'));
    deepStrictEqual([status, reference], ['declined', null]);
  });

  test('approves late', async () => {
    const { payments, stage } = open();
    deepStrictEqual((await payments.authorise(asked('tok_late'))).status, 'pending');
    stage.nowMs += 4_999;
    deepStrictEqual((await payments.status('ord_1')).status, 'pending');
    stage.nowMs += 1;
    deepStrictEqual(await payments.status('ord_1'), approved);
  });

  test('never answers, which is pending after the time-out', async () => {
    const { payments, stage } = open();
    const bounded = withTimeouts(payments, stage.clock).authorise(asked('tok_timeout'));
    const beganMs = stage.nowMs;
    await stage.play();
    deepStrictEqual(
      [(await bounded).status, stage.nowMs - beganMs],
      ['pending', paymentTimeouts.authoriseMsMax],
    );
    deepStrictEqual((await payments.status('ord_1')).status, 'pending');
  });

  test('a void is final, and tells whether there was something to return', async () => {
    const { payments } = open();
    await payments.authorise(asked('tok_approve'));
    deepStrictEqual(await payments.void('ord_1'), { status: 'voided', reference: 'sandbox-ord_1' });
    deepStrictEqual(await payments.void('ord_1'), { status: 'voided', reference: 'sandbox-ord_1' });
    deepStrictEqual(await payments.void('ord_2'), { status: 'voided', reference: null });
    deepStrictEqual((await payments.authorise(asked('tok_approve', 'ord_2'))).status, 'voided');
  });

  test('what is voided while it is pending is never approved', async () => {
    const { payments, stage } = open();
    await payments.authorise(asked('tok_late'));
    deepStrictEqual(await payments.void('ord_1'), { status: 'voided', reference: null });
    stage.nowMs += 5_000;
    deepStrictEqual(await payments.status('ord_1'), { status: 'voided', reference: null });
  });

  test('gives back what it took, also after it forgot', async () => {
    const { payments } = open();
    deepStrictEqual(await payments.refund('ord_1'), { status: 'refunded', reference: 'sandbox-ord_1' });
  });

  test('forgets the oldest payment, and gives it the same outcome again', async () => {
    const { payments } = open();
    for (const key of ['ord_1', 'ord_2', 'ord_3']) await payments.authorise(asked('tok_approve', key));
    deepStrictEqual((await payments.status('ord_1')).status, 'unknown');
    deepStrictEqual(await payments.authorise(asked('tok_approve')), approved);
  });
});
