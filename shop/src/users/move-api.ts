/** Moving an account to another region, by its owner or by staff. */
import { isCardumeError } from 'cardume/base';
import { naturalId, parseId } from 'cardume/base/id';
import { type OperationContext, operation } from 'cardume/gateway/operation';
import { Type } from 'typebox';
import { current } from '../contracts/accounts.ts';
import { told } from '../contracts/asked.ts';
import { invalid } from '../contracts/faults.ts';
import { knownRegion } from '../contracts/regions.ts';
import { ById, Id, Moment, Region } from '../contracts/schemas.ts';
import { type AccountCommand, accounts } from './account.ts';
import { arrived, decideAt, isOpen, type Owned, seen } from './owned.ts';
import { session } from './sign-in.ts';

export const move = operation({
  id: 'users.move',
  method: 'POST',
  path: '/users/{id}/moves',
  summary: 'Move an account to another region',
  description:
    'The account goes on there under a new id; its old ones and their tokens keep working. While the status is `moving` it can be read and not changed. The owner gets a token of the new id; while it is still `moving`, by asking again with the same key.',
  access: 'signed-in',
  failures: ['conflict'],
  idempotent: true,
  params: ById,
  body: Type.Object({ region: Region }),
  replies: {
    202: Type.Object({
      id: Id,
      region: Region,
      status: Type.Enum(['moving', 'moved']),
      token: Type.Optional(Type.String()),
      token_expires_at: Type.Optional(Moment),
    }),
  },
  place: ({ params }) => parseId(params.id, 'acc'),
  async handle({ params: { id }, body: { region } }, context) {
    const { bus, geography, nowMs, port, principal } = context;
    knownRegion(geography, region, '/body/region');
    const at = await seen(id, context);
    const answer = await decideAt(at, context, () => beginning(at, region, context));
    const { to } = answer.result as { readonly to: string };
    const hasMoved = await arrived(answer.id, context).then(
      () => true,
      (error) => (isCardumeError(error, 'deadline-exceeded') ? false : Promise.reject(error)),
    );
    const body = { id: to, region, status: hasMoved ? 'moved' : 'moving' };
    if (!hasMoved) return { status: 202, body, ...told(answer, context) };
    const { token, ...now } = await current(bus, accounts, to);
    const isOwner = principal.id === now.id || now.state.former.includes(principal.id);
    const signedIn = isOwner && isOpen(now.state) ? session(port, now, nowMs) : {};
    return { status: 202, body: { ...body, ...signedIn }, ...told({ ...answer, token }, context) };
  },
});

async function beginning(
  { id }: Owned,
  region: string,
  { bus, digest, geography, principal }: OperationContext,
): Promise<AccountCommand> {
  const place = geography.placeInRegion('users', region, id);
  if (place.scope === parseId(id).scope)
    throw invalid('/body/region', `expected another region than '${region}', where the account is`);
  // Asked again, it is the same.
  const to = naturalId('acc', place, digest(`move:${id}:${region}`));
  // One that cannot be reached is told before anything has begun.
  await bus.load(accounts, to);
  return { type: 'BeginMove', to, by: principal.id };
}
