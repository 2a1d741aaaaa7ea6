/** The catalogue's part of the public API. Stock has its own file. */
import { parseId } from 'cardume/base/id';
import { type Operation, operation } from 'cardume/gateway/operation';
import { Type } from 'typebox';
import { asked, told } from '../contracts/asked.ts';
import { invalid } from '../contracts/faults.ts';
import { amountE4, ById, Id, Money, money, Next, pageAfter, pageLimit } from '../contracts/schemas.ts';
import { filters, order } from './catalogue.ts';
import { type ProductPages, productPage } from './page.ts';
import {
  Category,
  Description,
  forSale,
  Pictures,
  ProductName,
  productId,
  products,
  Sku,
} from './product.ts';
import { stockOperations } from './stock-api.ts';

const Product = Type.Object({
  id: Id,
  sku: Sku,
  name: ProductName,
  description: Description,
  category: Category,
  price: Money,
  pictures: Pictures,
});

const placeOf = ({ params }: { readonly params: { readonly id: string } }) => parseId(params.id, 'prd');

const list = operation({
  id: 'products.list',
  method: 'POST',
  path: '/products',
  summary: 'List a product',
  access: 'staff',
  failures: ['already-exists'],
  idempotent: true,
  body: Type.Object({
    sku: Sku,
    name: ProductName,
    category: Category,
    price: Money,
    description: Type.Optional(Description),
    pictures: Type.Optional(Pictures),
  }),
  replies: { 201: Product },
  place: ({ body }, { geography }) => geography.placeInGlobal('products', body.sku),
  async handle({ body }, context) {
    const { sku, name, category, price, description = '', pictures = [] } = body;
    const id = productId(sku, context);
    const { currency } = price;
    const price_e4 = amountE4(price, '/body/price');
    const command = { type: 'List', sku, name, description, category, pictures, price_e4, currency } as const;
    const answer = await context.bus.send(products, id, command, asked(context));
    const page = productPage(id, { ...command, priceE4: price_e4, withdrawn: false });
    return { status: 201, body: page, version: answer.version, ...told(answer, context) };
  },
});

const get = operation({
  id: 'products.get',
  method: 'GET',
  path: '/products/{id}',
  summary: 'A product',
  access: 'anyone',
  params: ById,
  replies: { 200: Product },
  place: placeOf,
  async handle({ params: { id } }, { bus, port }) {
    const { state, version, token } = await forSale(id, bus);
    const body = port<ProductPages>('pages').json(id, version, state);
    return { status: 200, body, contentType: 'application/json', version, token };
  },
});

const find = operation({
  id: 'products.find',
  method: 'GET',
  path: '/products',
  summary: 'Products of all regions, by category and the beginning of their name',
  access: 'anyone',
  failures: ['invalid-cursor'],
  search: Type.Object({
    category: Type.Optional(Category),
    prefix: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'upper and lower case are one' }),
    ),
    sort: Type.Union([Type.Literal('name'), Type.Literal('price'), Type.Literal('-price')], {
      default: 'name',
    }),
    limit: pageLimit,
    after: pageAfter,
  }),
  replies: {
    200: Type.Object({
      items: Type.Array(
        Type.Object({
          id: Id,
          sku: Sku,
          name: ProductName,
          category: Category,
          price: Money,
          picture: Type.Union([Type.String(), Type.Null()]),
        }),
      ),
      next: Next,
    }),
  },
  async handle({ search }, { bus }) {
    const { limit, after } = search;
    const { rows, next } = await bus.query({
      service: 'products',
      table: 'catalogue',
      select: ['id', 'sku', 'name', 'category', 'price_e4', 'currency', 'picture'],
      where: filters(search),
      orderBy: order(search),
      limit,
      ...(after === undefined ? {} : { after }),
    });
    const items = rows.map(({ price_e4, currency, ...row }) => ({
      ...row,
      price: money(price_e4 as number, currency as string),
    }));
    return { status: 200, body: { items, next } };
  },
});

const change = operation({
  id: 'products.change',
  method: 'PATCH',
  path: '/products/{id}',
  summary: 'Change what is said of a product, or its price',
  access: 'staff',
  params: ById,
  body: Type.Partial(
    Type.Object({
      name: ProductName,
      category: Category,
      price: Money,
      description: Description,
      pictures: Pictures,
    }),
  ),
  replies: { 200: Product },
  place: placeOf,
  async handle({ params: { id }, body: { price, ...changes } }, context) {
    if (price === undefined && Object.keys(changes).length === 0) throw invalid('/body', 'expected a change');
    const priced =
      price === undefined ? {} : { price_e4: amountE4(price, '/body/price'), currency: price.currency };
    await context.bus.send(products, id, { type: 'Change', ...changes, ...priced }, asked(context));
    const { state, version, token } = await forSale(id, context.bus);
    return { status: 200, body: productPage(id, state), version, token };
  },
});

const withdraw = operation({
  id: 'products.withdraw',
  method: 'DELETE',
  path: '/products/{id}',
  summary: 'Withdraw a product from sale',
  access: 'staff',
  params: ById,
  replies: { 204: null },
  place: placeOf,
  async handle({ params: { id } }, context) {
    const { token } = await context.bus.send(products, id, { type: 'Withdraw' }, asked(context));
    return { status: 204, token };
  },
});

export const operations: readonly Operation[] = [list, find, get, change, withdraw, ...stockOperations];
