/** Waits, within a bound, until a new account is active: its registration process confirms the claim meanwhile. */
import { CardumeError } from 'cardume/base';
import { decided } from 'cardume/cqrs/decided';
import type { OperationContext } from 'cardume/gateway/operation';
import type { Clock } from 'cardume/host';
import { current } from '../contracts/accounts.ts';
import { accounts } from './account.ts';
import type { Owned } from './owned.ts';

/** @throws CardumeError `email-taken`, `deadline-exceeded` */
export async function activated({ bus, signal, port }: OperationContext, id: string): Promise<Owned> {
  const clock = port<Clock>('clock');
  const found = await decided({ bus, signal, clock }, accounts, id, ({ status }) => status === 'pending');
  if (found.state.status === 'abandoned')
    throw new CardumeError('email-taken', 'the e-mail belongs to another account');
  // A registration that is sent again long after meets the account where it is by then.
  return found.state.movedTo === null ? { ...found, id, passed: [] } : current(bus, accounts, id);
}
