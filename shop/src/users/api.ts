/** The users' part of the public API: accounts, profile and addresses. Signing in has its own file. */
import { CardumeError, isCardumeError } from 'cardume/base';
import { naturalId, parseId } from 'cardume/base/id';
import { type Geography, type Operation, type OperationContext, operation } from 'cardume/gateway/operation';
import { type Passwords, passwordFault } from 'cardume/identity/passwords';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { asked, told } from '../contracts/asked.ts';
import { invalid } from '../contracts/faults.ts';
import { knownRegion } from '../contracts/regions.ts';
import {
  ById,
  CountryCode,
  Id,
  Moment,
  moment,
  Next,
  pageAfter,
  pageLimit,
  Region,
} from '../contracts/schemas.ts';
import { Address, accounts, PersonName, Role } from './account.ts';
import { activated } from './activation.ts';
import { emails } from './claim.ts';
import { move } from './move-api.ts';
import { changed, located, type Owned, seen, versionAt } from './owned.ts';
import { changePassword, Email, Password, session, signIn } from './sign-in.ts';

const account = {
  id: Id,
  name: Type.Union([PersonName, Type.Null()], { description: 'null once the person was erased' }),
  email: Type.Union([Type.String(), Type.Null()]),
  role: Role,
  country: CountryCode,
  region: Region,
  created_at: Moment,
};
const Account = Type.Object(account);
const Registered = Type.Object({
  ...account,
  token: Type.Optional(Type.String()),
  token_expires_at: Type.Optional(Moment),
});
const StoredAddress = Type.Object({ id: Id, address: Type.Union([Address, Type.Null()]) });

function shown({ id, state }: Pick<Owned, 'id' | 'state'>, geography: Geography): Record<string, unknown> {
  const { name, email, role, country } = state;
  const region = geography.regionOfPlace('users', parseId(id));
  return { id, name, email, role, country, region, created_at: moment(state.registeredAtMs) };
}

const placeOf = ({ params }: { readonly params: { readonly id: string } }) => parseId(params.id, 'acc');

const register = operation({
  id: 'users.register',
  method: 'POST',
  path: '/users',
  summary: 'Make an account',
  description:
    'The account lives in the region of its country, unless another is named. The reply carries a token: the new customer is signed in. Staff may leave out the e-mail and the password.',
  access: 'anyone',
  failures: ['email-taken', 'forbidden'],
  idempotent: true,
  body: Type.Object({
    name: PersonName,
    country: CountryCode,
    email: Type.Optional(Email),
    password: Type.Optional(Password),
    region: Type.Optional(Region),
    role: Type.Optional(Role),
  }),
  replies: { 201: Registered },
  place({ body }, { geography, key }) {
    return key === null ? null : geography.placeInRegion('users', regionFor(body, geography), key.text);
  },
  async handle({ body }, context) {
    const { bus, geography, key, principal, digest, newId, nowMs, port } = context;
    const isStaff = principal.role === 'staff';
    const { name, country, password, role = 'customer' } = body;
    if (!isStaff && body.email === undefined)
      throw invalid('/body/email', 'missing: expected an e-mail address');
    if (!isStaff && password === undefined) throw invalid('/body/password', 'missing: expected a password');
    if (!isStaff && role === 'staff')
      throw new CardumeError('forbidden', 'only staff may make an account of staff');
    const fault = password === undefined ? null : passwordFault(password);
    if (fault !== null) throw invalid('/body/password', fault);

    const place = geography.placeInRegion(
      'users',
      regionFor(body, geography),
      key?.text ?? context.requestId,
    );
    const known = key === null ? null : await bus.answered('users', place, key);
    // A retry meets the account of the first attempt, even one that died before it was registered.
    const id =
      known?.id ??
      (key === null ? newId('acc', place) : naturalId('acc', place, digest(`account:${key.text}`)));
    if (known === null) {
      const email = body.email === undefined ? undefined : emailOf(body.email);
      const claim = body.email === undefined ? undefined : emails.idOf(body.email, context);
      const make = async (): Promise<void> => {
        const hash = password === undefined ? undefined : await port<Passwords>('passwords').hash(password);
        await bus.send(
          accounts,
          id,
          {
            type: 'Register',
            name,
            country,
            role,
            ...(email === undefined ? {} : { email }),
            ...(hash === undefined ? {} : { password_hash: hash }),
            ...(claim === undefined ? {} : { claim }),
          },
          asked(context),
        );
      };
      if (claim === undefined) await make();
      else {
        // Losers learn it here, before a password is hashed for them.
        await take(claim, id, context);
        await emails.make(bus, claim, id, make);
      }
    }
    const { token, ...made } = await activated(context, id);
    const signedIn = isStaff ? {} : session(port, made, nowMs);
    return {
      status: 201,
      body: { ...shown(made, geography), ...signedIn },
      version: made.version,
      ...told({ token, replayed: known !== null }, context),
    };
  },
});

/**
 * A refusal is remembered under the request's key, where its account would stand: a retry hears the same, even when
 * the address is free by then.
 */
