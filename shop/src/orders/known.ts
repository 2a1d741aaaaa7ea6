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
/** Older ones are asked for anew while they are still sold: of what sells often nobody waits for another region. */
const askedAgainMs = 2_500;
const entriesMax = 20_000;

interface KnownOffer {
  readonly offer: Offer;
  readonly askedMs: number;
  isAskedAgain: boolean;
}

export class Known {
  readonly #offers = new Recent<KnownOffer>(entriesMax);
  readonly #countries = new Recent<string>(entriesMax);

  /** @returns null when no such product is for sale */
  async offer(product: string, bus: Bus, nowMs: number): Promise<Offer | null> {
    const known = this.#offers.get(product);
    if (known === undefined || nowMs - known.askedMs >= offerMsMax) return this.#ask(product, bus, nowMs);
    if (nowMs - known.askedMs >= askedAgainMs && !known.isAskedAgain) {
      known.isAskedAgain = true;
      // Should it fail, whoever finds nothing known asks, and is told.
      this.#ask(product, bus, nowMs).catch(() => undefined);
    }
    return known.offer;
  }

  async #ask(product: string, bus: Bus, askedMs: number): Promise<Offer | null> {
    const state = await stateOf(bus, offers, product);
    if (state === null || state.withdrawn) return null;
    const { sku, priceE4, currency, withdrawn } = state;
    const offer = { sku, priceE4, currency, withdrawn };
    this.#offers.set(product, { offer, askedMs, isAskedAgain: false });
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
