import { CardumeError } from 'cardume/base';
import type { Bus } from 'cardume/cqrs/bus';
import type { Principal } from 'cardume/identity/principal';
import { idsOf } from './accounts.ts';

/**
 * Only the owner and staff may see a thing; for all others it does not exist.
 * @throws CardumeError `not-found`
 */
export async function ownOrStaff(
  principal: Principal,
  owner: string | null,
  id: string,
  bus: Bus,
): Promise<void> {
  if (principal.role !== 'staff' && !(await owns(principal, owner, bus))) throw missing(id);
}

/** Whether they are one account, by whichever of its ids. */
export async function owns(
  { id, former }: Pick<Principal, 'id' | 'former'>,
  owner: string | null,
  bus: Bus,
): Promise<boolean> {
  if (owner === null) return false;
  // A token that was issued before the account moved does not name the ids that came after.
  return owner === id || former?.ids.includes(owner) === true || (await idsOf(bus, owner)).includes(id);
}

export function missing(id: string): CardumeError {
  return new CardumeError('not-found', `there is no '${id.slice(0, 80)}'`);
}

/** @throws CardumeError `not-found` when the aggregate was never begun */
export function existing<T extends { readonly version: number }>(loaded: T, id: string): T {
  if (loaded.version === 0) throw missing(id);
  return loaded;
}
