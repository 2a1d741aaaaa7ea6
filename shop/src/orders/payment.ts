/**
 * The port to whoever takes the money. A payment is known by a key that the shop chooses; every call may be repeated
 * under it. An approved payment has taken the money; there is no separate capture.
 */
import type { Clock } from 'cardume/host';

export interface Payments {
  /** Asks once for a key, however often it is called. May take long, or never answer. */
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

/** A provider that does not answer within the bound leaves the payment pending. */
export function withTimeout(payments: Payments, clock: Clock, authoriseMsMax: number): Payments {
  return {
    status: (key) => payments.status(key),
    void: (key) => payments.void(key),
    refund: (key) => payments.refund(key),
    authorise(request) {
      return new Promise((resolve, reject) => {
        const timer = clock.after(authoriseMsMax, () => resolve({ status: 'pending', reference: null }));
        payments
          .authorise(request)
          .then(resolve, reject)
          .finally(() => timer.cancel());
      });
    },
  };
}
