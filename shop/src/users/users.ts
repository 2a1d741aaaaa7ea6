/** The users service: accounts, and the claims that make an e-mail address unique over all regions. */
import type { Service } from 'cardume/cqrs/service';
import { account } from './account.ts';
import { accountsProjection } from './accounts.ts';
import { emails } from './claim.ts';
import { moves } from './move.ts';
import { registration } from './registration.ts';

export const service: Service = {
  name: 'users',
  module: import.meta.url,
  aggregates: [account, emails.aggregate],
  projections: [accountsProjection],
  processes: [registration, moves],
};
