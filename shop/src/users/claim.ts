/**
 * A claim makes an e-mail address belong to one account in all regions. Its id is a keyed digest of the address, so
 * whoever wants the address meets the same claim, and the log does not tell the address.
 *
 * A claim is taken for a minute, while the account is made, and then confirmed. One that was never confirmed lapses:
 * a registration that died half way does not block the address.
 */
import { naturalId } from 'cardume/base/id';
import { accept, aggregate, reject } from 'cardume/cqrs/aggregate';
import { refer } from 'cardume/cqrs/bus';
import type { OperationContext } from 'cardume/gateway/operation';
import { Type } from 'typebox';
import type { EventOf } from '../contracts/event.ts';
import { Id, Milliseconds } from '../contracts/schemas.ts';

const claimMs = 60_000;

const events = {
  EmailClaimed: Type.Object({ account: Id, until_ms: Milliseconds }),
  EmailConfirmed: Type.Object({ account: Id }),
  EmailReleased: Type.Object({ account: Id }),
};
export type ClaimEvent = EventOf<typeof events>;

/** `account`: who claims, confirms or lets go. */
export interface ClaimCommand {
  readonly type: 'Claim' | 'Confirm' | 'Release';
  readonly account: string;
}

export interface ClaimState {
  account: string | null;
  confirmed: boolean;
  untilMs: number;
}

export const claim = aggregate<ClaimState, ClaimCommand, ClaimEvent>({
  name: 'claim',
  idType: 'clm',
  events,
  initial: () => ({ account: null, confirmed: false, untilMs: 0 }),

  decide({ type, account }, state, { atMs }) {
    const own = state.account === account;
    switch (type) {
      case 'Claim':
        if (own && (state.confirmed || atMs < state.untilMs)) return accept([]);
        if (!own && state.account !== null && (state.confirmed || atMs < state.untilMs)) {
          return reject('email-taken', 'the e-mail belongs to another account');
        }
        return accept([{ type: 'EmailClaimed', account, until_ms: atMs + claimMs }]);
      case 'Confirm':
        if (own) return accept(state.confirmed ? [] : [{ type: 'EmailConfirmed', account }]);
        if (state.account !== null) {
          return reject('email-taken', 'the claim has lapsed and another account has the e-mail');
        }
        // Released by a twin of the request that goes on: nobody has it, so it is still ours to take.
        return accept([
          { type: 'EmailClaimed', account, until_ms: atMs + claimMs },
          { type: 'EmailConfirmed', account },
        ]);
      case 'Release':
        return accept(own && !state.confirmed ? [{ type: 'EmailReleased', account }] : []);
    }
  },

  evolve(state, event) {
    switch (event.type) {
      case 'EmailClaimed':
        state.account = event.account;
        state.untilMs = event.until_ms;
        break;
      case 'EmailConfirmed':
        state.confirmed = true;
        break;
      case 'EmailReleased':
        state.account = null;
        break;
    }
    return state;
  },
});

export const claims = refer('users', claim);

/** One address, one spelling. The part before the @ may tell cases apart by RFC 5321; no large provider does. */
export function normalEmail(email: string): string {
  return email.normalize('NFKC').toLowerCase();
}

/** @param email normal */
export function claimId(
  email: string,
  { geography, secretDigest }: Pick<OperationContext, 'geography' | 'secretDigest'>,
): string {
  const digest = secretDigest(`email:${email}`);
  return naturalId('clm', geography.placeInGlobal('users', digest.toHex()), digest);
}
