/** Waits, within a bound, until a new account is active: its registration process confirms the claim meanwhile. */
import { CardumeError } from 'cardume/base';
import type { Loaded } from 'cardume/cqrs/bus';
import type { OperationContext } from 'cardume/gateway/operation';
import type { Clock } from 'cardume/host';
import { type AccountState, accounts } from './account.ts';

const activationMsMax = 8_000;

/** @throws CardumeError `email-taken`, `deadline-exceeded` */
export async function activated(
  { bus, signal, port }: OperationContext,
  id: string,
): Promise<Loaded<AccountState>> {
  const found = await bus.load(accounts, id);
  if (found.state.status === 'pending') {
    const wait = new AbortController();
    const timer = port<Clock>('clock').after(activationMsMax, () => wait.abort());
    try {
      const until = AbortSignal.any([signal, wait.signal]);
      for await (const _event of bus.follow(accounts, id, found.version, until)) break;
    } finally {
      timer.cancel();
    }
  }
  const now = await bus.load(accounts, id);
  if (now.state.status === 'abandoned')
    throw new CardumeError('email-taken', 'the e-mail belongs to another account');
  if (now.state.status === 'pending') {
    throw new CardumeError(
      'deadline-exceeded',
      'the account is not active yet: send again with the same Idempotency-Key',
    );
  }
  return now;
}
