/** Confirms the claim on a new account's e-mail; then the account is active, or abandoned if another was quicker. */
import { process } from 'cardume/cqrs/process';
import { type AccountCommand, type AccountEvent, account } from './account.ts';
import { emails } from './claim.ts';

interface Registration {
  claim: string | null;
}

export const registration = process<Registration, AccountEvent, AccountCommand>({
  name: 'registration',
  of: account,
  startsOn: ['AccountRegistered'],
  initial: () => ({ claim: null }),
  evolve(state, event) {
    if (event.type === 'AccountRegistered') state.claim = event.claim ?? null;
    if (event.type === 'AccountActivated' || event.type === 'AccountAbandoned') state.claim = null;
    return state;
  },
  ended: (state) => state.claim === null,
  react: ({ claim }, id) =>
    claim === null
      ? []
      : [emails.confirming(claim, id, { held: { type: 'Activate' }, lost: { type: 'Abandon' } })],
});
