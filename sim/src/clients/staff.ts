/** Staff: they list products, receive stock, move it between regions, and look at what there is. */
import { parseAmount } from 'cardume/base/money';
import type { RandomStream } from 'cardume/testing/simulated/stream';
import { type Listing, listed } from '../history.ts';
import type { Request, Transport } from '../transport.ts';
import { Client, type Ground, type Told } from './client.ts';

export class Staff {
  readonly client: Client;
  readonly #token: string;
  #keys = 0;
  #products = 0;

  constructor(name: string, ground: Ground, transport: Transport, stream: RandomStream) {
    this.client = new Client(name, ground, transport, stream);
    this.#token = ground.staffToken;
  }

  key(): string {
    this.#keys += 1;
    return `${this.client.name}-${this.#keys}`;
  }

  /** Before the faults begin. @returns the product's id */
  async list(sku: string, stock: number): Promise<string> {
    const { client } = this;
    const body = {
      sku,
      name: `Product ${sku}`,
      category: 'toys',
      price: { amount: '3.25', currency: 'GBP' },
    };
    const told = await this.#listed(sku, body, [201]);
    const id = told.reply?.body.id as string;
    for (const region of client.ground.regions) await this.receive(id, region, stock);
    return id;
  }

  async live(products: readonly string[]): Promise<void> {
    const { client } = this;
    while (!client.ground.isOver()) {
      const what = client.stream.below(100);
      const product = client.one(products);
      if (what < 25)
        await this.receive(product, client.one(client.ground.regions), 1 + client.stream.below(9));
      else if (what < 45) await this.overview(product);
      else if (what < 70) await this.#transfer(product);
      else if (what < 85) await this.#listAgain();
      else await this.revenue();
      await client.think();
    }
  }

  async #listed(sku: string, body: unknown, expected: readonly number[]): Promise<Told> {
    const { client } = this;
    const fromMs = client.ground.elapsedMs();
    const listing: Listing = {
      client: client.name,
      sku,
      fromMs,
      untilMs: Number.POSITIVE_INFINITY,
      status: 0,
    };
    client.ground.history.listings.push(listing);
    const told = await client.tell('list a product', this.#request('POST', '/products', body), expected);
    if (told.reply === null) return told;
    listing.untilMs = told.untilMs;
    listing.status = told.reply.status;
    return told;
  }

  /** In a world that is whole again, everything can be done. */
  async goOn(products: readonly string[]): Promise<void> {
    await this.list('LAST', 1);
    for (const product of products)
      for (const region of this.client.ground.regions) await this.receive(product, region, 1);
  }

  async receive(product: string, region: string, quantity: number): Promise<void> {
    const { client } = this;
    const access = {
      client: client.name,
      fromMs: client.ground.elapsedMs(),
      untilMs: Number.POSITIVE_INFINITY,
      input: { kind: 'add', by: quantity } as const,
    };
    listed(client.ground.history.received, `${product} ${region}`).push(access);
    const path = `/products/${product}/stock`;
    const told = await client.tell('receive', this.#request('POST', path, { region, quantity }), [201]);
    if (told.reply !== null) access.untilMs = told.untilMs;
  }

  async overview(product: string): Promise<void> {
    const { client } = this;
    const told = await client.tell('overview', this.#request('GET', `/products/${product}/stock`), [200]);
    if (told.reply === null) return;
    for (const { region, received, rights, available, reserved, sold, frozen } of told.reply.body.regions) {
      client.ground.history.looks.push({
        balances: [available, reserved, sold, frozen],
        total: rights,
        untilMs: told.untilMs,
      });
      listed(client.ground.history.received, `${product} ${region}`).push({
        client: client.name,
        fromMs: told.lastFromMs,
        untilMs: told.untilMs,
        input: { kind: 'read', value: received as number },
      });
    }
  }

  async #transfer(product: string): Promise<void> {
    const { client } = this;
    const { regions } = client.ground;
    const from = client.one(regions);
    const to = client.one(regions.filter((name) => name !== from));
    if (to === undefined) return;
    const body = { from, to, quantity: 1 + client.stream.below(12) };
    const path = `/products/${product}/stock/transfers`;
    const told = await client.tell('transfer', this.#request('POST', path, body), [202, 409]);
    if (told.reply?.status === 202) client.ground.history.transfers.push(told.reply.body.transfer as string);
  }

  /** Several of the staff list the same products: one of them gets it. */
  async #listAgain(): Promise<void> {
    const { client } = this;
    this.#products += 1;
    const sku = `RACE-${this.#products}`;
    const body = { sku, name: `Race ${sku}`, category: 'races', price: { amount: '1.00', currency: 'GBP' } };
    const told = await this.#listed(sku, body, [201, 409]);
    if (told.reply?.status === 409) client.ground.coverage.reached('a product that exists already');
  }

  /** @returns what the report says, in units of the currency; null when it cannot be had */
  async revenue(): Promise<{ readonly revenue: string; readonly orders: number } | null> {
    const { client } = this;
    const asked = this.#request('GET', '/orders/reports/revenue?by=country');
    const { reply, lastFromMs: fromMs, untilMs } = await client.tell('revenue', asked, [200]);
    if (reply === null) return null;
    const [total = { revenue: '0.00', orders: 0 }] = reply.body.total as {
      revenue: string;
      orders: number;
    }[];
    const revenueE4 = parseAmount(total.revenue, 2, '/revenue');
    client.ground.history.reports.push({
      client: client.name,
      fromMs,
      untilMs,
      orders: total.orders,
      revenueE4,
    });
    return total;
  }

  #request(method: Request['method'], path: string, body?: unknown): Request {
    const key = method === 'POST' ? this.key() : undefined;
    return { method, path, token: this.#token, key, body };
  }
}
