/**
 * What other services may know of an account. Its country never changes. Its id names the region where it was born, so
 * an account that moves to another region goes on under a new one; whoever meets an old id follows it.
 */
import type { AggregateOf, Bus, Loaded } from 'cardume/cqrs/bus';
import type { Freshness } from 'cardume/sharding/query';

export interface Customer {
  readonly country: string;
  /** Where it has moved to, or is on its way to. Left out by the version before, as is `former`. */
  readonly movedTo?: string | null;
  /** Ids that it had before, oldest first. */
  readonly former?: readonly string[];
}

export const customers: AggregateOf<Customer> = { service: 'users', aggregate: 'account' };

/** Moves of one account, over all of its ids: a token names all former ones, and a look at an old id follows so many. */
export const movesMax = 8;

export interface Current<State> extends Loaded<State> {
  readonly id: string;
  /** The ids between the one that was asked for and this one, in order; the first is the one that was asked for. */
  readonly passed: readonly string[];
}

/**
 * The account by any of its ids, as far as it has arrived. `version` 0: there is none.
 * @param freshness as `Bus.load` takes it
 */
export async function current<State extends Customer>(
  bus: Bus,
  of: AggregateOf<State>,
  id: string,
  freshness?: Freshness | null,
): Promise<Current<State>> {
  const passed: string[] = [];
  let at = id;
  let found = await bus.load(of, at, false, freshness);
  while (passed.length < movesMax) {
    const to = found.state.movedTo ?? null;
    const next = to === null ? null : await bus.load(of, to, false, freshness);
    if (to === null || next === null || next.version === 0) break;
    passed.push(at);
    at = to;
    found = next;
  }
  return { ...found, id: at, passed };
}

/** Where the same is to be asked, in the answer to a command that came too late where it was sent. */
export function movedTo(result: unknown): string | null {
  return (result as { readonly moved_to?: string } | null)?.moved_to ?? null;
}

/**
 * All ids of an account, by any of them: the oldest first.
 * @param least so many are known: when a copy knows fewer, or nothing of it, its home is asked
 */
export async function idsOf(bus: Bus, id: string, least = 1): Promise<readonly string[]> {
  const found = await current(bus, customers, id);
  const ids = allOf(found);
  const isKnown = found.version > 0 && ids.length >= least;
  return isKnown ? ids : allOf(await current(bus, customers, id, null));
}

function allOf({ id: now, state }: Current<Customer>): readonly string[] {
  return [...(state.former ?? []), now];
}
