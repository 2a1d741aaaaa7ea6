/** What other services may know of an account. Its country never changes. */
import type { AggregateOf } from 'cardume/cqrs/bus';

export interface Customer {
  readonly country: string;
}

export const customers: AggregateOf<Customer> = { service: 'users', aggregate: 'account' };