async function take(claim: string, id: string, context: OperationContext): Promise<void> {
  const { bus, key } = context;
  try {
    await emails.claim(bus, claim, id);
  } catch (error) {
    if (key !== null && isCardumeError(error, 'email-taken'))
      await bus.send(accounts, id, { type: 'Refuse', detail: error.message }, asked(context));
    throw error;
  }
}

const emailShape = Compile(Email);

/** What only looks like an address until it is in its usual form is none. @throws CardumeError `invalid-input` */
function emailOf(text: string): string {
  const email = emails.normal(text);
  if (!emailShape.Check(email)) throw invalid('/body/email', 'expected an e-mail address');
  return email;
}

function regionFor(
  body: { readonly country: string; readonly region?: string },
  geography: Geography,
): string {
  if (body.region !== undefined) return knownRegion(geography, body.region, '/body/region');
  return geography.regionOfCountry(body.country);
}

const get = operation({
  id: 'users.get',
  method: 'GET',
  path: '/users/{id}',
  summary: 'An account: one’s own, or any for staff',
  access: 'signed-in',
  params: ById,
  replies: { 200: Account },
  place: placeOf,
  async handle({ params: { id } }, context) {
    const { token, ...found } = await seen(id, context);
    return { status: 200, body: shown(found, context.geography), token, ...located(id, found) };
  },
});

const list = operation({
  id: 'users.list',
  method: 'GET',
  path: '/users',
  summary: 'Accounts of all regions, newest first; nothing personal',
  access: 'staff',
  failures: ['invalid-cursor'],
  search: Type.Object({ country: Type.Optional(CountryCode), limit: pageLimit, after: pageAfter }),
  replies: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({ id: Id, role: Role, country: CountryCode, status: Type.String(), created_at: Moment }),
      ),
      next: Next,
    }),
  },
  async handle({ search: { country, limit, after } }, { bus }) {
    const { rows, next } = await bus.query({
      service: 'users',
      table: 'accounts',
      where: country === undefined ? [] : [{ column: 'country', op: '=', value: country }],
      orderBy: [{ column: 'registered_at_ms', direction: 'descending' }],
      limit,
      ...(after === undefined ? {} : { after }),
    });
    const items = rows.map(({ registered_at_ms, ...row }) => ({
      ...row,
      created_at: moment(Number(registered_at_ms)),
    }));
    return { status: 200, body: { items, next } };
  },
});

const change = operation({
  id: 'users.change',
  method: 'PATCH',
  path: '/users/{id}',
  summary: 'Change the profile',
  access: 'signed-in',
  params: ById,
  body: Type.Object({ name: PersonName }),
  replies: { 200: Account },
  place: placeOf,
  async handle({ params: { id }, body: { name } }, context) {
    await changed(id, context, { type: 'ChangeProfile', name });
    const { token, ...found } = await seen(id, context);
    return { status: 200, body: shown(found, context.geography), token, ...located(id, found) };
  },
});

const addresses = operation({
  id: 'users.addresses',
  method: 'GET',
  path: '/users/{id}/addresses',
  summary: 'The addresses of an account',
  access: 'signed-in',
  params: ById,
  replies: { 200: Type.Object({ items: Type.Array(StoredAddress) }) },
  place: placeOf,
  async handle({ params: { id } }, context) {
    const { token, ...found } = await seen(id, context);
    const items = [...found.state.addresses].map(([addressId, address]) => ({ id: addressId, address }));
    return { status: 200, body: { items }, token, ...located(id, found, '/addresses') };
  },
});

const addAddress = operation({
  id: 'users.addresses.add',
  method: 'POST',
  path: '/users/{id}/addresses',
  summary: 'Add an address',
  access: 'signed-in',
  idempotent: true,
  params: ById,
  body: Address,
  replies: { 201: StoredAddress },
  place: placeOf,
  async handle({ params: { id }, body: address }, context) {
    const addressId = context.newId('adr', parseId(id));
    const answer = await changed(id, context, { type: 'AddAddress', addressId, address });
    const { address_id } = answer.result as { readonly address_id: string };
    const body = { id: address_id, address };
    return { status: 201, body, ...versionAt(id, answer), ...told(answer, context) };
  },
});

const removeAddress = operation({
  id: 'users.addresses.remove',
  method: 'DELETE',
  path: '/users/{id}/addresses/{address_id}',
  summary: 'Remove an address',
  access: 'signed-in',
  params: Type.Object({ id: ById.properties.id, address_id: Id }),
  replies: { 204: null },
  place: placeOf,
  async handle({ params: { id, address_id } }, context) {
    const answer = await changed(id, context, { type: 'RemoveAddress', addressId: address_id });
    return { status: 204, token: answer.token, ...versionAt(id, answer) };
  },
});

export const operations: readonly Operation[] = [
  register,
  signIn,
  list,
  get,
  change,
  changePassword,
  move,
  addresses,
  addAddress,
  removeAddress,
];
