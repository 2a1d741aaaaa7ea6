/**
 * An e-mail address belongs to one account in all regions. A registration claims the address for a minute, while the
 * account is made; one that died half way does not block it.
 */
import type { ClaimEvent as EventOf, ClaimState as StateOf } from 'cardume/cqrs/claim';
import { unique } from 'cardume/cqrs/unique';

export const emails = unique({
  service: 'users',
  name: 'claim',
  idType: 'clm',
  value: 'email',
  holder: 'account',
  // The part before the @ may tell cases apart by RFC 5321; no large provider does.
  normal: (email) => email.normalize('NFKC').toLowerCase(),
  taken: { code: 'email-taken', detail: 'the e-mail belongs to another account' },
});

export type ClaimEvent = EventOf<'email', 'account'>;
export type ClaimState = StateOf<'account'>;
