/** Accounts: one for an e-mail, and every acknowledged one is there, in one place wherever it has moved. */
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
  const begunIn = new Map<string, number>();
  for (const { entries } of shelves) {
    for (const entry of entries) {
      if (entry.version === null) continue;
      if (entry.stream.startsWith('acc')) {
        const event = eventIn<AccountEvent>(entry);
        accounts.set(entry.stream, account.evolve(accounts.get(entry.stream) ?? account.initial(), event));
        if (event.type === 'AccountRegistered' || event.type === 'MoveBegun')
          begunIn.set(entry.stream, entry.epoch);
        if (event.type === 'AccountActivated' && begunIn.get(entry.stream) !== entry.epoch)
          coverage.reached('a registration was carried over a restart');
        if (event.type === 'AccountMoved') {
          coverage.reached('an account moved');
          if (begunIn.get(entry.stream) !== entry.epoch)
            coverage.reached('a move was carried over a restart');
        }
        if (event.type === 'AccountArrived' && event.former.length > 1)
          coverage.reached('an account moved more than once');
      } else if (entry.stream.startsWith('clm')) {
        const event = eventIn<ClaimEvent>(entry);
        claims.set(entry.stream, claim.evolve(claims.get(entry.stream) ?? claim.initial(), event));
      }
    }
  }
  const activeOf = new Map<string, string>();
  for (const [id, { status, claim: its, former, movedTo }] of accounts) {
    if (status === 'pending') wrong(`${id} is neither active nor abandoned`);
    if (status === 'moving') wrong(`${id} has not moved`);
    if (status === 'moved' && accounts.get(movedTo ?? '')?.former.at(-1) !== id)
      wrong(`${id} has moved to ${movedTo}, which does not know it`);
    const [first = id] = former;
    if (status === 'active' && activeOf.has(first)) wrong(`${first} is ${id} and ${activeOf.get(first)}`);
    if (status === 'active') activeOf.set(first, id);
    if (status !== 'active' || its === null) continue;
    const owner = claims.get(its);
    if (owner?.account !== first || !owner.confirmed)
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
    const [first = answer.id] = accounts.get(answer.id)?.former ?? [];
    if (!activeOf.has(first))
      wrong(`${answer.id} was acknowledged and is ${accounts.get(answer.id)?.status ?? 'lost'}`);
    const other = winners.get(email);
    if (other !== undefined && other !== first) wrong(`${email} belongs to ${other} and ${first}`);
    winners.set(email, first);
  }
}
