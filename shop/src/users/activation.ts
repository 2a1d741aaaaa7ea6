/** Waits, within a bound, until a new account is active: its registration process confirms the claim meanwhile. */
import { CardumeError } from 'cardume/base';
import type { Loaded } from 'cardume/cqrs/bus';
import { decided } from 'cardume/cqrs/decided';
import type { OperationContext } from 'cardume/gateway/operation';
import type { Clock } from 'cardume/host';
import { type AccountState, accounts } from './account.ts';

/** @throws CardumeError `email-taken`, `deadline-exceeded` */
export async function activated(
  { bus, signal, port }: OperationContext,
  id: string,
): Promise<Loaded<AccountState>> {
  const clock = port<Clock>('clock');
  const found = await decided({ bus, signal, clock }, accounts, id, ({ status }) => status === 'pending');
  if (found.state.status === 'abandoned')
    throw new CardumeError('email-taken', 'the e-mail belongs to another account');
  return found;
}
