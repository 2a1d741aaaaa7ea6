/** Partitions move between shards while people buy: nobody sees an error, nothing is lost, doubled or told by halves. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Body, type Cluster, startCluster, until } from './cluster.fixture.ts';

const region = 'eu-west';

describe('resharding', () => {
  let cluster: Cluster;
  let product: string;
  let token: string;

  before(async () => {
    cluster = await startCluster();
    const body = { sku: 'COD', name: 'Cod', category: 'fish', price: { amount: '2.55', currency: 'GBP' } };
    product = (await cluster.done(region, 'POST', '/products', { token: cluster.staff, body })).id;
    await cluster.done(region, 'POST', `/products/${product}/stock`, {
      token: cluster.staff,
      body: { region, quantity: 100_000 },
    });
    const person = { name: 'Ana', country: 'GB' };
    const { id } = await cluster.done(region, 'POST', '/users', { token: cluster.staff, body: person });
    token = cluster.tokenOf({ id, role: 'customer' });
  });
  after(() => cluster.close());

  const operators = (path: string): string => `/operators/regions/${region}/${path}`;
  const status = (): Promise<Body> =>
    cluster.done('us-east', 'GET', operators('shards'), { token: cluster.staff });
  const begin = (body: unknown): Promise<Body> =>
    cluster.done('us-east', 'POST', operators('reshard'), { token: cluster.staff, body });
  const phase = async (): Promise<string | null> => {
    const { reshard } = await status();
    strictEqual(reshard?.trouble ?? null, null);
    return reshard?.phase ?? null;
  };
  const shardsOf = async (service: string): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await status()).shards
        .filter((one: Body) => one.service === service)
        .map(({ name, partitions }: Body) => [name, partitions]),
    );

  /** Orders, lists, reads with tokens and a live stream, until it is stopped. @returns what was acknowledged */
  function traffic(prefix: string) {
    const placed: string[] = [];
    let going = true;
    const place = async (lane: number): Promise<void> => {
      for (let i = 0; going; i += 1) {
        const via = i % 2 === 0 ? region : 'us-west';
        const order = {
          token,
          key: `${prefix}-${lane}-${i}`,
          body: { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_approve' } },
        };
        const { status: code, text, body, headers } = await cluster.ask(via, 'POST', '/orders', order);
        strictEqual(code, 201, text);
        placed.push(body.id);
        const seen = await cluster.ask('us-east', 'GET', `/orders/${body.id}`, {
          token,
          headers: { 'cardume-after': String(headers['cardume-token']) },
        });
        strictEqual(seen.status, 200, seen.text);
      }
    };
    const list = async (): Promise<void> => {
      while (going) {
        const before = placed.slice(-50);
        const {
          status: code,
          text,
          body,
        } = await cluster.ask('us-west', 'GET', '/orders?limit=400', { token });
        strictEqual(code, 200, text);
        const ids = body.items.map(({ id }: Body) => id);
        strictEqual(new Set(ids).size, ids.length, 'each order once');
        const missing = before.filter((id) => !ids.includes(id));
        deepStrictEqual(missing, [], `a list lacks ${missing.length} of ${before.length}`);
      }
    };
    const work = Promise.all([place(0), place(1), place(2), place(3), list()]);
    work.catch(() => {
      going = false;
    });
    return {
      placed,
      async stop(): Promise<readonly string[]> {
        going = false;
        await work;
        return placed;
      },
    };
  }

  async function everyOrderEnds(placed: readonly string[]): Promise<void> {
    await cluster.settled();
    for (const id of placed) {
      const { status: now } = await cluster.done('us-east', 'GET', `/orders/${id}`, { token });
      strictEqual(now, 'confirmed');
    }
    strictEqual(new Set(placed).size, placed.length);
  }

  async function sold(): Promise<number> {
    return (await cluster.done(region, 'GET', `/products/${product}/stock`, { token: cluster.staff })).total
      .sold;
  }

  test('from two shards to four and back, under load: no error, every order once, everything verified', async () => {
    const soldBefore = await sold();
    const load = traffic('there');
    await until('orders come in', () => load.placed.length > 50);
    await begin({ service: 'orders', to: 4 });
    await until('all have moved', async () => (await phase()) === 'following');
    const { reshard } = await status();
    ok(reshard.moves.length === 8, `${reshard.moves.length} moves`);
    for (const { held_ms: heldMs, verified, state } of reshard.moves) {
      strictEqual(state, 'moved');
      ok(heldMs <= 1_000, `callers were held for ${heldMs} ms`);
      ok(verified !== null);
    }
    deepStrictEqual(await shardsOf('orders'), { 'orders-0': 4, 'orders-1': 4, 'orders-2': 4, 'orders-3': 4 });
    const middle = load.placed.length;
    await until('more orders come in', () => load.placed.length > middle + 50);
    await cluster.done('us-east', 'POST', operators('reshard/finish'), { token: cluster.staff });
    await until('it has ended', async () => (await phase()) === null);

    await begin({ service: 'orders', to: 2 });
    await until('all have moved back', async () => (await phase()) === 'following');
    await cluster.done('us-east', 'POST', operators('reshard/finish'), { token: cluster.staff });
    await until('it has ended', async () => (await phase()) === null);
    deepStrictEqual(await shardsOf('orders'), { 'orders-0': 8, 'orders-1': 8 });

    const placed = await load.stop();
    await everyOrderEnds(placed);
    strictEqual((await sold()) - soldBefore, placed.length);
    deepStrictEqual(cluster.complaints, []);
  });
});
