/** Sessions: a token for an e-mail and a password, and a new password for a signed-in account. */
import { CardumeError } from 'cardume/base';
import { parseId } from 'cardume/base/id';
import type { Loaded } from 'cardume/cqrs/bus';
import { type OperationContext, operation } from 'cardume/gateway/operation';
import type { Passwords } from 'cardume/identity/passwords';
import type { Principal } from 'cardume/identity/principal';
import type { Tokens } from 'cardume/identity/tokens';
import { Type } from 'typebox';
import { asked } from '../contracts/asked.ts';
import { missing } from '../contracts/ownership.ts';
import { ById, Id, Moment, moment } from '../contracts/schemas.ts';
import { type AccountState, accounts } from './account.ts';
import { emails } from './claim.ts';

export const Email = Type.String({ minLength: 3, maxLength: 254, pattern: '^[^\\s@]+@[^\\s@]+$' });
/** What makes a good password is the business of `identity/passwords`. */
export const Password = Type.String({ minLength: 1, maxLength: 1_000 });

export function session(
  port: OperationContext['port'],
  principal: Principal,
  nowMs: number,
): { readonly token: string; readonly token_expires_at: string } {
  const { token, expiresInS } = port<Tokens>('tokens').issue(principal);
  return { token, token_expires_at: moment(nowMs + expiresInS * 1_000) };
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
    const id = claim.confirmed ? claim.account : null;
    const found = id === null ? null : await bus.load(accounts, id);
    // An unknown address costs the same work and gets the same answer as a wrong password.
    const { matches, needsRehash } = await passwords.verify(password, storedHash(found));
    if (!matches || id === null || found === null) {
      throw new CardumeError('wrong-credentials', 'the e-mail or the password is wrong');
    }
    if (needsRehash) {
      const passwordHash = await passwords.hash(password);
      await bus.send(accounts, id, { type: 'ChangePassword', passwordHash });
    }
    const signedIn = session(port, { id, role: found.state.role }, nowMs);
    return { status: 200, body: { account: id, ...signedIn }, text: signedIn.token };
  },
});

function storedHash(found: Loaded<AccountState> | null): string | null {
  return found !== null && found.state.status === 'active' ? found.state.passwordHash : null;
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
    if (principal.id !== id) throw missing(id);
    const passwords = port<Passwords>('passwords');
    const { matches } = await passwords.verify(current, storedHash(await bus.load(accounts, id)));
    if (!matches) throw new CardumeError('wrong-credentials', 'the current password is wrong');
    const passwordHash = await passwords.hash(password);
    const { version, token } = await bus.send(
      accounts,
      id,
      { type: 'ChangePassword', passwordHash },
      asked(context),
    );
    return { status: 204, version, token };
  },
});
