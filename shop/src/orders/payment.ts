/**
 * The port to whoever takes the money. A payment is known by a key that the shop chooses; every call may be repeated
 * under it, and may take long or never be answered. An approved payment has taken the money; there is no separate
 * capture.
 */
import { CardumeError } from 'cardume/base';
import type { Clock } from 'cardume/host';

export interface Payments {
  /** Asks once for a key, however often it is called. */
  authorise(request: PaymentRequest): Promise<Payment>;
  status(key: string): Promise<Payment>;
  /** Ends a payment that may be anything, also never asked for: it is not approved from now on. */
  void(key: string): Promise<Payment>;
  /** Gives back what an approved payment has taken. */
  refund(key: string): Promise<Payment>;
}

export interface PaymentRequest {
  readonly key: string;
  readonly order: string;
  readonly amountE4: number;
  readonly currency: string;
  /** What the customer pays with, as the provider named it. */
  readonly token: string;
}

export interface Payment {
  /** `unknown`: the provider was never asked under this key. */
  readonly status: 'approved' | 'declined' | 'pending' | 'voided' | 'refunded' | 'unknown';
  /** The provider's name for it; null when there was nothing to name. */
  readonly reference: string | null;
  readonly reason?: string;
}

/**
 * How long an answer is waited for. Together they are shorter than the minute that a process's attempt may take, so it
 * is always known which call was given up.
 */
export interface PaymentTimeouts {
  readonly authoriseMsMax: number;
  readonly statusMsMax: number;
  readonly voidMsMax: number;
  readonly refundMsMax: number;
}

/** An authorisation may ask the customer's bank; looking up what is known is quick. */
export const paymentTimeouts: PaymentTimeouts = {
  authoriseMsMax: 10_000,
  statusMsMax: 5_000,
  voidMsMax: 10_000,
  refundMsMax: 10_000,
};

/**
 * Every call has an end: an authorisation without an answer leaves the payment pending, the others fail with
 * `deadline-exceeded` and are asked again. A call that was given up may still reach the provider, at any time. It
 * does no harm: it acts on the same key as its repeat, and takes no money once the payment is voided. Its answer is
 * dropped, and `status` tells what it came to.
 */
export function withTimeouts(
  payments: Payments,
  clock: Clock,
  { authoriseMsMax, statusMsMax, voidMsMax, refundMsMax }: PaymentTimeouts = paymentTimeouts,
): Payments {
  /** @param late what a call is for now that was given up */
  function within(
    timeoutMs: number,
    asked: Promise<Payment>,
    late: (timeoutMs: number) => Promise<Payment>,
  ): Promise<Payment> {
    return new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs, () => resolve(late(timeoutMs)));
      asked.then(resolve, reject).finally(() => timer.cancel());
    });
  }
  return {
    authorise: (request) => within(authoriseMsMax, payments.authorise(request), pending),
    status: (key) => within(statusMsMax, payments.status(key), failed),
    void: (key) => within(voidMsMax, payments.void(key), failed),
    refund: (key) => within(refundMsMax, payments.refund(key), failed),
  };
}

async function pending(): Promise<Payment> {
  return { status: 'pending', reference: null };
}

async function failed(timeoutMs: number): Promise<Payment> {
  throw new CardumeError('deadline-exceeded', `the payment provider did not answer within ${timeoutMs} ms`);
}
