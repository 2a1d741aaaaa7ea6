import { deepStrictEqual, notDeepStrictEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import { fold, given } from 'cardume/testing/given';
import { projected } from '../projected.ts';
import { stage } from '../rehearsal.ts';
import { catalogue, filters, order } from './catalogue.ts';
import { ProductPages, productPage } from './page.ts';
import { type ProductEvent, product, productId } from './product.ts';

const listed: ProductEvent = {
  type: 'ProductListed',
  sku: '85123A',
  name: 'WHITE Heart',
  description: '',
  category: 'gifts',
  pictures: ['heart.jpg'],
  price_e4: 25_500,
  currency: 'GBP',
};
const withdrawn: ProductEvent = { type: 'ProductWithdrawn' };
const dearer: ProductEvent = { type: 'ProductChanged', price_e4: 30_000 };

describe('a product', () => {
  const { type: _, ...fields } = listed as Extract<ProductEvent, { type: 'ProductListed' }>;

  test('is listed once, and again after it was withdrawn', () => {
    given(product, [])
      .when({ type: 'List', ...fields })
      .then({ events: [listed] });
    given(product, [listed])
      .when({ type: 'List', ...fields })
      .then({ rejected: 'already-exists' });
    given(product, [listed, withdrawn])
      .when({ type: 'List', ...fields })
      .then({ events: [listed] });
  });

  test('changes in part, and keeps its currency', () => {
    given(product, [listed])
      .when({ type: 'Change', price_e4: 30_000, currency: 'GBP' })
      .then({ events: [dearer] });
    given(product, [listed])
      .when({ type: 'Change', price_e4: 30_000, currency: 'EUR' })
      .then({ rejected: 'conflict' });
    const renamed: ProductEvent = { type: 'ProductChanged', name: 'Red heart' };
    const state = fold(product, [listed, dearer, renamed]);
    deepStrictEqual([state.name, state.priceE4, state.category], ['Red heart', 30_000, 'gifts']);
  });

  test('that is not for sale cannot be changed or withdrawn', () => {
    for (const history of [[], [listed, withdrawn]]) {
      given(product, history).when({ type: 'Change', name: 'x' }).then({ rejected: 'not-found' });
      given(product, history).when({ type: 'Withdraw' }).then({ rejected: 'not-found' });
    }
    given(product, [listed])
      .when({ type: 'Withdraw' })
      .then({ events: [withdrawn] });
  });

  test('has one id for one SKU; codes that differ by case are two products', () => {
    const ground = { geography: stage, digest: realHost().crypto.sha256 };
    deepStrictEqual(productId('85123A', ground), productId('85123A', ground));
    notDeepStrictEqual(productId('85123A', ground), productId('85123a', ground));
  });
});

describe('the catalogue', () => {
  const after = (...events: ProductEvent[]) =>
    projected(
      catalogue,
      events.map((event) => ({ stream: 'prd_1', event })),
    )({ id: 'prd_1' });
  const row = {
    id: 'prd_1',
    sku: '85123A',
    name: 'WHITE Heart',
    name_folded: 'white heart',
    category: 'gifts',
    price_e4: 25_500,
    currency: 'GBP',
    picture: 'heart.jpg',
  };

  test('shows what is for sale', () => {
    deepStrictEqual(after(listed), row);
    deepStrictEqual(after(listed, dearer), { ...row, price_e4: 30_000 });
    deepStrictEqual(after(listed, { type: 'ProductChanged', name: 'ÅPEN', pictures: [] }), {
      ...row,
      name: 'ÅPEN',
      name_folded: 'åpen',
      picture: null,
    });
    deepStrictEqual(after(listed, withdrawn), undefined);
  });

  test('is asked by folded prefix and sorted', () => {
    deepStrictEqual(filters({ category: 'gifts', prefix: 'WHITE h', sort: 'name' }), [
      { column: 'category', op: '=', value: 'gifts' },
      { column: 'name_folded', op: 'prefix', value: 'white h' },
    ]);
    deepStrictEqual(order({ sort: '-price' }), [{ column: 'price_e4', direction: 'descending' }]);
    deepStrictEqual(order({ sort: 'name' }), [{ column: 'name_folded', direction: 'ascending' }]);
  });
});

test('a page is written once a version', () => {
  const pages = new ProductPages();
  const before = fold(product, [listed]);
  const first = pages.json('prd_1', 1, before);
  deepStrictEqual(JSON.parse(first), productPage('prd_1', before));
  deepStrictEqual(JSON.parse(first).price, { amount: '2.55', currency: 'GBP' });
  const after = fold(product, [listed, dearer]);
  deepStrictEqual(pages.json('prd_1', 1, after), first);
  deepStrictEqual(JSON.parse(pages.json('prd_1', 2, after)).price, { amount: '3.00', currency: 'GBP' });
});
