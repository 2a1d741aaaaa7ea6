/** Sessions: a token for an e-mail and a password, and a new password for a signed-in account. */
import { CardumeError } from 'cardume/base';
import { parseId } from 'cardume/base/id';
import { type OperationContext, operation } from 'cardume/gateway/operation';
import type { Passwords } from 'cardume/identity/passwords';
import type { Tokens } from 'cardume/identity/tokens';
import { Type } from 'typebox';
import { type Current, current } from '../contracts/accounts.ts';
import { missing, owns } from '../contracts/ownership.ts';
import { ById, Id, Moment, moment } from '../contracts/schemas.ts';
import { type AccountState, accounts } from './account.ts';
import { emails } from './claim.ts';
import { changed, isOpen, seen, versionAt } from './owned.ts';

export const Email = Type.String({ minLength: 3, maxLength: 254, pattern: '^[^\\s@]+@[^\\s@]+$' });
/** What makes a good password is the business of `identity/passwords`. */
export const Password = Type.String({ minLength: 1, maxLength: 1_000 });

export function session(
  port: OperationContext['port'],
  { id, state: { role, former = [], arrivedAtMs = null } }: SignedIn,
  nowMs: number,
): { readonly token: string; readonly token_expires_at: string } {
  const moved = arrivedAtMs === null ? {} : { former: { ids: former, leftMs: arrivedAtMs } };
  const { token, expiresInS } = port<Tokens>('tokens').issue({ id, role, ...moved });
  return { token, token_expires_at: moment(nowMs + expiresInS * 1_000) };
}

interface SignedIn {
  readonly id: string;
  /** Of the version before it says nothing of moves. */
  readonly state: Pick<AccountState, 'role'> & Partial<Pick<AccountState, 'former' | 'arrivedAtMs'>>;
}

export const signIn = operation({
  id: 'users.sign-in',
  method: 'POST',
  path: '/users/sign-in',
  summary: 'Sign in: a token for an e-mail and a password',
  description: 'With `Accept: text/plain` the reply is the bare token.',
  access: 'anyone',
  failures: ['wrong-credentials'],
  body: Type.Object({ email: Email, password: Password }),
  replies: { 200: Type.Object({ account: Id, token: Type.String(), token_expires_at: Moment }) },
  async handle({ body: { email, password } }, context) {
    const { bus, port, nowMs } = context;
    const passwords = port<Passwords>('passwords');
    const { state: claim } = await bus.load(emails.claims, emails.idOf(email, context));
    // The claim names the id that the account was registered under.
    const holder = claim.confirmed ? claim.account : null;
    const found = holder === null ? null : await current(bus, accounts, holder);
    // An unknown address costs the same work and gets the same answer as a wrong password.
    const { matches, needsRehash } = await passwords.verify(password, storedHash(found));
    if (!matches || found === null) {
      throw new CardumeError('wrong-credentials', 'the e-mail or the password is wrong');
    }
    if (needsRehash) {
      const passwordHash = await passwords.hash(password);
      await bus.send(accounts, found.id, { type: 'ChangePassword', passwordHash });
    }
    const signedIn = session(port, found, nowMs);
    return { status: 200, body: { account: found.id, ...signedIn }, text: signedIn.token };
  },
});

function storedHash(found: Pick<Current<AccountState>, 'state'> | null): string | null {
  return found !== null && isOpen(found.state) ? found.state.passwordHash : null;
}

export const changePassword = operation({
  id: 'users.password',
  method: 'POST',
  path: '/users/{id}/password',
  summary: 'Change one’s own password',
  access: 'signed-in',
  failures: ['wrong-credentials'],
  params: ById,
  body: Type.Object({ current: Password, password: Password }),
  replies: { 204: null },
  place: ({ params }) => parseId(params.id, 'acc'),
  async handle({ params: { id }, body: { current, password } }, context) {
    const { bus, port, principal } = context;
    if (!(await owns(principal, id, bus))) throw missing(id);
    const passwords = port<Passwords>('passwords');
    const { matches } = await passwords.verify(current, storedHash(await seen(id, context)));
    if (!matches) throw new CardumeError('wrong-credentials', 'the current password is wrong');
    const passwordHash = await passwords.hash(password);
    const answer = await changed(id, context, { type: 'ChangePassword', passwordHash });
    return { status: 204, token: answer.token, ...versionAt(id, answer) };
  },
});
