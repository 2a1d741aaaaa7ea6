/** Accounts: one for an e-mail, and every acknowledged one is there. */
import { type AccountEvent, type AccountState, account } from '@cardume/shop/users/account';
import { type ClaimEvent, type ClaimState, emails } from '@cardume/shop/users/claim';
import type { Coverage } from '../coverage.ts';
import type { History } from '../history.ts';
import { eventIn, type Shelf } from './shelf.ts';

export function checkAccounts(
  shelves: readonly Shelf[],
  history: History,
  coverage: Coverage,
  wrong: (what: string) => void,
): void {
  const accounts = new Map<string, AccountState>();
  const claims = new Map<string, ClaimState>();
  const claim = emails.aggregate;
  const claimOf = new Map<string, string>();
  const begunIn = new Map<string, number>();
  for (const { entries } of shelves) {
    for (const entry of entries) {
      if (entry.version === null) continue;
      if (entry.stream.startsWith('acc')) {
        const event = eventIn<AccountEvent>(entry);
        accounts.set(entry.stream, account.evolve(accounts.get(entry.stream) ?? account.initial(), event));
        if (event.type === 'AccountRegistered') {
          if (event.claim !== undefined) claimOf.set(entry.stream, event.claim);
          begunIn.set(entry.stream, entry.epoch);
        }
        if (event.type === 'AccountActivated' && begunIn.get(entry.stream) !== entry.epoch)
          coverage.reached('a registration was carried over a restart');
      } else if (entry.stream.startsWith('clm')) {
        const event = eventIn<ClaimEvent>(entry);
        claims.set(entry.stream, claim.evolve(claims.get(entry.stream) ?? claim.initial(), event));
      }
    }
  }
  for (const [id, { status }] of accounts) {
    if (status === 'pending') wrong(`${id} is neither active nor abandoned`);
    const its = claimOf.get(id);
    if (status !== 'active' || its === undefined) continue;
    const owner = claims.get(its);
    if (owner?.account !== id || !owner.confirmed)
      wrong(`${id} is active, and its e-mail belongs to ${owner?.account ?? 'nobody'}`);
  }
  for (const one of history.registrations) {
    const hasRival = history.registrations.some(
      (other) => other !== one && other.email === one.email && other.fromMs < one.untilMs,
    );
    if (one.answer?.status === 409 && !hasRival) wrong(`${one.email} was refused, and nobody else wanted it`);
  }
  const winners = new Map<string, string>();
  for (const { email, answer } of history.registrations) {
    if (answer?.status !== 201 || answer.id === null) continue;
    if (accounts.get(answer.id)?.status !== 'active')
      wrong(`${answer.id} was acknowledged and is ${accounts.get(answer.id)?.status ?? 'lost'}`);
    const other = winners.get(email);
    if (other !== undefined && other !== answer.id) wrong(`${email} belongs to ${other} and ${answer.id}`);
    winners.set(email, answer.id);
  }
}
