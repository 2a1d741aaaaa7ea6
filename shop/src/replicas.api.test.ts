/** Reads that say how old they may be, from any region: replicas answer them, and what one has seen stays seen. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Body, type Cluster, until } from './cluster.fixture.ts';
import { startWithOneProduct } from './one-product.fixture.ts';

const region = 'eu-west';

describe('replicas', () => {
  let cluster: Cluster;
  let product: string;
  let token: string;

  before(async () => {
    ({ cluster, product, token } = await startWithOneProduct(region, { replicas: true }));
  });
  after(() => cluster.close());

  const path = `/operators/regions/${region}/shards`;
  const replicasOf = async (service: string): Promise<Body[]> =>
    (await cluster.done('us-east', 'GET', path, { token: cluster.staff })).shards
      .filter((shard: Body) => shard.service === service)
      .flatMap(({ replicas }: Body) => replicas);
  const readsOf = async (service: string): Promise<number> =>
    (await replicasOf(service)).reduce((sum, { reads }) => sum + reads, 0);

  async function place(n: number): Promise<{ readonly id: string; readonly seen: string }> {
    const order = {
      token,
      key: `order-${n}`,
      body: { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_approve' } },
    };
    const { status, text, body, headers } = await cluster.ask(region, 'POST', '/orders', order);
    strictEqual(status, 201, text);
    return { id: body.id, seen: String(headers['cardume-token']) };
  }

  async function list(from: string, headers: Record<string, string>): Promise<string[]> {
    const { items } = await cluster.done(from, 'GET', '/orders?limit=1000', { token, headers });
    return items.map(({ id }: Body) => id);
  }

  test('answer lists of who is content with them, in every region', async () => {
    const { id } = await place(0);
    for (const from of [region, 'us-west']) {
      const before = await readsOf('orders');
      await until('a replica has answered', async () => {
        deepStrictEqual(await list(from, { 'cardume-max-staleness-ms': '100' }), [id]);
        return (await readsOf('orders')) > before;
      });
    }
    const reads = await readsOf('orders');
    deepStrictEqual(await list(region, {}), [id]);
    deepStrictEqual(await list('us-west', { 'cardume-max-staleness-ms': '0' }), [id]);
    strictEqual(await readsOf('orders'), reads);
    ok((await replicasOf('orders')).every(({ trouble }) => trouble === null));
  });

  test('whoever shows the token of a write sees it, however old the rest may be', async () => {
    const before = await readsOf('orders');
    for (let n = 1; n <= 60; n += 1) {
      const { id, seen } = await place(n);
      const headers = { 'cardume-max-staleness-ms': '60000', 'cardume-token': seen };
      ok((await list(n % 2 === 0 ? region : 'us-east', headers)).includes(id));
      await list(region, { 'cardume-max-staleness-ms': '60000' });
    }
    ok((await readsOf('orders')) > before);
  });

  test('a report over all regions says the same from replicas', async () => {
    await cluster.settled();
    await until('replicas have answered', async () => {
      const before = await readsOf('orders');
      const headers = { 'cardume-max-staleness-ms': '1' };
      const old = await cluster.done('us-east', 'GET', '/orders/reports/revenue', {
        token: cluster.staff,
        headers,
      });
      const now = await cluster.done('us-east', 'GET', '/orders/reports/revenue', { token: cluster.staff });
      deepStrictEqual(old, now);
      return (await readsOf('orders')) >= before + 2;
    });
  });

  test('replicas follow what moves', { timeout: 120_000 }, async () => {
    const resharding = `/operators/regions/${region}/reshard`;
    const body = { service: 'orders', to: 4 };
    const expected = (await list(region, {})).length;
    await cluster.done('us-east', 'POST', resharding, { token: cluster.staff, body });
    await until('all have moved', async () => {
      strictEqual((await list('us-west', { 'cardume-max-staleness-ms': '50' })).length, expected);
      const { reshard } = await cluster.done('us-east', 'GET', path, { token: cluster.staff });
      return reshard.phase === 'following';
    });
    await cluster.done('us-east', 'POST', `${resharding}/finish`, { token: cluster.staff });
    await until('replicas of new shards answer', async () => {
      strictEqual((await list('us-west', { 'cardume-max-staleness-ms': '50' })).length, expected);
      const { reshard } = await cluster.done('us-east', 'GET', path, { token: cluster.staff });
      return reshard === null;
    });
    const before = await readsOf('orders');
    await until('a replica answers', async () => {
      strictEqual((await list(region, { 'cardume-max-staleness-ms': '50' })).length, expected);
      return (await readsOf('orders')) > before;
    });
    deepStrictEqual(cluster.complaints, []);
  });
});
