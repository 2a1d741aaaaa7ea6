/**
 * The payment provider of the simulated world: the shop's own sandbox on a machine that never fails, at the far end of
 * a line that is slow, loses what it carries, and is sometimes down. Its books are what money is checked against.
 */

import type { Payment, PaymentRequest, Payments } from '@cardume/shop/orders/payment';
import { sandbox } from '@cardume/shop/orders/sandbox';
import type { Clock } from 'cardume/host';
import type { RandomStream } from 'cardume/testing/simulated/stream';

export interface Bank {
  /** The provider as a process sees it: what is lost is not answered. @param clock of the process */
  line(clock: Clock): Payments;
  /** What the books say of a payment. */
  booked(key: string): Promise<Payment>;
  /** What was asked for under a key: more than one amount is a fault. */
  readonly amounts: ReadonlyMap<string, ReadonlySet<number>>;
  /** What was to be paid with, under each key. */
  readonly tokens: ReadonlyMap<string, string>;
  isDown: boolean;
  /** Of requests, and of answers. */
  lossPercent: number;
}

const LATE_MS = 5_000;
const LATENCY_MS_MAX = 40;

/** @param clock of the provider's machine */
export function openBank(clock: Clock, stream: RandomStream, lossPercent: number): Bank {
  const books = sandbox(clock, { lateMs: LATE_MS, paymentsMax: Number.MAX_SAFE_INTEGER });
  const amounts = new Map<string, Set<number>>();
  const tokens = new Map<string, string>();
  const bank = {
    isDown: false,
    lossPercent,
    amounts,
    tokens,
    booked: (key: string) => books.status(key),
    line(own: Clock): Payments {
      const isLost = (): boolean => bank.isDown || stream.below(100) < bank.lossPercent;
      /** A request that has left arrives even when its sender dies meanwhile; the answer reaches only the living. */
      const carried = (act: () => Promise<Payment>): Promise<Payment> =>
        new Promise((resolve) => {
          clock.after(1 + stream.below(LATENCY_MS_MAX), () => {
            if (isLost()) return;
            void act().then((payment) => {
              const delayMs = 1 + stream.below(LATENCY_MS_MAX);
              if (!isLost()) own.after(delayMs, () => resolve(payment));
            });
          });
        });
      return {
        authorise: (request) =>
          carried(() => {
            note(request);
            return books.authorise(request);
          }),
        status: (key) => carried(() => books.status(key)),
        void: (key) => carried(() => books.void(key)),
        refund: (key) => carried(() => books.refund(key)),
      };
    },
  };
  function note({ key, amountE4, token }: PaymentRequest): void {
    tokens.set(key, token);
    const known = amounts.get(key) ?? new Set();
    amounts.set(key, known.add(amountE4));
  }
  return bank;
}
