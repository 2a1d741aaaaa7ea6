/**
 * A provider for development and tests: the token says what happens. `tok_approve` and `tok_decline` answer at once;
 * `tok_late` is pending for a while and then approved; `tok_timeout` never answers and stays pending.
 *
 * Outcomes follow from token and key alone. What it remembers (since when, what was voided) is lost with the process:
 * then a payment is `unknown`, and asking again under the same key gives the same outcome.
 */
import type { Clock } from 'cardume/host';
import type { Payment, Payments } from './payment.ts';

export const sandboxTokens = ['tok_approve', 'tok_decline', 'tok_timeout', 'tok_late'] as const;

interface Remembered {
  readonly token: string;
  readonly sinceMs: number;
  /** What it came to, for good. */
  ended: Payment | null;
}

export interface SandboxOptions {
  /** How long `tok_late` is pending. */
  readonly lateMs: number;
  /** Payments that are remembered; the oldest are forgotten. */
  readonly paymentsMax: number;
}

export function sandbox(clock: Clock, { lateMs, paymentsMax }: SandboxOptions): Payments {
  const payments = new Map<string, Remembered>();
  const reference = (key: string): string => `sandbox-${key}`;

  function remember(key: string, token: string): Remembered {
    let payment = payments.get(key);
    if (payment === undefined) {
      payment = { token, sinceMs: clock.nowMs(), ended: null };
      const [oldest] = payments.keys();
      if (payments.size >= paymentsMax && oldest !== undefined) payments.delete(oldest);
      payments.set(key, payment);
    }
    return payment;
  }

  function state(key: string): Payment {
    const payment = payments.get(key);
    if (payment === undefined) return { status: 'unknown', reference: null };
    const { token, sinceMs, ended } = payment;
    if (ended !== null) return ended;
    if (token === 'tok_approve' || (token === 'tok_late' && clock.nowMs() - sinceMs >= lateMs)) {
      return { status: 'approved', reference: reference(key) };
    }
    if (token === 'tok_decline')
      return { status: 'declined', reference: null, reason: 'the card was declined' };
    return { status: 'pending', reference: null };
  }

  return {
    authorise({ key, token }) {
      const payment = remember(key, token);
      if (token === 'tok_timeout' && payment.ended === null) return new Promise(() => {});
      return Promise.resolve(state(key));
    },
    status: (key) => Promise.resolve(state(key)),
    void(key) {
      const payment = remember(key, '');
      payment.ended ??= { status: 'voided', reference: state(key).reference };
      return Promise.resolve(payment.ended);
    },
    refund(key) {
      const payment = remember(key, 'tok_approve');
      payment.ended ??= { status: 'refunded', reference: reference(key) };
      return Promise.resolve(payment.ended);
    },
  };
}
