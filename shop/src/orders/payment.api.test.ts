/** Every order ends, and what it does not keep it gives back: over HTTP, with real time-outs on a clock that is moved. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CardumeError } from 'cardume/base';
import { type Body, type Cluster, type Reply, startCluster, until } from '../cluster.fixture.ts';
import { orderOpenMsMax, paymentPendingMsMax } from './fulfilment.ts';
import { type Payment, type Payments, paymentTimeouts } from './payment.ts';

const region = 'eu-west';
const pieces = 1_000;
const { authoriseMsMax, statusMsMax, voidMsMax, refundMsMax } = paymentTimeouts;
/** See shop.ts. */
const lateMs = 5_000;

describe('an order and its payment', () => {
  let cluster: Cluster;
  let product: string;
  let scarce: string;
  let token: string;
  /** `down`: a call fails at once. `slow`: it reaches the provider when the test lets it through. */
  let line: 'up' | 'down' | 'slow' = 'up';
  const slow: { readonly call: keyof Payments; readonly letThrough: () => void }[] = [];
  const slowCalls = (call: keyof Payments): number => slow.filter((one) => one.call === call).length;

  before(async () => {
    const over = async (call: keyof Payments, ask: () => Promise<Payment>): Promise<Payment> => {
      if (line === 'down') throw new CardumeError('deadline-exceeded', 'the provider cannot be reached');
      if (line === 'slow') await new Promise<void>((letThrough) => slow.push({ call, letThrough }));
      return ask();
    };
    cluster = await startCluster({
      payments: (provider) => ({
        authorise: (request) => over('authorise', () => provider.authorise(request)),
        status: (key) => over('status', () => provider.status(key)),
        void: (key) => over('void', () => provider.void(key)),
        refund: (key) => over('refund', () => provider.refund(key)),
      }),
    });
    product = await listed('HERRING', pieces);
    scarce = await listed('STURGEON', 3);
    const person = { name: 'Ana', country: 'GB' };
    const { id } = await cluster.done(region, 'POST', '/users', { token: cluster.staff, body: person });
    token = cluster.tokenOf({ id, role: 'customer' });
  });
  after(() => cluster.close());

  async function listed(sku: string, quantity: number): Promise<string> {
    const body = { sku, name: sku, category: 'fish', price: { amount: '2.55', currency: 'GBP' } };
    const { id } = await cluster.done(region, 'POST', '/products', { token: cluster.staff, body });
    await cluster.done(region, 'POST', `/products/${id}/stock`, {
      token: cluster.staff,
      body: { region, quantity },
    });
    return id;
  }

  const body = (card: string, lines: unknown = [{ product, quantity: 2 }]) => ({
    lines,
    payment: { method: 'card', token: card },
  });
  const place = async (card: string, lines?: unknown): Promise<string> =>
    (await cluster.done(region, 'POST', '/orders', { token, body: body(card, lines) })).id;
  const order = (id: string): Promise<Body> => cluster.done('us-east', 'GET', `/orders/${id}`, { token });
  const reaches = (id: string, status: string): Promise<void> =>
    until(`${id} is ${status}`, async () => (await order(id)).status === status);
  const cancel = (id: string, key?: string): Promise<Reply> =>
    cluster.ask('us-west', 'POST', `/orders/${id}/cancel`, { token, ...(key === undefined ? {} : { key }) });
  const paid = async (id: string): Promise<string> => (await cluster.payments(region).status(id)).status;

  async function stock(of = product): Promise<{ available: number; reserved: number; sold: number }> {
    const { total } = await cluster.done(region, 'GET', `/products/${of}/stock`, { token: cluster.staff });
    const { available, reserved, sold } = total;
    return { available, reserved, sold };
  }

  async function revenue(): Promise<unknown> {
    const { total } = await cluster.done('us-west', 'GET', '/orders/reports/revenue', {
      token: cluster.staff,
    });
    return total;
  }

  /** Does something, lets everything end, and compares what is sold with before. Nothing of it is worth an error line. */
  async function sells(count: number, act: () => Promise<void>): Promise<void> {
    const told = cluster.complaints.length;
    await sellsAmidFailures(count, act);
    deepStrictEqual(cluster.complaints.slice(told), []);
  }

  async function sellsAmidFailures(count: number, act: () => Promise<void>): Promise<void> {
    const { available, sold } = await stock();
    await act();
    await cluster.settled();
    deepStrictEqual(await stock(), { available: available - count, reserved: 0, sold: sold + count });
  }

  test('a card that is approved: confirmed, paid, sold', () =>
    sells(2, async () => {
      const id = await place('tok_approve');
      await reaches(id, 'confirmed');
      strictEqual(await paid(id), 'approved');
    }));

  test('a product in several lines is reserved as one', () =>
    sells(7, async () => {
      const lines = [3, 1, 3].map((quantity) => ({ product, quantity }));
      await reaches(await place('tok_approve', lines), 'confirmed');
    }));

  test('a card that is declined: rejected, nothing sold', () =>
    sells(0, async () => {
      const id = await place('tok_decline');
      await reaches(id, 'rejected');
      const { reason, detail } = await order(id);
      deepStrictEqual([reason, detail], ['payment-declined', 'the card was declined']);
      const { status, body: problem } = await cancel(id);
      deepStrictEqual([status, problem.code], [409, 'conflict']);
    }));

  test('one product of two is short: rejected, the other is given back, nothing is taken from the card', () =>
    sells(0, async () => {
      const id = await place('tok_approve', [
        { product, quantity: 5 },
        { product: scarce, quantity: 4 },
      ]);
      await reaches(id, 'rejected');
      const { reason, detail } = await order(id);
      deepStrictEqual(
        [reason, detail.includes(scarce), detail.includes(product)],
        ['insufficient-stock', true, false],
      );
      await cluster.settled();
      strictEqual(await paid(id), 'voided');
      deepStrictEqual(await stock(scarce), { available: 3, reserved: 0, sold: 0 });
    }));

  test('a product that the region never had: rejected', async () => {
    const nowhere = await cluster.done(region, 'POST', '/products', {
      token: cluster.staff,
      body: { sku: 'YETI', name: 'Yeti', category: 'fish', price: { amount: '1.00', currency: 'GBP' } },
    });
    const id = await place('tok_approve', [{ product: nowhere.id, quantity: 1 }]);
    await reaches(id, 'rejected');
    strictEqual((await order(id)).reason, 'insufficient-stock');
  });

  test('an approval that takes its time: paying, then confirmed', () =>
    sells(2, async () => {
      const id = await place('tok_late');
      await reaches(id, 'paying');
      strictEqual(await paid(id), 'pending');
      await cluster.advance(lateMs + 10_000);
      await reaches(id, 'confirmed');
      strictEqual(await paid(id), 'approved');
    }));

  test('a provider that never answers: paying, then rejected, and the payment is void for good', () =>
    sells(0, async () => {
      const id = await place('tok_timeout');
      await cluster.advance(authoriseMsMax - 1_000);
      strictEqual((await order(id)).status, 'placed');
      await cluster.advance(1_000);
      await reaches(id, 'paying');
      await cluster.advance(paymentPendingMsMax - 1_000);
      strictEqual((await order(id)).status, 'paying');
      await cluster.advance(1_500);
      await reaches(id, 'rejected');
      strictEqual((await order(id)).reason, 'payment-timed-out');
      await cluster.settled();
      strictEqual(await paid(id), 'voided');
    }));

  test('a provider that is down for a quarter of an hour: expired, and given back once it is up', () =>
    sellsAmidFailures(0, async () => {
      const told = cluster.complaints.length;
      line = 'down';
      const id = await place('tok_approve');
      await cluster.advance(orderOpenMsMax + 1_000, 5_000);
      await reaches(id, 'rejected');
      strictEqual((await order(id)).reason, 'expired');
      line = 'up';
      await cluster.advance(20_000);
      await cluster.settled();
      strictEqual(await paid(id), 'voided');
      const complaints = cluster.complaints.slice(told);
      ok(complaints.length > 0);
      deepStrictEqual(
        complaints.filter((line) => !line.includes('an effect of a process failed')),
        [],
      );
    }));

  test('a line that is slow: each call is given up and asked again, and what arrives late takes nothing', () =>
    sellsAmidFailures(0, async () => {
      line = 'slow';
      const id = await place('tok_approve');
      await until('it is asked for', () => slowCalls('authorise') === 1);
      await cluster.advance(authoriseMsMax);
      await reaches(id, 'paying');
      await cluster.advance(statusMsMax + 1_000);
      await until('it is asked for its status again', () => slowCalls('status') === 2);
      await cluster.advance(paymentPendingMsMax - statusMsMax);
      await reaches(id, 'rejected');
      strictEqual((await order(id)).reason, 'payment-timed-out');
      await until('it is voided', () => slowCalls('void') === 1);
      await cluster.advance(voidMsMax + 1_000);
      await until('it is voided again', () => slowCalls('void') === 2);
      line = 'up';
      await cluster.advance(voidMsMax + 1_000);
      await cluster.settled();
      strictEqual(await paid(id), 'voided');
      strictEqual(slowCalls('authorise'), 1);
      for (const { letThrough } of slow.splice(0)) letThrough();
      await cluster.advance(1_000);
      deepStrictEqual([(await order(id)).status, await paid(id)], ['rejected', 'voided']);
    }));

  test('a refund that is given up is asked again, and given back once', () =>
    sellsAmidFailures(0, async () => {
      const id = await place('tok_approve');
      await reaches(id, 'confirmed');
      line = 'slow';
      strictEqual((await cancel(id)).status, 202);
      await until('it is refunded', () => slowCalls('refund') === 1);
      await cluster.advance(refundMsMax + 1_000);
      await until('it is refunded again', () => slowCalls('refund') === 2);
      strictEqual((await order(id)).status, 'cancelling');
      line = 'up';
      await cluster.advance(refundMsMax + 1_000);
      await reaches(id, 'cancelled');
      strictEqual(await paid(id), 'refunded');
      for (const { letThrough } of slow.splice(0)) letThrough();
      await cluster.advance(1_000);
      deepStrictEqual([(await order(id)).status, await paid(id)], ['cancelled', 'refunded']);
    }));

  test('cancelled before the provider answers: the payment is void, the stock is back', () =>
    sells(0, async () => {
      const id = await place('tok_timeout');
      await until('it is reserved', async () => (await stock()).reserved === 2);
      const { status, body: answer } = await cancel(id);
      strictEqual(status, 202);
      ok(['cancelling', 'cancelled'].includes(answer.status));
      await reaches(id, 'cancelled');
      strictEqual(await paid(id), 'voided');
      await cluster.advance(authoriseMsMax + paymentPendingMsMax);
      strictEqual((await order(id)).status, 'cancelled');
    }));

  test('cancelled while the payment is pending: approved later, it stays void', () =>
    sells(0, async () => {
      const id = await place('tok_late');
      await reaches(id, 'paying');
      strictEqual((await cancel(id)).status, 202);
      await reaches(id, 'cancelled');
      await cluster.advance(2 * lateMs);
      deepStrictEqual([(await order(id)).status, await paid(id)], ['cancelled', 'voided']);
    }));

  test('cancelled as the approval arrives: whoever is first, stock and money go back', () =>
    sells(0, async () => {
      const ids = await Promise.all(Array.from({ length: 20 }, () => place('tok_late')));
      await Promise.all(ids.map((id) => reaches(id, 'paying')));
      const cancelling = cluster.advance(lateMs + 5_000).then(() => undefined);
      for (const id of ids) {
        await cluster.advance(250, 250);
        strictEqual((await cancel(id)).status, 202);
      }
      await cancelling;
      await Promise.all(ids.map((id) => reaches(id, 'cancelled')));
      const payments = await Promise.all(ids.map(paid));
      deepStrictEqual(
        payments.filter((status) => status !== 'voided' && status !== 'refunded'),
        [],
      );
    }));

  test('cancelled after it was confirmed: refunded, the stock is back, and it is no revenue', () =>
    sells(0, async () => {
      const before = await revenue();
      const id = await place('tok_approve');
      await reaches(id, 'confirmed');
      const first = await cancel(id, 'changed-my-mind');
      deepStrictEqual([first.status, first.headers['idempotency-replayed']], [202, 'false']);
      await reaches(id, 'cancelled');
      strictEqual(await paid(id), 'refunded');
      const again = await cancel(id, 'changed-my-mind');
      deepStrictEqual([again.status, again.headers['idempotency-replayed']], [202, 'true']);
      deepStrictEqual([(await cancel(id)).status, (await order(id)).status], [202, 'cancelled']);
      deepStrictEqual(await revenue(), before);
    }));

  test('1,000 open orders for one product are taken up at once after a crash', () =>
    sellsAmidFailures(0, async () => {
      const { available } = await stock();
      const many = available - 10;
      const ids = await Promise.all(
        Array.from({ length: many }, () => place('tok_timeout', [{ product, quantity: 1 }])),
      );
      const asked = () =>
        until('the provider was asked', async () => {
          for (const id of ids) if ((await paid(id)) === 'unknown') return false;
          return true;
        });
      await asked();
      strictEqual((await stock()).reserved, many);
      await cluster.stop(region, 'kill');
      await cluster.start(region);
      // Each looks for what became of its reservation; were it tried blindly, each would undo all behind it.
      await asked();
      strictEqual((await stock()).reserved, many);
      // A deadline counts from the moment when the payment is known to be pending.
      await cluster.advance(authoriseMsMax + 1_000, 1_000);
      for (const id of ids) await reaches(id, 'paying');
      await cluster.advance(paymentPendingMsMax + 5_000, 1_000);
    }));

  test('a region that crashes and stops amid its orders: each order is placed once and ends', async () => {
    const cards = ['tok_approve', 'tok_decline', 'tok_late', 'tok_timeout'] as const;
    const { sold: soldBefore } = await stock();
    const ids = new Map<number, string>();
    /** Until it has an answer, however often the region goes away. */
    const insist = (i: number): Promise<void> =>
      until(`order ${i} is taken`, async () => {
        const asked = {
          token,
          key: `amid-${i}`,
          body: body(cards[i % 4] as string, [{ product, quantity: 1 }]),
        };
        const reply = await cluster.ask(region, 'POST', '/orders', asked).catch(() => null);
        if (reply === null || reply.status === 503) return false;
        strictEqual(reply.status, 201, reply.text);
        ids.set(i, reply.body.id);
        return true;
      });
    const beganMs = performance.now();
    const placing = Promise.all(Array.from({ length: 400 }, (_, i) => insist(i)));
    await until('some are taken', () => ids.size >= 40);
    await cluster.stop(region, 'kill');
    await cluster.start(region);
    await until('more are taken', () => ids.size >= 200);
    await cluster.stop(region, 'drain');
    await cluster.start(region);
    await placing;
    strictEqual(new Set(ids.values()).size, 400);

    // A retry meets the order of the first attempt.
    for (const i of [0, 1, 2, 3]) {
      const asked = { token, key: `amid-${i}`, body: body(cards[i] as string, [{ product, quantity: 1 }]) };
      const reply = await cluster.ask('us-east', 'POST', '/orders', asked);
      deepStrictEqual([reply.body.id, reply.headers['idempotency-replayed']], [ids.get(i), 'true']);
    }
    const statuses = async (): Promise<Map<string, string>> => {
      const { items } = await cluster.done(region, 'GET', '/orders?limit=400', { token });
      return new Map(items.map(({ id, status }: Body) => [id, status]));
    };
    // The clock stays as it is until then: ahead of the work, it would let late approvals come too late.
    const hasEnded = (status = ''): boolean => status === 'confirmed' || status === 'rejected';
    await until('the late ones have ended', async () => {
      const found = await statuses();
      return [...ids].every(([i, id]) => cards[i % 4] !== 'tok_late' || hasEnded(found.get(id)));
    });
    const tookMs = performance.now() - beganMs;
    await until('every order has ended', async () => {
      await cluster.advance(500);
      return [...(await statuses()).values()].every(hasEnded);
    });
    await cluster.settled();
    const outcomes = await Promise.all(
      [...ids].map(async ([i, id]) => [cards[i % 4], await order(id)] as const),
    );
    const told = outcomes.map(([card, { status, reason = '' }]) => `${card} ${status} ${reason}`.trim());
    const counts = Object.entries(Object.groupBy(told, (text) => text)).map(([text, of]) => [
      text,
      of?.length,
    ]);
    const { 'tok_late rejected payment-timed-out': tooLate = 0, ...others } = Object.fromEntries(counts);
    // On a machine that is slower than payments may take, some are late all the same.
    ok(tooLate === 0 || tookMs > paymentPendingMsMax, `${tooLate} after ${tookMs} ms`);
    deepStrictEqual(others, {
      'tok_approve confirmed': 100,
      'tok_decline rejected payment-declined': 100,
      'tok_late confirmed': 100 - tooLate,
      'tok_timeout rejected payment-timed-out': 100,
    });
    const { sold, reserved } = await stock();
    deepStrictEqual([reserved, sold - soldBefore], [0, 200 - tooLate]);
  });
});
