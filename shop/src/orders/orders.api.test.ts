/** Orders over all regions: what is listed, followed, summed up and sent again is the same wherever it is asked for. */
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Body, type Cluster, startCluster, until } from '../cluster.fixture.ts';

const places = [
  { region: 'us-east', country: 'BR' },
  { region: 'us-west', country: 'JP' },
  { region: 'eu-west', country: 'GB' },
] as const;

describe('orders', () => {
  let cluster: Cluster;
  let product: string;
  /** One in each region. */
  let customers: readonly { readonly id: string; readonly token: string }[];
  const inTurn = (i: number): string => places[i % 3]?.region as string;

  before(async () => {
    cluster = await startCluster();
    product = await listed('SPRAT', '1.00');
    customers = await Promise.all(
      places.map(async ({ region, country }) => {
        const body = { name: 'Ana', country };
        const { id } = await cluster.done(region, 'POST', '/users', { token: cluster.staff, body });
        return { id, token: cluster.tokenOf({ id, role: 'customer' }) };
      }),
    );
  });
  after(() => cluster.close());

  async function listed(sku: string, amount: string, more: object = {}): Promise<string> {
    const body = { sku, name: sku, category: 'fish', price: { amount, currency: 'GBP' }, ...more };
    const { id } = await cluster.done('us-east', 'POST', '/products', { token: cluster.staff, body });
    for (const region of cluster.regions) {
      const stock = { region, quantity: 100_000_000 };
      await cluster.done(region, 'POST', `/products/${id}/stock`, { token: cluster.staff, body: stock });
    }
    return id;
  }

  const card = (token = 'tok_approve') => ({ method: 'card', token });
  const one = { lines: [{ product: '', quantity: 1 }], payment: card() };
  const order = (more: object = {}) => ({ ...one, lines: [{ product, quantity: 1 }], ...more });
  const byStaff = (region: string, body: unknown): Promise<Body> =>
    cluster.done(region, 'POST', '/orders', { token: cluster.staff, body });

  /** All pages of a list, each from the next region. @param between called after each page */
  async function pages(
    path: string,
    token: string,
    between = async (): Promise<void> => {},
  ): Promise<Body[]> {
    const items: Body[] = [];
    for (let i = 0, next = ''; ; i += 1) {
      const after = next === '' ? '' : `&after=${encodeURIComponent(next)}`;
      const page = await cluster.done(inTurn(i), 'GET', `${path}${after}`, { token });
      items.push(...page.items);
      if (page.next === null) return items;
      next = page.next;
      await between();
    }
  }

  test('the list of all regions shows each order once, newest first, also while more are placed', async () => {
    const expected: { readonly id: string; readonly placed_at: string; readonly reference: string }[] = [];
    await Promise.all(
      Array.from({ length: 90 }, async (_, i) => {
        // Many share their moment, in one region and in several.
        const placed_at = `2011-12-0${1 + (i % 3)}T12:50:0${i % 7}.000Z`;
        const reference = `invoice-${i}`;
        const who =
          i % 2 === 0
            ? { customer: customers[i % 3]?.id }
            : { guest: true, country: 'EIRE', region: inTurn(i) };
        const { id } = await byStaff(inTurn(i + 1), order({ placed_at, reference, ...who }));
        expected.push({ id, placed_at, reference });
      }),
    );
    const found = await pages('/orders?limit=7', cluster.staff, async () => {
      await byStaff('us-west', order({ guest: true, country: 'Brazil' }));
    });
    const old = found.filter(({ reference }) => reference !== null);
    deepStrictEqual(old.map(({ id }) => id).sort(), expected.map(({ id }) => id).sort());
    for (let i = 1; i < found.length; i += 1) ok(found[i - 1].placed_at >= found[i].placed_at, `order ${i}`);
    strictEqual(new Set(found.map(({ id }) => id)).size, found.length);
  });

  test('a customer’s list shows their own, from every region; staff may ask for it', async () => {
    const [first, second] = customers as [(typeof customers)[number], (typeof customers)[number]];
    const placed: string[] = [];
    for (let i = 0; i < 7; i += 1) {
      const { id } = await cluster.done(inTurn(i), 'POST', '/orders', { token: second.token, body: order() });
      placed.unshift(id);
    }
    const mine = (await pages('/orders?limit=2', second.token)).map(({ id }) => id);
    deepStrictEqual(mine.slice(0, placed.length), placed);
    deepStrictEqual(
      (await pages(`/orders?limit=3&customer=${second.id}`, cluster.staff)).map(({ id }) => id),
      mine,
    );
    const others = await pages('/orders?limit=1000', first.token);
    deepStrictEqual(
      others.filter(({ customer }) => customer !== first.id),
      [],
    );
  });

  test('a reader who names a token sees what was written before it, in every region', async () => {
    for (let i = 0; i < 12; i += 1) {
      const { token } = customers[i % 3] as (typeof customers)[number];
      const { headers, body } = await cluster.ask(inTurn(i), 'POST', '/orders', { token, body: order() });
      const seen = { token, headers: { 'cardume-token': headers['cardume-token'] as string } };
      const { items } = await cluster.done(inTurn(i + 1), 'GET', '/orders?limit=1', seen);
      strictEqual(items[0].id, body.id);
    }
  });

  describe('statuses as they change', () => {
    const [ana] = [0];
    const follow = (region: string, id: string, lastEventId?: string) =>
      cluster.follow(region, `/orders/${id}/events`, {
        token: customers[ana]?.token as string,
        ...(lastEventId === undefined ? {} : { headers: { 'last-event-id': lastEventId } }),
      });
    const place = async (token: string): Promise<string> =>
      (
        await cluster.done('us-east', 'POST', '/orders', {
          token: customers[ana]?.token as string,
          body: order({ payment: card(token) }),
        })
      ).id;
    async function take(stream: Awaited<ReturnType<typeof follow>>, count: number) {
      const taken: { readonly id: string; readonly status: string }[] = [];
      while (taken.length < count) {
        const { value, done } = await stream.events.next();
        if (done) break;
        taken.push({ id: value.id, status: value.data.status });
      }
      return taken;
    }
    const statusesOf = (taken: readonly { readonly status: string }[]) => taken.map(({ status }) => status);

    test('are followed from another region, live, and taken up again from a third', async () => {
      const id = await place('tok_late');
      const live = await follow('us-west', id);
      const first = await take(live, 2);
      deepStrictEqual(statusesOf(first), ['placed', 'paying']);
      live.close();
      await cluster.advance(15_000);
      const again = await follow('eu-west', id, first[0]?.id);
      deepStrictEqual(statusesOf(await take(again, 2)), ['paying', 'confirmed']);

      await cluster.done('us-west', 'POST', `/orders/${id}/cancel`, {
        token: customers[ana]?.token as string,
      });
      const rest = await take(again, 9);
      deepStrictEqual(statusesOf(rest), ['cancelling', 'cancelled'], 'and the stream ends');
      const after = await follow('us-west', id, rest[1]?.id);
      strictEqual(after.status, 204);
      after.close();
      deepStrictEqual(statusesOf(await take(await follow('us-west', id, rest[0]?.id), 9)), ['cancelled']);
    });

    for (const [token, expected] of [
      ['tok_decline', ['placed', 'rejected']],
      ['tok_timeout', ['placed', 'paying', 'rejected']],
    ] as const) {
      test(`${token}: whoever lost the stream is still told the end, once`, async () => {
        const id = await place(token);
        await until('it is rejected', async () => {
          await cluster.advance(1_000);
          return (
            (await cluster.done('us-east', 'GET', `/orders/${id}`, { token: cluster.staff })).status ===
            'rejected'
          );
        });
        await cluster.settled();
        const all = await take(await follow('eu-west', id), 9);
        deepStrictEqual(statusesOf(all), expected);
        for (const [i, { id: seen }] of all.entries()) {
          const stream = await follow(inTurn(i), id, seen);
          const left = expected.slice(i + 1);
          strictEqual(stream.status, left.length === 0 ? 204 : 200);
          deepStrictEqual(statusesOf(await take(stream, 9)), left);
        }
      });
    }
  });

  describe('sent again under its key', () => {
    test('an order is one order, from every region and at once, at the price of the first time', async () => {
      const priced = await listed('ANCHOVY', '2.00');
      const token = customers[0]?.token as string;
      const asked = { token, key: 'again', body: order({ lines: [{ product: priced, quantity: 3 }] }) };
      const replies = await Promise.all(
        Array.from({ length: 60 }, (_, i) => cluster.ask(inTurn(i), 'POST', '/orders', asked)),
      );
      deepStrictEqual([...new Set(replies.map(({ status, text }) => `${status} ${text}`))].length, 1);
      const fresh = replies.filter(({ headers }) => headers['idempotency-replayed'] === 'false');
      strictEqual(fresh.length, 1);
      const [first] = replies as [(typeof replies)[number]];

      const change = { token: cluster.staff, body: { price: { amount: '9.00', currency: 'GBP' } } };
      await cluster.done('us-east', 'PATCH', `/products/${priced}`, change);
      await cluster.done('us-east', 'DELETE', `/products/${priced}`, { token: cluster.staff });
      await cluster.advance(6_000); // offers are remembered for five seconds
      const later = await cluster.ask('eu-west', 'POST', '/orders', asked);
      deepStrictEqual(
        [later.status, later.body, later.headers['idempotency-replayed']],
        [201, first.body, 'true'],
      );
      strictEqual(first.body.total.amount, '6.00');

      // The key is the caller's own.
      const other = { ...asked, token: customers[1]?.token as string, body: order() };
      const { status, body } = await cluster.ask('us-east', 'POST', '/orders', other);
      deepStrictEqual([status, body.id === first.body.id], [201, false]);
    });

    test('a receipt, a transfer, a product and an address have one effect', async () => {
      const { staff } = cluster;
      const sku = {
        sku: 'KEYED',
        name: 'Keyed',
        category: 'fish',
        price: { amount: '1.00', currency: 'GBP' },
      };
      const twice = async (path: string, token: string, body: unknown): Promise<Body> => {
        const asked = { token, key: `twice ${path}`.replaceAll(' ', '-'), body };
        const first = await cluster.ask('us-west', 'POST', path, asked);
        const second = await cluster.ask('eu-west', 'POST', path, asked);
        deepStrictEqual([second.status, second.body], [first.status, first.body]);
        strictEqual(second.headers['idempotency-replayed'], 'true', path);
        return first.body;
      };
      const { id } = await twice('/products', staff, sku);
      await twice(`/products/${id}/stock`, staff, { region: 'us-east', quantity: 10 });
      await twice(`/products/${id}/stock/transfers`, staff, { from: 'us-east', to: 'eu-west', quantity: 4 });
      await cluster.settled();
      const { regions } = await cluster.done('us-west', 'GET', `/products/${id}/stock`, { token: staff });
      deepStrictEqual(
        regions.map(({ rights }: Body) => rights),
        [6, 0, 4],
      );

      const { id: ana, token } = customers[2] as (typeof customers)[number];
      const address = { name: 'Ana', line1: 'Quay 1', city: 'Bath', postcode: 'BA1', country: 'GB' };
      await twice(`/users/${ana}/addresses`, token, address);
      const { items } = await cluster.done('us-east', 'GET', `/users/${ana}/addresses`, { token });
      strictEqual(items.length, 1);
    });

    test('a refusal stays one, also when it would be accepted by now', async () => {
      const listing = {
        token: cluster.staff,
        body: { sku: 'TWICE', name: 'Twice', category: 'fish', price: { amount: '1.00', currency: 'GBP' } },
      };
      const { id } = await cluster.done('us-east', 'POST', '/products', listing);
      const refused = await cluster.ask('us-east', 'POST', '/products', { ...listing, key: 'refused' });
      deepStrictEqual([refused.status, refused.body.code], [409, 'already-exists']);
      await cluster.done('us-east', 'DELETE', `/products/${id}`, { token: cluster.staff });
      const still = await cluster.ask('eu-west', 'POST', '/products', { ...listing, key: 'refused' });
      deepStrictEqual([still.status, still.body.code], [409, 'already-exists']);
      strictEqual((await cluster.ask('eu-west', 'POST', '/products', listing)).status, 201);
    });
  });

  describe('versions', () => {
    test('a product that the caller holds already is not sent again; a change is', async () => {
      const path = `/products/${await listed('DACE', '1.00')}`;
      for (const region of cluster.regions) {
        const { headers } = await cluster.ask(region, 'GET', path);
        const held = { headers: { 'if-none-match': headers.etag as string } };
        const { status, text } = await cluster.ask(inTurn(1), 'GET', path, held);
        deepStrictEqual([status, text], [304, '']);
        const change = {
          token: cluster.staff,
          body: { name: `Dace of ${region}` },
          headers: { 'if-match': headers.etag as string },
        };
        const changed = await cluster.ask(inTurn(2), 'PATCH', path, change);
        strictEqual(changed.status, 200);
        notStrictEqual(changed.headers.etag, headers.etag);
        const fresh = await cluster.ask(region, 'GET', path, held);
        deepStrictEqual(
          [fresh.status, fresh.body.name, fresh.headers.etag],
          [200, `Dace of ${region}`, changed.headers.etag],
        );
        const stale = await cluster.ask(region, 'PATCH', path, change);
        deepStrictEqual([stale.status, stale.body.code], [412, 'precondition-failed']);
      }
      const any = { token: cluster.staff, body: { name: 'Dace' }, headers: { 'if-match': '*' } };
      strictEqual((await cluster.ask('us-east', 'PATCH', path, any)).status, 200);
    });

    test('of many who change the same version one succeeds', async () => {
      const path = `/products/${await listed('ROACH', '1.00')}`;
      const replies = await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          cluster.ask(inTurn(i), 'PATCH', path, {
            token: cluster.staff,
            body: { name: `Roach ${i}` },
            headers: { 'if-match': '"1"' },
          }),
        ),
      );
      const statuses = replies.map(({ status }) => status).sort();
      deepStrictEqual(statuses, [200, ...Array.from({ length: 29 }, () => 412)]);
    });

    test('an order has a version too', async () => {
      const { token } = customers[0] as (typeof customers)[number];
      const { id } = await cluster.done('us-east', 'POST', '/orders', { token, body: order() });
      await cluster.settled();
      const { headers } = await cluster.ask('us-west', 'GET', `/orders/${id}`, { token });
      match(headers.etag ?? '', /^"\d+"$/);
      const held = { token, headers: { 'if-none-match': `W/${headers.etag}` } };
      strictEqual((await cluster.ask('eu-west', 'GET', `/orders/${id}`, held)).status, 304);
    });
  });

  test('revenue is exact: prices of three and four decimals, sums beyond 2^53, regions that share a country', async () => {
    const revenue = async (i: number): Promise<Body> =>
      cluster.done(inTurn(i), 'GET', '/orders/reports/revenue?by=country', { token: cluster.staff });
    const expected = new Map<string, { e4: bigint; orders: number }>();
    const sell = async (
      i: number,
      country: string,
      amount: string,
      decimals: number,
      quantity: number,
    ): Promise<void> => {
      const lines = [{ product, quantity, unit_price: { amount, currency: 'GBP' } }];
      const more = { guest: true, country, region: inTurn(i), decimals, payment: { method: 'invoice' } };
      await byStaff(inTurn(i + 1), order({ lines, ...more }));
      const [whole = '', fraction = ''] = amount.split('.');
      const e4 = BigInt(quantity) * BigInt(whole + fraction.padEnd(4, '0'));
      const before = expected.get(country) ?? { e4: 0n, orders: 0 };
      expected.set(country, { e4: before.e4 + e4, orders: before.orders + 1 });
    };
    await Promise.all([
      ...Array.from({ length: 90 }, (_, i) =>
        sell(i, 'Channel Islands', `0.00${1 + (i % 9)}`, 3, 1 + (i % 10)),
      ),
      ...Array.from({ length: 30 }, (_, i) => sell(i, 'Unspecified', `12.345${i % 10}`, 4, 7)),
      ...Array.from({ length: 12 }, (_, i) => sell(i, 'Cyprus', '899999999999.9999', 4, 1)),
      ...Array.from({ length: 6 }, (_, i) => sell(i, 'Saint-Barthélemy “1”', '0.30', 2, 1)),
    ]);
    await cluster.settled();
    for (const i of [0, 1, 2]) {
      const { rows } = await revenue(i);
      for (const [country, { e4, orders }] of expected) {
        const text = e4.toString().padStart(5, '0');
        const exact = `${text.slice(0, -4)}.${text.slice(-4)}`.replace(/0{1,2}$/, '');
        const row = rows.find((one: Body) => one.country === country);
        deepStrictEqual(row, { country, currency: 'GBP', revenue: exact, orders });
      }
      const amounts = rows.map((row: Body) => Number(row.revenue));
      deepStrictEqual(
        amounts,
        amounts.toSorted((a: number, b: number) => b - a),
      );
    }
    const { rows, total } = await revenue(0);
    const e4 = (text: string): bigint =>
      BigInt(text.replace(/\.(\d*)$/, (_, fraction) => fraction.padEnd(4, '0')));
    const sum = rows.reduce((all: bigint, row: Body) => all + e4(row.revenue), 0n);
    deepStrictEqual([total.length, e4(total[0].revenue)], [1, sum]);
    deepStrictEqual(
      cluster.complaints.filter((line) => !line.includes('still pending')),
      [],
    );
  });
});
