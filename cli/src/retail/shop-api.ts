/** The part of the shop's API that an import needs: requests with their keys, replies checked once. */
import { DECIMALS_MAX, parseAmount } from 'cardume/base/money';
import type { Call } from '../api.ts';
import type { Outcome, Patience } from './patience.ts';

export const CURRENCY = 'GBP';
/** The data set names no categories. */
const CATEGORY = 'gifts';

export interface Account {
  readonly id: string;
  readonly region: string;
}

export interface OrderState {
  readonly status: string;
  readonly reason: string;
}

export interface CountryRevenue {
  readonly country: string;
  readonly currency: string;
  readonly revenueE4: bigint;
  readonly orders: number;
}

export interface OrderRequest {
  readonly customer?: string;
  readonly guest?: true;
  readonly region?: string;
  readonly country: string;
  readonly placed_at: string;
  readonly decimals?: number;
  readonly lines: readonly {
    readonly product: string;
    readonly quantity: number;
    readonly unit_price: { readonly amount: string; readonly currency: string };
  }[];
  readonly payment: { readonly method: 'invoice' };
  readonly reference: string;
}

/** An outcome whose body was read; a reply of another shape than agreed counts as refused. */
export type Result<Value> =
  | { readonly kind: 'done'; readonly value: Value; readonly replayed: boolean | null }
  | Exclude<Outcome, { readonly kind: 'done' }>;

export interface ShopApi {
  createCustomer(key: string, name: string, country: string): Promise<Result<Account>>;
  createProduct(
    key: string,
    product: { sku: string; name: string; price: string },
  ): Promise<Result<{ id: string }>>;
  receiveStock(key: string, product: string, region: string, quantity: number): Promise<Result<null>>;
  placeOrder(key: string, order: OrderRequest): Promise<Result<{ id: string; status: string }>>;
  order(id: string): Promise<Result<OrderState>>;
  revenueByCountry(): Promise<Result<readonly CountryRevenue[]>>;
  /** One page of the catalogue. */
  products(
    after: string | null,
  ): Promise<Result<{ items: readonly { id: string; sku: string }[]; next: string | null }>>;
  /** Whether the thing with this id exists. */
  exists(id: string): Promise<Result<boolean>>;
}

const pageItems = 200;

export function openShopApi(patience: Patience): ShopApi {
  async function ask<Value>(call: Call, read: (body: Body) => Value): Promise<Result<Value>> {
    const outcome = await patience.send(call);
    if (outcome.kind !== 'done') return outcome;
    try {
      return { kind: 'done', value: read(new Body(outcome.body)), replayed: outcome.replayed };
    } catch (error) {
      if (!(error instanceof UnexpectedReply)) throw error;
      const detail = `${call.method} ${call.path}: ${error.message}`;
      return { kind: 'refused', status: 200, code: 'unexpected-reply', detail };
    }
  }
  const post = (path: string, key: string, body: unknown): Call => ({ method: 'POST', path, key, body });
  const get = (path: string): Call => ({ method: 'GET', path });

  return {
    createCustomer: (key, name, country) =>
      ask(post('/users', key, { name, country }), (body) => ({
        id: body.text('id'),
        region: body.text('region'),
      })),
    createProduct: (key, { sku, name, price }) =>
      ask(
        post('/products', key, {
          sku,
          name,
          category: CATEGORY,
          price: { amount: price, currency: CURRENCY },
        }),
        (body) => ({ id: body.text('id') }),
      ),
    receiveStock: (key, product, region, quantity) =>
      ask(post(`/products/${product}/stock`, key, { region, quantity }), () => null),
    placeOrder: (key, order) =>
      ask(post('/orders', key, order), (body) => ({ id: body.text('id'), status: body.text('status') })),
    order: (id) =>
      ask(get(`/orders/${id}`), (body) => ({
        status: body.text('status'),
        reason: [body.textOr('reason', ''), body.textOr('detail', '')]
          .filter((part) => part !== '')
          .join(': '),
      })),
    revenueByCountry: () =>
      ask(get('/orders/reports/revenue?by=country'), (body) =>
        body.list('rows').map((row) => ({
          country: row.text('country'),
          currency: row.text('currency'),
          revenueE4: BigInt(parseAmount(row.text('revenue'), DECIMALS_MAX, '/rows')),
          orders: row.number('orders'),
        })),
      ),
    products: (after) =>
      ask(
        get(`/products?limit=${pageItems}${after === null ? '' : `&after=${encodeURIComponent(after)}`}`),
        (body) => ({
          items: body.list('items').map((item) => ({ id: item.text('id'), sku: item.text('sku') })),
          next: body.textOr('next', '') || null,
        }),
      ),
    async exists(id) {
      const folder = { acc: 'users', prd: 'products', ord: 'orders' }[id.slice(0, 3)] ?? 'orders';
      const result = await ask(get(`/${folder}/${id}`), () => true);
      return result.kind === 'refused' && result.status === 404
        ? { kind: 'done', value: false, replayed: null }
        : result;
    },
  };
}

class UnexpectedReply extends Error {}

/** A JSON object whose fields are read with the type that the API promises. */
class Body {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null) throw new UnexpectedReply('the reply is no JSON object');
    this.#fields = value as Record<string, unknown>;
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== 'string') throw new UnexpectedReply(`the reply lacks the text '${name}'`);
    return value;
  }

  textOr(name: string, otherwise: string): string {
    const value = this.#fields[name];
    return typeof value === 'string' ? value : otherwise;
  }

  number(name: string): number {
    const value = this.#fields[name];
    if (typeof value !== 'number') throw new UnexpectedReply(`the reply lacks the number '${name}'`);
    return value;
  }

  list(name: string): readonly Body[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) throw new UnexpectedReply(`the reply lacks the list '${name}'`);
    return value.map((item) => new Body(item));
  }
}
