import { CardumeError } from 'cardume/base';
import type { Principal } from 'cardume/identity/principal';

/**
 * Only the owner and staff may see a thing; for all others it does not exist.
 * @throws CardumeError `not-found`
 */
export function ownOrStaff(principal: Principal, owner: string | null, id: string): void {
  if (principal.role === 'staff' || principal.id === owner) return;
  throw missing(id);
}

export function missing(id: string): CardumeError {
  return new CardumeError('not-found', `there is no '${id.slice(0, 80)}'`);
}

/** @throws CardumeError `not-found` when the aggregate was never begun */
export function existing<T extends { readonly version: number }>(loaded: T, id: string): T {
  if (loaded.version === 0) throw missing(id);
  return loaded;
}
