/** An account moves between three regions, over real HTTP: under whichever id and token, it is one account with all it had. */
import { deepStrictEqual, match, notStrictEqual, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseId } from 'cardume/base/id';
import { type Body, type Cluster, type Reply, startCluster } from '../cluster.fixture.ts';

const email = 'ana@example.com';
const password = 'seven-sleepy-seals';
const address = { name: 'Ana', line1: 'Quay 1', city: 'Bath', postcode: 'BA1', country: 'GB' };
const card = { method: 'card', token: 'tok_approve' };

describe('an account that moves', () => {
  let cluster: Cluster;
  let product: string;
  /** Its ids and tokens, in the order of its moves. */
  const ids: string[] = [];
  const tokens: string[] = [];
  let other: string;
  let etag: string;
  let home: Reply;
  let first: Reply;
  /** Newest first. */
  const placed: string[] = [];

  const inTurn = (i: number): string => cluster.regions[i % 3] as string;
  const code = (id: string): number => parseId(id).scope;
  const nth = <T>(of: readonly T[], i: number): T => of[i] as T;
  const order = () => ({ lines: [{ product, quantity: 1 }], payment: card });
  const firstOrder = (i: number): Promise<Reply> =>
    cluster.ask(inTurn(i), 'POST', '/orders', { token: nth(tokens, i), key: 'first', body: order() });
  const addHome = (i: number): Promise<Reply> =>
    cluster.ask(inTurn(i), 'POST', `/users/${ids[0]}/addresses`, {
      token: nth(tokens, i),
      key: 'home',
      body: address,
    });
  const move = (region: string, i: number, key = `to ${region}`.replace(' ', '-')): Promise<Reply> =>
    cluster.ask(inTurn(i), 'POST', `/users/${ids[i]}/moves`, {
      token: nth(tokens, i),
      key,
      body: { region },
    });

  async function listed(path: string, token: string): Promise<string[]> {
    const found: string[] = [];
    let after = '';
    do {
      const page = await cluster.done(inTurn(found.length), 'GET', `${path}limit=2${after}`, { token });
      found.push(...page.items.map(({ id }: Body) => id));
      after = page.next === null ? '' : `&after=${page.next}`;
    } while (after !== '');
    return found;
  }

  /** By each of its ids, under each of its tokens, in every region. */
  async function isOne(name: string): Promise<void> {
    const id = ids.at(-1) as string;
    for (const [i, by] of ids.entries())
      for (const [j, token] of [...tokens, cluster.staff].entries()) {
        const { status, headers, body } = await cluster.ask(inTurn(i + j), 'GET', `/users/${by}`, { token });
        deepStrictEqual([status, body.id, body.name, body.email], [200, id, name, email]);
        strictEqual(headers['content-location'], by === id ? undefined : `/users/${id}`);
        strictEqual(headers.etag === undefined, by !== id, 'versions count where it is');
        const addresses = await cluster.done(inTurn(j), 'GET', `/users/${by}/addresses`, { token });
        deepStrictEqual(addresses.items, [{ id: home.body.id, address }]);
        const orders = token === cluster.staff ? `/orders?customer=${by}&` : '/orders?';
        deepStrictEqual(await listed(orders, token), placed);
      }
    const { items } = await cluster.done('us-west', 'GET', '/users?country=GB', { token: cluster.staff });
    deepStrictEqual(
      items.map((one: Body) => [one.id, one.status]),
      [[id, 'active']],
    );
  }

  async function orderAs(i: number): Promise<void> {
    const { id } = await cluster.done(inTurn(i), 'POST', '/orders', { token: nth(tokens, i), body: order() });
    strictEqual(code(id), code(nth(ids, i)), 'it is born beside its customer');
    placed.unshift(id);
  }

  before(async () => {
    cluster = await startCluster();
    const { staff: token } = cluster;
    const price = { amount: '2.00', currency: 'GBP' };
    const listing = { sku: 'COD', name: 'Cod', category: 'fish', price };
    product = (await cluster.done('us-east', 'POST', '/products', { token, body: listing })).id;
    for (const region of cluster.regions)
      await cluster.done('us-east', 'POST', `/products/${product}/stock`, {
        token,
        body: { region, quantity: 100 },
      });
    const person = { name: 'Ana', email, password, country: 'GB' };
    const ana = await cluster.done('us-east', 'POST', '/users', { body: person, key: 'ana' });
    ids.push(ana.id);
    tokens.push(ana.token);
    const bob = { ...person, name: 'Bob', email: 'bob@example.com', country: 'JP' };
    other = (await cluster.done('us-east', 'POST', '/users', { body: bob })).token;
    home = await addHome(0);
    first = await firstOrder(0);
    placed.unshift(first.body.id);
    etag = (await cluster.ask('us-east', 'GET', `/users/${ana.id}`, { token: ana.token })).headers
      .etag as string;
  });
  after(() => cluster.close());

  test('is refused what makes no sense, and by whom it is not', async () => {
    await cluster.settled();
    const entries = await cluster.entries();
    const path = `/users/${ids[0]}/moves`;
    for (const [region, token, status, pointer] of [
      ['atlantis', tokens[0], 400, '/body/region'],
      ['eu-west', tokens[0], 400, '/body/region'],
      ['us-west', other, 404, undefined],
    ] as const) {
      const reply = await cluster.ask('us-east', 'POST', path, { token: token as string, body: { region } });
      deepStrictEqual([reply.status, reply.body.errors?.[0]?.pointer], [status, pointer], reply.text);
    }
    await cluster.stop('us-west', 'drain');
    const lost = await cluster.ask('us-east', 'POST', path, {
      token: nth(tokens, 0),
      body: { region: 'us-west' },
    });
    deepStrictEqual([lost.status, lost.body.code], [503, 'partition-unavailable']);
    await cluster.start('us-west');
    strictEqual(await cluster.entries(), entries);
  });

  test('goes on under a new id, and its key is answered as ever', async () => {
    await orderAs(0);
    const page = await cluster.done('us-east', 'GET', '/orders?limit=1', { token: nth(tokens, 0) });
    const moved = await move('us-west', 0);
    const rest = `/orders?limit=1&after=${page.next}`;
    for (const token of [nth(tokens, 0), moved.body.token]) {
      const { items } = await cluster.done('eu-west', 'GET', rest, { token });
      deepStrictEqual(
        [...page.items, ...items].map(({ id }: Body) => id),
        placed,
        'a list goes on',
      );
    }
    deepStrictEqual([moved.status, moved.body.status, moved.body.region], [202, 'moved', 'us-west']);
    strictEqual(code(moved.body.id), 2);
    const again = await move('us-west', 0);
    deepStrictEqual([again.status, again.body.id], [202, moved.body.id]);
    strictEqual(again.headers['idempotency-replayed'], 'true');
    ids.push(moved.body.id);
    tokens.push(moved.body.token);
    await isOne('Ana');
  });

  test('is found by its e-mail, which stays its own', async () => {
    const signedIn = await cluster.done('us-east', 'POST', '/users/sign-in', { body: { email, password } });
    strictEqual(signedIn.account, ids[1]);
    for (const region of cluster.regions) {
      const body = { name: 'Eve', email, password, country: 'GB' };
      const { status, body: problem } = await cluster.ask(region, 'POST', '/users', { body });
      deepStrictEqual([status, problem.code], [409, 'email-taken']);
    }
    const person = { name: 'Ana', email, password, country: 'GB' };
    const again = await cluster.ask('eu-west', 'POST', '/users', { body: person, key: 'ana' });
    deepStrictEqual([again.status, again.body.id], [201, ids[1]]);
    strictEqual(again.headers['idempotency-replayed'], 'true');
  });

  test('what was asked before it moved has one effect, under the old token and the new', async () => {
    for (const i of [0, 1]) {
      for (const [again, before] of [
        [await addHome(i), home],
        [await firstOrder(i), first],
      ] as const) {
        deepStrictEqual([again.status, again.body], [before.status, before.body]);
        strictEqual(again.headers['idempotency-replayed'], 'true');
      }
      const other = { ...order(), lines: [{ product, quantity: 2 }] };
      const asked = { token: nth(tokens, i), key: 'first', body: other };
      strictEqual((await cluster.ask(inTurn(i), 'POST', '/orders', asked)).status, 422);
    }
    await isOne('Ana');
  });

  test('orders where it lives; whoever it is sees, follows and cancels all of them', async () => {
    await orderAs(1);
    await orderAs(0);
    await cluster.settled();
    for (const id of placed) {
      for (const [i, token] of tokens.entries()) {
        strictEqual((await cluster.done(inTurn(i), 'GET', `/orders/${id}`, { token })).status, 'confirmed');
        const following = await cluster.follow(inTurn(i), `/orders/${id}/events`, { token });
        strictEqual((await following.events.next()).value?.data.status, 'placed');
        following.close();
      }
      for (const [method, path] of [
        ['GET', ''],
        ['GET', '/events'],
        ['POST', '/cancel'],
      ] as const)
        strictEqual(
          (await cluster.ask('us-east', method, `/orders/${id}${path}`, { token: other })).status,
          404,
        );
    }
    const [byOld, byNew] = placed as [string, string];
    await cluster.done('us-east', 'POST', `/orders/${byOld}/cancel`, { token: nth(tokens, 1) });
    await cluster.done('us-east', 'POST', `/orders/${byNew}/cancel`, { token: nth(tokens, 0) });
    for (const id of ids) {
      for (const token of tokens) deepStrictEqual(await listed(`/orders?customer=${id}&`, token), placed);
      strictEqual(
        (await cluster.ask('us-east', 'GET', `/orders?customer=${id}`, { token: other })).status,
        404,
      );
    }
  });

  test('is changed by its old id, at the version that it has by now', async () => {
    const path = `/users/${ids[0]}`;
    const name = { name: 'Ana S.' };
    const stale = { token: nth(tokens, 0), body: name, headers: { 'if-match': etag } };
    strictEqual((await cluster.ask('us-east', 'PATCH', path, stale)).status, 412);
    const changed = await cluster.ask('us-east', 'PATCH', path, { token: nth(tokens, 0), body: name });
    deepStrictEqual([changed.status, changed.body.id, changed.body.name], [200, ids[1], 'Ana S.']);
    const passwords = { current: password, password: 'eight-sleepy-seals' };
    const asked = { token: nth(tokens, 1), body: passwords };
    strictEqual((await cluster.ask('eu-west', 'POST', `${path}/password`, asked)).status, 204);
    strictEqual(
      (await cluster.ask('eu-west', 'POST', `${path}/password`, asked)).body.code,
      'wrong-credentials',
    );
    const body = { email, password: passwords.password };
    strictEqual((await cluster.done('us-west', 'POST', '/users/sign-in', { body })).account, ids[1]);
    const added = await cluster.done('us-east', 'POST', `${path}/addresses`, {
      token: nth(tokens, 0),
      body: address,
    });
    const removed = { token: nth(tokens, 1) };
    strictEqual(
      (await cluster.ask('us-east', 'DELETE', `${path}/addresses/${added.id}`, removed)).status,
      204,
    );
    await isOne('Ana S.');
  });

  test('moves on, and back, each time under a new id, while it is written to', async () => {
    for (const region of ['us-east', 'eu-west']) {
      const i = ids.length - 1;
      const [moved, ...renamed] = await Promise.all([
        move(region, i, `on-${i}`),
        ...ids.map((id, j) =>
          cluster.ask(inTurn(j), 'PATCH', `/users/${id}`, {
            token: nth(tokens, j),
            body: { name: `Ana ${region}` },
          }),
        ),
      ]);
      deepStrictEqual([moved.status, moved.body.status], [202, 'moved']);
      deepStrictEqual([...new Set(renamed.map(({ status }) => status))], [200]);
      ids.push(moved.body.id);
      tokens.push(moved.body.token);
      await isOne(`Ana ${region}`);
    }
    notStrictEqual(ids[0], ids[3]);
    match(ids[3] as string, /^acc_3/);
    for (const i of [3, 2, 1, 0]) await orderAs(i);
    for (const i of [3, 2, 1, 0]) deepStrictEqual((await firstOrder(i)).body, first.body);
    await isOne('Ana eu-west');
  });

  test('one key makes one order, under whichever tokens, one after another or at once', async () => {
    const by = (i: number, key: string): Promise<Reply> =>
      cluster.ask(inTurn(i + key.length), 'POST', '/orders', { token: nth(tokens, i), key, body: order() });
    const turns = [
      [3, 0, 2, 1],
      [0, 3],
      [2, 0, 3],
      [1, 2, 3, 0],
    ];
    for (const [n, turn] of turns.entries()) {
      const replies: Reply[] = [];
      for (const i of turn) replies.push(await by(i, `turn-${n}`));
      deepStrictEqual([...new Set(replies.map(({ text, status }) => `${status} ${text}`))].length, 1);
      strictEqual(code(replies[0]?.body.id), code(nth(ids, turn[0] as number)));
      placed.unshift(replies[0]?.body.id);
    }
    for (let n = 0; n < 12; n += 1) {
      const all = await Promise.all([0, 1, 2, 3, 0, 1, 2, 3].map((i) => by(i, `at-once-${n}`)));
      deepStrictEqual([...new Set(all.map(({ text, status }) => `${status} ${text}`))].length, 1);
      strictEqual(all.filter(({ headers }) => headers['idempotency-replayed'] === 'false').length, 1);
      placed.unshift(all[0]?.body.id);
    }
    await isOne('Ana eu-west');
  });

  test('a request that passed the key on half way leaves the key with one order', async () => {
    const by = (i: number): Promise<Reply> =>
      cluster.ask('eu-west', 'POST', '/orders', { token: nth(tokens, i), key: 'half-way', body: order() });
    await cluster.stop('us-east', 'drain'); // where the third id lives
    strictEqual((await by(3)).status, 503);
    await cluster.start('us-east');
    const replies: Reply[] = [];
    for (const i of [1, 2, 0, 3]) replies.push(await by(i));
    deepStrictEqual([...new Set(replies.map(({ text, status }) => `${status} ${text}`))].length, 1);
    placed.unshift(replies[0]?.body.id);
    await isOne('Ana eu-west');
  });

  test('what is written at the moment of a move is written once, wherever it is by then', async () => {
    const path = `/users/${ids[0]}/addresses`;
    const adds = Array.from({ length: 19 }, (_, i) => ({ i, key: `add-${i}` }));
    const add = async ({ i, key }: (typeof adds)[number], by: number): Promise<Reply> => {
      const asked = { token: nth(tokens, by % 4), key, body: { ...address, name: `Ana ${i}` } };
      return await cluster.ask(inTurn(i), 'POST', path, asked);
    };
    for (const [i, region] of ['us-west', 'us-east', 'eu-west'].entries()) {
      const last = ids.length - 1;
      const [moved, ...added] = await Promise.all([
        move(region, last, `amid-${i}`),
        ...adds.map((one) => add(one, one.i)),
      ]);
      ids.push(moved.body.id);
      tokens.push(moved.body.token);
      const again = await Promise.all(adds.map((one) => add(one, one.i + 1)));
      for (const [j, { status, body }] of added.entries()) {
        const { status: later, body: same, headers } = nth(again, j);
        deepStrictEqual([status, later, same, headers['idempotency-replayed']], [201, 201, body, 'true']);
      }
      const stored = await cluster.done('us-west', 'GET', path, { token: nth(tokens, 0) });
      deepStrictEqual(
        stored.items.map(({ id }: Body) => id).sort(),
        [home, ...added].map(({ body }) => body.id).sort(),
      );
      for (const one of adds) one.key = `${one.key}-more`;
      for (const { body } of added)
        await cluster.done(inTurn(i), 'DELETE', `${path}/${body.id}`, { token: nth(tokens, 0) });
    }
    await isOne('Ana eu-west');
  });

  test('no complaint was written, and the logs are whole', async () => {
    await cluster.settled();
    deepStrictEqual(cluster.complaints, []);
    deepStrictEqual(await cluster.faults(), []);
  });
});
