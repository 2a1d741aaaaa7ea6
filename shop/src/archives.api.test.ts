/** Orders that ended long ago stand in archives: nobody who asks for one, or changes it, sees a difference. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Body, type Cluster, until } from './cluster.fixture.ts';
import { startWithOneProduct } from './one-product.fixture.ts';

const region = 'eu-west';
const ORDERS = 96;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

describe('an order that ended long ago', () => {
  let cluster: Cluster;
  let product: string;
  let customer: string;
  const orders: Body[] = [];
  /** For an hour, of a clock that is moved by days. */
  const token = (): string => cluster.tokenOf({ id: customer, role: 'customer' });

  before(async () => {
    const bounds = { idempotencyDays: 1, segmentEntries: 8 };
    const started = await startWithOneProduct(region, { archives: true, bounds });
    ({ cluster, product } = started);
    const person = { name: 'Bo', country: 'GB' };
    customer = (await cluster.done(region, 'POST', '/users', { token: cluster.staff, body: person })).id;
    const body = { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_approve' } };
    const ids: string[] = [];
    for (let n = 0; n < ORDERS; n += 1)
      ids.push(
        (await cluster.done(region, 'POST', '/orders', { token: token(), key: `order-${n}`, body })).id,
      );
    await cluster.settled();
    for (const id of ids) orders.push(await cluster.done(region, 'GET', `/orders/${id}`, { token: token() }));
    ok(orders.every(({ status }) => status === 'confirmed'));
    strictEqual(await cluster.archived('orders'), 0);
    await archivedMore(ORDERS);
  });
  after(() => cluster.close());

  /** Answers are forgotten in a day, and both are looked after hourly: archives are made a step every 50 ms then. */
  async function archivedMore(entries: number): Promise<void> {
    const before = await cluster.archived('orders');
    await cluster.advance(2 * DAY_MS, HOUR_MS);
    await until(`${entries} more entries are archived`, async () => {
      await cluster.advance(HOUR_MS, HOUR_MS);
      await cluster.advance(20_000, 100);
      return (await cluster.archived('orders')) >= before + entries;
    });
  }

  async function statusesOf(from: string, id: string): Promise<string[]> {
    const stream = await cluster.follow(from, `/orders/${id}/events`, { token: token() });
    const statuses: string[] = [];
    for await (const { data } of stream.events) {
      statuses.push(data.status);
      if (data.status === 'confirmed' || data.status === 'cancelled') break;
    }
    stream.close();
    return statuses;
  }

  test('is answered as it was, from every region, and its events are', async () => {
    for (const order of orders)
      deepStrictEqual(await cluster.done('us-east', 'GET', `/orders/${order.id}`, { token: token() }), order);
    for (const { id } of orders.slice(0, 12))
      deepStrictEqual((await statusesOf('us-west', id)).slice(-1), ['confirmed']);
    const { items } = await cluster.done(region, 'GET', '/orders?limit=1000', { token: token() });
    strictEqual(items.length, ORDERS);
  });

  test('may be cancelled by a region that was started anew', { timeout: 120_000 }, async () => {
    await cluster.stop(region, 'drain');
    await cluster.start(region);
    for (const { id } of orders.slice(0, 12))
      await cluster.done(region, 'POST', `/orders/${id}/cancel`, { token: token() });
    await cluster.settled();
    for (const { id } of orders.slice(0, 12)) {
      const { status } = await cluster.done('us-east', 'GET', `/orders/${id}`, { token: token() });
      strictEqual(status, 'cancelled');
      const { status: again } = await cluster.ask(region, 'POST', `/orders/${id}/cancel`, { token: token() });
      strictEqual(again < 500, true);
    }
  });

  test('stands in a log that is sound, and nothing was complained of', async () => {
    await archivedMore(24);
    deepStrictEqual(await cluster.faults(), []);
    deepStrictEqual(cluster.complaints, []);
  });
});
