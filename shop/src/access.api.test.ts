/** Who may do what: every operation, asked by everyone. Who may not has changed nothing. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AskOptions, type Body, type Cluster, startCluster } from './cluster.fixture.ts';

const callers = ['anonymous', 'other', 'owner', 'staff'] as const;
type Caller = (typeof callers)[number];

interface Asked {
  readonly operation: string;
  /** Status for each of the callers, in their order. */
  readonly expected: readonly [anonymous: number, other: number, owner: number, staff: number];
  /** A request that is valid, and new each time. */
  request(by: Caller): Promise<readonly [method: string, path: string, options?: AskOptions]>;
}

describe('access', () => {
  let cluster: Cluster;
  const tokens = new Map<Caller, string | null>([['anonymous', null]]);
  let owner: string;
  let product: string;
  let order: string;
  let names = 0;
  const password = 'seven-sleepy-seals';
  const price = { amount: '1.00', currency: 'GBP' };
  const card = { method: 'card', token: 'tok_approve' };

  before(async () => {
    cluster = await startCluster();
    tokens.set('staff', cluster.staff);
    const register = async (by: Caller): Promise<string> => {
      const body = { name: by, email: `${by}@example.com`, password, country: 'GB' };
      const { id, token } = await cluster.done('us-east', 'POST', '/users', { body });
      tokens.set(by, token);
      return id;
    };
    owner = await register('owner');
    await register('other');
    product = await listed();
    await cluster.done('us-east', 'POST', `/products/${product}/stock`, {
      token: cluster.staff,
      body: { region: 'eu-west', quantity: 1_000 },
    });
    order = await placed();
  });
  after(() => cluster.close());

  const fresh = (): string => `fish-${names++}`;
  const listing = () => ({ sku: fresh(), name: 'Fish', category: 'fish', price });
  const listed = async (): Promise<string> =>
    (await cluster.done('us-east', 'POST', '/products', { token: cluster.staff, body: listing() })).id;
  const lines = () => [{ product, quantity: 1 }];
  const placed = async (): Promise<string> => {
    const body = { lines: lines(), payment: card };
    return (await cluster.done('us-east', 'POST', '/orders', { token: tokens.get('owner') as string, body }))
      .id;
  };
  const address = { name: 'Ana', line1: 'Quay 1', city: 'Bath', postcode: 'BA1', country: 'GB' };
  const addressed = async (): Promise<string> =>
    (
      await cluster.done('us-east', 'POST', `/users/${owner}/addresses`, {
        token: tokens.get('owner') as string,
        body: address,
      })
    ).id;

  const matrix: readonly Asked[] = [
    {
      operation: 'users.register',
      expected: [201, 201, 201, 201],
      request: async () => [
        'POST',
        '/users',
        { body: { name: 'Fish', email: `${fresh()}@example.com`, password, country: 'GB' } },
      ],
    },
    {
      operation: 'users.register',
      expected: [403, 403, 403, 201],
      request: async () => [
        'POST',
        '/users',
        { body: { name: 'Fish', email: `${fresh()}@example.com`, password, country: 'GB', role: 'staff' } },
      ],
    },
    {
      operation: 'users.register',
      expected: [400, 400, 400, 201],
      request: async () => ['POST', '/users', { body: { name: 'Fish', country: 'GB' } }],
    },
    {
      operation: 'users.sign-in',
      expected: [200, 200, 200, 200],
      request: async () => ['POST', '/users/sign-in', { body: { email: 'other@example.com', password } }],
    },
    { operation: 'users.list', expected: [401, 403, 403, 200], request: async () => ['GET', '/users'] },
    {
      operation: 'users.get',
      expected: [401, 404, 200, 200],
      request: async () => ['GET', `/users/${owner}`],
    },
    {
      operation: 'users.change',
      expected: [401, 404, 200, 200],
      request: async () => ['PATCH', `/users/${owner}`, { body: { name: fresh() } }],
    },
    {
      // What comes behind it is asked of an account that has moved twice, by its first id and under its first token.
      operation: 'users.move',
      expected: [401, 404, 202, 202],
      request: async (by) => [
        'POST',
        `/users/${owner}/moves`,
        { body: { region: by === 'staff' ? 'us-east' : 'us-west' } },
      ],
    },
    {
      // Staff do not set another's password.
      operation: 'users.password',
      expected: [401, 404, 204, 404],
      request: async () => ['POST', `/users/${owner}/password`, { body: { current: password, password } }],
    },
    {
      operation: 'users.addresses',
      expected: [401, 404, 200, 200],
      request: async () => ['GET', `/users/${owner}/addresses`],
    },
    {
      operation: 'users.addresses.add',
      expected: [401, 404, 201, 201],
      request: async () => ['POST', `/users/${owner}/addresses`, { body: address }],
    },
    {
      operation: 'users.addresses.remove',
      expected: [401, 404, 204, 204],
      request: async () => ['DELETE', `/users/${owner}/addresses/${await addressed()}`],
    },
    {
      operation: 'products.list',
      expected: [401, 403, 403, 201],
      request: async () => ['POST', '/products', { body: listing() }],
    },
    { operation: 'products.find', expected: [200, 200, 200, 200], request: async () => ['GET', '/products'] },
    {
      operation: 'products.get',
      expected: [200, 200, 200, 200],
      request: async () => ['GET', `/products/${product}`],
    },
    {
      operation: 'products.change',
      expected: [401, 403, 403, 200],
      request: async () => ['PATCH', `/products/${product}`, { body: { name: fresh() } }],
    },
    {
      operation: 'products.withdraw',
      expected: [401, 403, 403, 204],
      request: async () => ['DELETE', `/products/${await listed()}`],
    },
    {
      operation: 'stock.receive',
      expected: [401, 403, 403, 201],
      request: async () => [
        'POST',
        `/products/${product}/stock`,
        { body: { region: 'us-east', quantity: 1 } },
      ],
    },
    {
      operation: 'stock.overview',
      expected: [401, 403, 403, 200],
      request: async () => ['GET', `/products/${product}/stock`],
    },
    {
      operation: 'stock.transfer',
      expected: [401, 403, 403, 202],
      request: async () => [
        'POST',
        `/products/${product}/stock/transfers`,
        { body: { from: 'eu-west', to: 'us-west', quantity: 1 } },
      ],
    },
    {
      operation: 'stock.writeOff',
      expected: [401, 403, 403, 409], // nothing is frozen
      request: async () => [
        'POST',
        `/products/${product}/stock/write-offs`,
        { body: { region: 'eu-west', reason: 'gone' } },
      ],
    },
    {
      operation: 'orders.place',
      expected: [401, 201, 201, 400], // staff say for whom
      request: async () => ['POST', '/orders', { body: { lines: lines(), payment: card } }],
    },
    {
      operation: 'orders.place',
      expected: [401, 400, 400, 201],
      request: async () => ['POST', '/orders', { body: { lines: lines(), payment: card, customer: owner } }],
    },
    { operation: 'orders.find', expected: [401, 200, 200, 200], request: async () => ['GET', '/orders'] },
    {
      operation: 'orders.find',
      expected: [401, 404, 200, 200],
      request: async () => ['GET', `/orders?customer=${owner}`],
    },
    {
      operation: 'orders.revenue',
      expected: [401, 403, 403, 200],
      request: async () => ['GET', '/orders/reports/revenue'],
    },
    {
      operation: 'orders.get',
      expected: [401, 404, 200, 200],
      request: async () => ['GET', `/orders/${order}`],
    },
    {
      operation: 'orders.cancel',
      expected: [401, 404, 202, 202],
      request: async () => ['POST', `/orders/${await placed()}/cancel`],
    },
    // Of an order that is cancelled, with all of its events: the stream has its end.
    {
      operation: 'orders.events',
      expected: [401, 404, 200, 200],
      request: async () => {
        const id = await placed();
        await cluster.settled();
        await cluster.done('us-east', 'POST', `/orders/${id}/cancel`, { token: cluster.staff });
        await cluster.settled();
        return ['GET', `/orders/${id}/events`];
      },
    },
    {
      operation: 'operators.shards',
      expected: [401, 403, 403, 200],
      request: async () => ['GET', '/operators/regions/us-east/shards'],
    },
    {
      // They stand so already.
      operation: 'operators.reshard',
      expected: [401, 403, 403, 409],
      request: async () => [
        'POST',
        '/operators/regions/us-east/reshard',
        { body: { service: 'orders', to: 2 } },
      ],
    },
    {
      operation: 'operators.roll-back',
      expected: [401, 403, 403, 409],
      request: async () => ['POST', '/operators/regions/us-east/reshard/rollback'],
    },
    {
      operation: 'operators.finish',
      expected: [401, 403, 403, 409],
      request: async () => ['POST', '/operators/regions/us-east/reshard/finish'],
    },
    {
      // This cluster has no coordinator.
      operation: 'operators.regions',
      expected: [401, 403, 403, 409],
      request: async () => ['GET', '/operators/regions'],
    },
    {
      operation: 'operators.switchover',
      expected: [401, 403, 403, 409],
      request: async () => ['POST', '/operators/regions/us-east/switchover', { body: { to: 'us-west' } }],
    },
    {
      operation: 'operators.quarantine',
      expected: [401, 403, 403, 409],
      request: async () => ['GET', '/operators/quarantine'],
    },
    {
      operation: 'operators.quarantine.resubmit',
      expected: [401, 403, 403, 409],
      request: async () => ['POST', '/operators/quarantine/resubmit', { body: { region: 'us-east' } }],
    },
    {
      operation: 'operators.quarantine.discard',
      expected: [401, 403, 403, 409],
      request: async () => ['POST', '/operators/quarantine/discard', { body: { region: 'us-east' } }],
    },
  ];

  test('the matrix has a row for every operation', async () => {
    const { body } = await cluster.ask('us-east', 'GET', '/openapi.json');
    const documented = Object.values<Body>(body.paths).flatMap((methods) =>
      Object.values<Body>(methods).map(({ operationId }) => operationId),
    );
    deepStrictEqual([...new Set(matrix.map(({ operation }) => operation))].sort(), documented.sort());
  });

  for (const { operation, expected, request } of matrix) {
    const told = callers.map((caller, i) => `${caller} ${expected[i]}`).join(', ');
    test(`${operation}: ${told}`, async () => {
      for (const [i, caller] of callers.entries()) {
        const [method, path, options] = await request(caller);
        await cluster.settled();
        const before = await cluster.entries();
        const region = cluster.regions[i % 3] as string;
        const token = tokens.get(caller) as string | null;
        const { status, text, headers } = await cluster.ask(region, method, path, { ...options, token });
        strictEqual(status, expected[i], `${caller}: ${text}`);
        if (status === 401) strictEqual(headers['www-authenticate'], 'Bearer');
        if (status < 300) continue;
        strictEqual(await cluster.entries(), before, `${caller}: an entry was written`);
      }
    });
  }

  test('what others may not see does not tell whether it exists', async () => {
    const token = tokens.get('other') as string;
    for (const [known, path] of [
      [owner, '/users/'],
      [order, '/orders/'],
    ] as const) {
      const unknown = known.replace(/.$/, known.endsWith('0') ? '1' : '0');
      const [hidden, missing] = await Promise.all(
        [known, unknown].map((id) => cluster.ask('us-west', 'GET', path + id, { token })),
      );
      const plain = ({ body }: Body, id: string) => ({
        ...body,
        instance: '',
        detail: body.detail.replace(id, ''),
      });
      deepStrictEqual([hidden?.status, plain(hidden, known)], [missing?.status, plain(missing, unknown)]);
    }
  });

  test('a customer’s list never shows another’s orders', async () => {
    const { items } = await cluster.done('us-west', 'GET', '/orders?limit=1000', {
      token: tokens.get('other') as string,
    });
    strictEqual(items.length > 0, true);
    deepStrictEqual(
      items.filter(({ customer }: Body) => customer === owner),
      [],
    );
  });

  test('no complaint was written', () => deepStrictEqual(cluster.complaints, []));
});
