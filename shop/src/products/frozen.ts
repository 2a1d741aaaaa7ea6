/**
 * Rights of a region that was lost. Where another region took over without a proof that it has all that was told (services
 * with durability `region`), the lost one may have sold what is available here. So that is frozen, once, before anything
 * else is decided, until the region is back, or somebody writes it off. Rights that come meanwhile from other regions
 * are sold as ever.
 */
import type { DecideContext } from 'cardume/cqrs/aggregate';
import type { StockEvent, StockState } from './stock.ts';

type Loss = Pick<DecideContext, 'unclean'>;
type Rights = Pick<StockState, 'available' | 'frozen' | 'frozenIn'>;

/** What the loss of the region, or its return, has made of the rights, as events that come before all others. */
export function dueOf({ available, frozen, frozenIn }: Rights, { unclean }: Loss): StockEvent[] {
  if (unclean > frozenIn) return [{ type: 'RightsFrozen', term: unclean, quantity: available }];
  return isDue({ frozen }, { unclean }) ? [{ type: 'RightsThawed', quantity: frozen }] : [];
}

/** They are sold again from the next decision on. */
export const isDue = ({ frozen }: Pick<Rights, 'frozen'>, { unclean }: Loss): boolean =>
  unclean === 0 && frozen > 0;

/** What can be sold, when `dueOf` has happened. */
export function spendable({ available, frozen, frozenIn }: Rights, { unclean }: Loss): number {
  if (unclean > frozenIn) return 0;
  return unclean === 0 ? available + frozen : available;
}

/** What cannot. */
export function frozenNow({ available, frozen, frozenIn }: Rights, { unclean }: Loss): number {
  if (unclean > frozenIn) return frozen + available;
  return unclean === 0 ? 0 : frozen;
}
