/** One address, one account: over real HTTP, in three regions at once, and while regions come and go. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseId } from 'cardume/base/id';
import { realHost } from 'cardume/host/real';
import { geography } from 'cardume/sharding/geography';
import { type Cluster, type Reply, startCluster, until } from '../cluster.fixture.ts';
import { emails } from './claim.ts';

const registrations = 1_000;
const password = 'seven-sleepy-seals';
/** One address as the shop sees it: case does not count, nor do compatible forms of a letter. */
const spellings = ['shoal@example.com', 'Shoal@Example.COM', 'SHOAL@EXAMPLE.COM', 'ｓhoal@example.com'];
const countries = ['BR', 'JP', 'GB'];

describe('registration', () => {
  let cluster: Cluster;
  let winner: { readonly reply: Reply; readonly key: string; readonly body: unknown };
  const inTurn = (i: number): string => cluster.regions[i % cluster.regions.length] as string;
  const register = (region: string, body: unknown, key?: string): Promise<Reply> =>
    cluster.ask(region, 'POST', '/users', { body, ...(key === undefined ? {} : { key }) });
  const applicant = (email: string, country = 'GB') => ({ name: 'Shoal', email, password, country });
  const accounts = async (): Promise<unknown[]> =>
    (await cluster.done('us-west', 'GET', '/users?limit=1000', { token: cluster.staff })).items;

  before(async () => {
    cluster = await startCluster({ connectionsMax: Math.ceil(registrations / 3) });
  });
  after(() => cluster.close());

  /** Addresses whose claims are at home in a region. */
  function* addressesAt(region: string): Generator<string> {
    const map = geography(cluster.topology, region);
    const secretDigest = (text: string) => realHost().crypto.hmacSha256(cluster.secrets.clusterSecret, text);
    for (let i = 0; ; i += 1) {
      const email = `fish-${i}@example.com`;
      const place = parseId(emails.idOf(email, { geography: map, secretDigest }));
      if (map.regionOfPlace('users', place) === region) yield email;
    }
  }

  test('of 1,000 at once for one address exactly one gets it, and one password is hashed', async () => {
    const attempts = Array.from({ length: registrations }, (_, i) => {
      const body = applicant(
        spellings[i % spellings.length] as string,
        countries[i % countries.length] as string,
      );
      return { key: `race-${i}`, body, region: inTurn(Math.floor(i / countries.length)) };
    });
    const replies = await Promise.all(attempts.map(({ region, body, key }) => register(region, body, key)));
    const created = replies.flatMap((reply, i) => (reply.status === 201 ? [i] : []));
    const refused = replies.filter(({ status, body }) => status === 409 && body.code === 'email-taken');
    strictEqual(created.length, 1);
    strictEqual(refused.length, registrations - 1);
    strictEqual(cluster.hashes, 1, 'losers learn it before their password is hashed');
    const [first] = created as [number];
    const { key, body } = attempts[first] as (typeof attempts)[number];
    winner = { key, body, reply: replies[first] as Reply };
    deepStrictEqual(await accounts(), [
      {
        id: winner.reply.body.id,
        role: 'customer',
        country: winner.reply.body.country,
        status: 'active',
        created_at: winner.reply.body.created_at,
      },
    ]);
  });

  test('a loser’s key is used up: the same again is refused again, anything else is another request', async () => {
    const i = winner.key === 'race-0' ? 1 : 0;
    const loser = applicant(spellings[i] as string, countries[i]);
    const again = await register('us-west', loser, `race-${i}`);
    deepStrictEqual([again.status, again.body.code], [409, 'email-taken']);
    const other = await register('us-west', { ...loser, email: 'free@example.com' }, `race-${i}`);
    deepStrictEqual([other.status, other.body.code], [422, 'idempotency-key-reused']);
  });

  test('a retry of the winner, from any region, is answered with the same account', async () => {
    const { token: _, token_expires_at: __, ...account } = winner.reply.body;
    for (const region of cluster.regions) {
      const { status, headers, body } = await register(region, winner.body, winner.key);
      strictEqual(status, 201);
      strictEqual(headers['idempotency-replayed'], 'true');
      const { token, token_expires_at: ___, ...again } = body;
      deepStrictEqual(again, account);
      strictEqual((await cluster.ask(region, 'GET', `/users/${again.id}`, { token })).status, 200);
    }
    const other = await register('us-east', { ...(winner.body as object), name: 'Other' }, winner.key);
    deepStrictEqual([other.status, other.body.code], [422, 'idempotency-key-reused']);
    strictEqual(cluster.hashes, 1);
  });

  test('one key sent many times at once, to all regions, makes one account', async () => {
    const body = applicant('one-key@example.com', 'JP');
    // Whoever is told that nobody knows in time, on a busy machine, asks again.
    const patient = async (i: number): Promise<Reply> => {
      const reply = await register(inTurn(i), body, 'one-key');
      return reply.status === 503 ? patient(i) : reply;
    };
    const replies = await Promise.all(Array.from({ length: 30 }, (_, i) => patient(i)));
    deepStrictEqual([...new Set(replies.map(({ status }) => status))], [201]);
    strictEqual(new Set(replies.map((reply) => reply.body.id)).size, 1);
    strictEqual((await accounts()).length, 2);
  });

  test('every spelling signs in, in every region, and is taken in every region', async () => {
    for (const [i, email] of spellings.entries()) {
      const { status, body } = await cluster.ask(inTurn(i), 'POST', '/users/sign-in', {
        body: { email, password },
      });
      deepStrictEqual([status, body.account], [200, winner.reply.body.id]);
      strictEqual((await register(inTurn(i), applicant(email))).status, 409);
    }
    const wrong = { email: spellings[0], password: 'six-sleepy-seals' };
    const { status, body } = await cluster.ask('eu-west', 'POST', '/users/sign-in', { body: wrong });
    deepStrictEqual([status, body.code], [401, 'wrong-credentials']);
  });

  test('an address is one word around an @, also when its letters are brought to their usual form', async () => {
    const faulty = [
      ' shoal@example.com',
      'shoal@example.com ',
      'sho al@example.com',
      'a﹫b@example.com',
      '¨@example.com',
    ];
    for (const email of faulty) {
      const { status, body } = await register('us-east', applicant(email));
      deepStrictEqual([email, status, body.errors?.[0]?.pointer], [email, 400, '/body/email']);
    }
  });

  test('while the home of an address is down, it is neither given nor refused', async () => {
    const [email] = addressesAt('us-west');
    const before = cluster.hashes;
    await cluster.stop('us-west', 'kill');
    for (const region of ['us-east', 'eu-west']) {
      const { status, headers, body } = await register(region, applicant(email as string));
      deepStrictEqual([status, body.code], [503, 'partition-unavailable']);
      match(headers['retry-after'] ?? '', /^[1-9]\d*$/);
    }
    strictEqual(cluster.hashes, before);
    await cluster.start('us-west');
    let reply: Reply | undefined;
    await until('it can be registered again', async () => {
      reply = await register('eu-west', applicant(email as string));
      ok([201, 503].includes(reply.status), reply.text);
      return reply.status === 201;
    });
    strictEqual((await register('us-east', applicant(email as string))).status, 409);
  });

  test('while the home of the account is down, the address stays free', async () => {
    const [email] = addressesAt('us-east');
    await cluster.stop('us-west', 'kill');
    const { status, body } = await register('us-east', applicant(email as string, 'JP'));
    deepStrictEqual([status, body.code], [503, 'partition-unavailable']);
    const elsewhere = await register('us-east', applicant(email as string, 'BR'));
    strictEqual(elsewhere.status, 201, elsewhere.text);
    await cluster.start('us-west');
  });

  test('after all regions were stopped and started, the addresses are still taken and sign in', async () => {
    const known = (await accounts()).length;
    for (const how of ['drain', 'kill'] as const) {
      await Promise.all(cluster.regions.map((region) => cluster.stop(region, how)));
      await Promise.all(cluster.regions.map((region) => cluster.start(region)));
      for (const [i, region] of cluster.regions.entries()) {
        const email = spellings[i] as string;
        const refused = await register(region, applicant(email));
        deepStrictEqual([refused.status, refused.body.code], [409, 'email-taken']);
        const signIn = { body: { email, password } };
        const { account } = await cluster.done(region, 'POST', '/users/sign-in', signIn);
        strictEqual(account, winner.reply.body.id);
      }
      strictEqual((await accounts()).length, known);
    }
  });
});
