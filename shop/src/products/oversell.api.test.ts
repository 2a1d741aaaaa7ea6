/** A hot product: however many ask at once, over HTTP and in all regions, what is sold is what there was. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Body, type Cluster, type Reply, startCluster, until } from '../cluster.fixture.ts';

const connections = 96;

describe('a product that more want than there is', () => {
  let cluster: Cluster;
  /** Orders of the tests before. */
  const earlier = new Set<string>();

  before(async () => {
    cluster = await startCluster({ connectionsMax: connections });
  });
  after(() => cluster.close());

  /** @param pieces by region */
  async function listed(sku: string, pieces: Readonly<Record<string, number>>): Promise<string> {
    const body = { sku, name: sku, category: 'rare', price: { amount: '2.55', currency: 'GBP' } };
    const { id } = await cluster.done('us-east', 'POST', '/products', { token: cluster.staff, body });
    for (const [region, quantity] of Object.entries(pieces)) {
      await cluster.done('us-east', 'POST', `/products/${id}/stock`, {
        token: cluster.staff,
        body: { region, quantity },
      });
    }
    return id;
  }

  async function customers(region: string, country: string, count: number): Promise<string[]> {
    const tokens: string[] = [];
    for (let i = 0; i < count; i += 1) {
      const body = { name: 'Diver', country };
      const { id } = await cluster.done(region, 'POST', '/users', { token: cluster.staff, body });
      tokens.push(cluster.tokenOf({ id, role: 'customer' }));
    }
    return tokens;
  }

  /** Does something so many times, so many at a time. */
  async function many(count: number, act: (i: number) => Promise<unknown>): Promise<void> {
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < count) await act(next++);
    };
    await Promise.all(Array.from({ length: connections }, lane));
  }

  /** Every order of this test in all regions, by the list's pages. */
  async function orders(): Promise<Body[]> {
    const found = new Map<string, Body>();
    for (let after = ''; ; ) {
      const path = `/orders?limit=1000${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
      const { items, next } = await cluster.done('us-west', 'GET', path, { token: cluster.staff });
      for (const item of items) {
        strictEqual(found.has(item.id), false, 'each order stands on one page');
        found.set(item.id, item);
      }
      if (next === null) break;
      after = next;
    }
    const fresh = [...found.values()].filter(({ id }) => !earlier.has(id));
    for (const { id } of fresh) earlier.add(id);
    return fresh;
  }

  const stockOf = (product: string): Promise<Body> =>
    cluster.done('us-east', 'GET', `/products/${product}/stock`, { token: cluster.staff });

  const tally = (found: readonly Body[]): Record<string, number> =>
    Object.fromEntries(
      Object.entries(Object.groupBy(found, ({ status }) => status)).map(([status, of]) => [
        status,
        of?.length ?? 0,
      ]),
    );

  test('10,000 orders for 1,000 pieces: 1,000 are confirmed, 9,000 rejected', async () => {
    const product = await listed('HOT', { 'eu-west': 1_000 });
    const tokens = await customers('eu-west', 'GB', 20);
    const body = { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_approve' } };
    const byGuest = { ...body, guest: true, country: 'United Kingdom' };
    await many(10_000, async (i) => {
      const token = tokens[i % (tokens.length + 1)];
      const order = token === undefined ? { token: cluster.staff, body: byGuest } : { token, body };
      const { status, text } = await cluster.ask('eu-west', 'POST', '/orders', order);
      strictEqual(status, 201, text);
    });
    await cluster.settled();

    const found = await orders();
    deepStrictEqual(tally(found), { confirmed: 1_000, rejected: 9_000 });
    for (const { id } of found.filter(({ status }) => status === 'rejected').slice(0, 50)) {
      const { reason } = await cluster.done('us-east', 'GET', `/orders/${id}`, { token: cluster.staff });
      strictEqual(reason, 'insufficient-stock');
    }
    const { total } = await stockOf(product);
    deepStrictEqual(total, {
      received: 1_000,
      rights: 1_000,
      available: 0,
      reserved: 0,
      sold: 1_000,
      frozen: 0,
      in_transit: 0,
    });
    const { rows } = await cluster.done('us-east', 'GET', '/orders/reports/revenue', {
      token: cluster.staff,
    });
    const sumOf = (column: string): number =>
      rows.reduce((sum: number, row: Body) => sum + Number(row[column]), 0);
    deepStrictEqual([sumOf('orders'), sumOf('revenue')], [1_000, 2_550]);
  });

  test('three regions sell while rights move between them: never more than the supply', async () => {
    const supply = { 'us-east': 400, 'us-west': 300, 'eu-west': 300 };
    const product = await listed('MOVING', supply);
    const places = [
      { region: 'us-east', country: 'BR' },
      { region: 'us-west', country: 'JP' },
      { region: 'eu-west', country: 'GB' },
    ] as const;
    const tokens = await Promise.all(places.map(({ region, country }) => customers(region, country, 4)));
    let selling = true;
    let sent = 0;
    const transfers = async (turn: number): Promise<void> => {
      for (let i = turn; selling; i += 1) {
        const [from, to] = [places[i % 3]?.region, places[(i + 1 + (i % 2)) % 3]?.region];
        const { status, body } = await cluster.ask(
          'us-west',
          'POST',
          `/products/${product}/stock/transfers`,
          {
            token: cluster.staff,
            key: `move-${turn}-${i}`,
            body: { from, to, quantity: 1 + (i % 5) },
          },
        );
        ok(status === 202 || body.code === 'insufficient-stock', JSON.stringify(body));
        if (status === 202) sent += 1;
      }
    };
    const watched = async (): Promise<void> => {
      while (selling) {
        const { regions } = await stockOf(product);
        for (const { available, reserved, sold, rights } of regions)
          strictEqual(available + reserved + sold, rights);
      }
    };
    const movers = [transfers(0), transfers(1), transfers(2), watched()];
    await many(3_000, async (i) => {
      const at = i % 3;
      // Transfers keep up while every region has something to give, however fast orders are taken.
      if (i < 600) await until('rights move', () => sent >= Math.floor(i / 20));
      // Half of them through another region's instance: the order is born in the customer's region all the same.
      const through = places[i % 2 === 0 ? at : (at + 1) % 3]?.region as string;
      const { status, text } = await cluster.ask(through, 'POST', '/orders', {
        token: tokens[at]?.[i % 4] as string,
        body: { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_approve' } },
      });
      strictEqual(status, 201, text);
    });
    selling = false;
    await Promise.all(movers);
    await cluster.settled();
    ok(sent >= 29, `only ${sent} transfers`);

    const { regions, total } = await stockOf(product);
    for (const { available, reserved, sold, rights, in_transit } of regions) {
      deepStrictEqual([reserved, in_transit, available + sold], [0, 0, rights]);
    }
    strictEqual(total.rights, 1_000);
    const counts = tally(await orders());
    deepStrictEqual(counts, { confirmed: total.sold, rejected: 3_000 - total.sold });
    // 1,000 asked in every region, more than it ever had: what is left had come in by the last transfers.
    ok(total.sold >= 900, `${total.sold} are sold`);
    deepStrictEqual(cluster.complaints, []);
  });

  test('rights on their way to a region that crashes arrive once it is back, and no piece is lost or doubled', async () => {
    const product = await listed('SENT', { 'us-east': 500, 'us-west': 500 });
    let answered = 0;
    const send = async (i: number, from: string, to: string): Promise<Reply> => {
      const reply = await cluster.ask(from, 'POST', `/products/${product}/stock/transfers`, {
        token: cluster.staff,
        key: `sent-${from}-${i}`,
        body: { from, to, quantity: 2 },
      });
      answered += 1;
      return reply;
    };
    const sending = many(200, (i) => send(i, 'us-east', 'us-west'));
    const leaving = many(100, (i) => send(i, 'us-west', 'us-east').catch(() => null));
    await until('transfers are under way', () => answered > 50);
    await cluster.stop('us-west', 'kill');
    await Promise.all([sending, leaving]);
    const { status, body } = await cluster.ask('us-east', 'GET', `/products/${product}/stock`, {
      token: cluster.staff,
    });
    deepStrictEqual([status, body.code], [503, 'partition-unavailable']);

    await cluster.start('us-west');
    // What was not answered is sent again under its key.
    await many(100, async (i) => strictEqual((await send(i, 'us-west', 'us-east')).status, 202));
    await cluster.settled();
    const { regions, total } = await stockOf(product);
    const rights = regions.map((one: Body) => [one.region, one.rights, one.in_transit]);
    deepStrictEqual(rights, [
      ['us-east', 300, 0],
      ['us-west', 700, 0],
      ['eu-west', 0, 0],
    ]);
    strictEqual(total.available, 1_000);
  });
});
