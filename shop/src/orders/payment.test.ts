import { deepStrictEqual, rejects, strictEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Rehearsal } from '../rehearsal.ts';
import { type Payment, type Payments, withTimeouts } from './payment.ts';

const timeouts = { authoriseMsMax: 10, statusMsMax: 20, voidMsMax: 30, refundMsMax: 40 };
const request = { key: 'ord_1', order: 'ord_1', amountE4: 10_000, currency: 'GBP', token: 'tok' };

interface Scene {
  readonly payments: Payments;
  readonly stage: Rehearsal;
  /** How the provider's one answer ends. */
  readonly provider: PromiseWithResolvers<Payment>;
}

function open(): Scene {
  const stage = new Rehearsal([]);
  const provider = Promise.withResolvers<Payment>();
  const ask = (): Promise<Payment> => provider.promise;
  const payments = withTimeouts(
    { authorise: ask, status: ask, void: ask, refund: ask },
    stage.clock,
    timeouts,
  );
  return { payments, stage, provider };
}

const calls: Readonly<Record<keyof Payments, (payments: Payments) => Promise<Payment>>> = {
  authorise: (payments) => payments.authorise(request),
  status: (payments) => payments.status('ord_1'),
  void: (payments) => payments.void('ord_1'),
  refund: (payments) => payments.refund('ord_1'),
};
const others = ['status', 'void', 'refund'] as const;

describe('payments with time-outs', () => {
  for (const call of ['authorise', ...others] as const) {
    test(`${call}: an answer within the time is handed on, and nothing is left behind`, async () => {
      const { payments, stage, provider } = open();
      const asked = calls[call](payments);
      const approved: Payment = { status: 'approved', reference: 'r' };
      provider.resolve(approved);
      strictEqual(await asked, approved);
      const beganMs = stage.nowMs;
      await stage.play();
      strictEqual(stage.nowMs, beganMs, 'no timer is left');
    });

    test(`${call}: so is an error`, async () => {
      const { payments, provider } = open();
      const asked = calls[call](payments);
      provider.reject(new Error('broken'));
      await rejects(asked, /broken/);
    });
  }

  test('an authorisation without an answer is pending', async () => {
    const { payments, stage } = open();
    const beganMs = stage.nowMs;
    const asked = calls.authorise(payments);
    await stage.play();
    deepStrictEqual(await asked, { status: 'pending', reference: null });
    strictEqual(stage.nowMs - beganMs, timeouts.authoriseMsMax);
  });

  for (const call of others) {
    test(`${call}: without an answer it fails and may be asked again; a late error is nobody’s`, async () => {
      const { payments, stage, provider } = open();
      const beganMs = stage.nowMs;
      const asked = calls[call](payments);
      const failed = rejects(asked, { code: 'deadline-exceeded' });
      await stage.play();
      await failed;
      strictEqual(stage.nowMs - beganMs, timeouts[`${call}MsMax`]);
      provider.reject(new Error('broken'));
      await new Promise(setImmediate);
    });
  }
});
