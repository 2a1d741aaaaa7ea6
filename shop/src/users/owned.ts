/**
 * An account as its owner and staff reach it, by any of its ids: reads and commands that name an old one are answered
 * where the account is now. A command waits, within a bound, while the account is on its way; a key that was answered
 * under an old id has its answer there.
 */
import { CardumeError } from 'cardume/base';
import { parseId } from 'cardume/base/id';
import type { Answer } from 'cardume/cqrs/bus';
import { decided } from 'cardume/cqrs/decided';
import type { OperationContext, Reply } from 'cardume/gateway/operation';
import type { Clock } from 'cardume/host';
import { type Current, current, movedTo, movesMax } from '../contracts/accounts.ts';
import { asked } from '../contracts/asked.ts';
import { existing, missing, ownOrStaff } from '../contracts/ownership.ts';
import { type AccountCommand, type AccountState, accounts } from './account.ts';

export type Owned = Current<AccountState>;

/** The account, if the caller may see it. @throws CardumeError `not-found` */
export async function seen(id: string, { bus, principal }: OperationContext): Promise<Owned> {
  await ownOrStaff(principal, id, id, bus);
  const found = existing(await current(bus, accounts, id), id);
  if (!isOpen(found.state)) throw missing(id);
  return found;
}

/** It may be read: it is somebody's, and not only an old id of it. */
export function isOpen({ status }: AccountState): boolean {
  return status === 'active' || status === 'moving';
}

/** Decides where the account is now. @throws CardumeError `deadline-exceeded` while it is on its way */
export async function changed(
  id: string,
  context: OperationContext,
  command: AccountCommand,
): Promise<Answer> {
  let at = await seen(id, context);
  for (let hops = 0; hops <= movesMax; hops += 1) {
    const answer = await decideAt(at, context, async () => command);
    if (movedTo(answer.result) === null) return answer;
    await arrived(at.id, context);
    const further = await current(context.bus, accounts, at.id);
    at = { ...further, passed: [...at.passed, ...further.passed] };
  }
  throw new CardumeError('overloaded', 'the account moves on and on');
}

/** @param command made only when nothing is remembered under the request's key */
export async function decideAt(
  { id, passed }: Owned,
  context: OperationContext,
  command: () => Promise<AccountCommand>,
): Promise<Answer> {
  const { bus, key, ifVersion } = context;
  for (const before of key === null ? [] : passed) {
    const known = await bus.answered('users', parseId(before), key as NonNullable<typeof key>);
    if (known !== null && movedTo(known.result) === null) return known;
  }
  if (passed.length > 0 && ifVersion !== undefined)
    throw new CardumeError('precondition-failed', `it is '${id}' by now, and has other versions there`);
  return await bus.send(accounts, id, await command(), asked(context));
}

/** Waits, within a bound, until an account that is moving has moved. @throws CardumeError `deadline-exceeded` */
export async function arrived(
  id: string,
  { bus, signal, port }: Pick<OperationContext, 'bus' | 'signal' | 'port'>,
): Promise<void> {
  const clock = port<Clock>('clock');
  await decided({ bus, signal, clock }, accounts, id, ({ status }) => status === 'moving');
}

/** Versions count where the account is: by an old id there is no ETag, but a pointer to where there is one. */
export function located(
  asked: string,
  at: Pick<Owned, 'id' | 'version'>,
  path = '',
): Pick<Reply, 'version' | 'headers'> {
  if (at.id === asked) return versionAt(asked, at);
  return { headers: { 'content-location': `/users/${at.id}${path}` } };
}

export function versionAt(
  asked: string,
  { id, version }: Pick<Owned, 'id' | 'version'>,
): Pick<Reply, 'version'> {
  return id === asked ? { version } : {};
}
