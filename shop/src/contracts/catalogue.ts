/** What other services may know of a product: its offer. */
import type { AggregateOf } from 'cardume/cqrs/bus';

export interface Offer {
  readonly sku: string;
  readonly priceE4: number;
  readonly currency: string;
  /** A withdrawn product is no longer sold. */
  readonly withdrawn: boolean;
}

export const offers: AggregateOf<Offer> = { service: 'products', aggregate: 'product' };
