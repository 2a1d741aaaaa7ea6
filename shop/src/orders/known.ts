/**
 * What an instance remembers of other services, so that placing an order seldom asks them: offers for a few seconds
 * (a changed price is sold at the old one at most that long), an account's country for good, since it never changes.
 */
import { isCardumeError } from 'cardume/base';
import type { AggregateOf, Bus } from 'cardume/cqrs/bus';
import { customers } from '../contracts/accounts.ts';
import { type Offer, offers } from '../contracts/catalogue.ts';
import { Recent } from '../contracts/recent.ts';

const offerMsMax = 5_000;
const entriesMax = 20_000;

export class Known {
  readonly #offers = new Recent<{ readonly offer: Offer; readonly untilMs: number }>(entriesMax);
  readonly #countries = new Recent<string>(entriesMax);

  /** @returns null when no such product is for sale */
  async offer(product: string, bus: Bus, nowMs: number): Promise<Offer | null> {
    const known = this.#offers.get(product);
    if (known !== undefined && nowMs < known.untilMs) return known.offer;
    const state = await stateOf(bus, offers, product);
    if (state === null || state.withdrawn) return null;
    const { sku, priceE4, currency, withdrawn } = state;
    const offer = { sku, priceE4, currency, withdrawn };
    this.#offers.set(product, { offer, untilMs: nowMs + offerMsMax });
    return offer;
  }

  /** @returns null when there is no such account */
  async country(customer: string, bus: Bus): Promise<string | null> {
    const known = this.#countries.get(customer);
    if (known !== undefined) return known;
    const state = await stateOf(bus, customers, customer);
    if (state === null) return null;
    this.#countries.set(customer, state.country);
    return state.country;
  }
}

/** Null when it does not exist, or its id names a place that is none. */
async function stateOf<State>(bus: Bus, of: AggregateOf<State>, id: string): Promise<State | null> {
  try {
    const { state, version } = await bus.load(of, id);
    return version === 0 ? null : state;
  } catch (error) {
    if (isCardumeError(error, 'not-found')) return null;
    throw error;
  }
}
