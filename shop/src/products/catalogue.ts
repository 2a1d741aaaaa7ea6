/** The catalogue's table: products that are for sale, by category, name and price. */
import { projection } from 'cardume/cqrs/projection';
import type { Filter, Order } from 'cardume/sharding/query';
import type { Table } from 'cardume/sharding/table';
import type { ProductEvent } from './product.ts';

export const catalogueTable: Table = {
  name: 'catalogue',
  columns: {
    id: 'text',
    sku: 'text',
    name: 'text',
    name_folded: 'text',
    category: 'text',
    price_e4: 'integer',
    currency: 'text',
    picture: 'text',
  },
  key: ['id'],
  indexes: [['name_folded'], ['price_e4'], ['category', 'name_folded'], ['category', 'price_e4']],
};

/** The spelling that names are compared and sorted by. */
export function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

export const catalogue = projection<ProductEvent>({
  name: 'catalogue',
  tables: [catalogueTable],
  on: {
    ProductListed({ sku, name, category, price_e4, currency, pictures }, { stream }, rows) {
      const picture = pictures[0] ?? null;
      rows(catalogueTable).put({
        id: stream,
        sku,
        name,
        name_folded: folded(name),
        category,
        price_e4,
        currency,
        picture,
      });
    },
    ProductChanged({ name, category, price_e4, pictures }, { stream }, rows) {
      rows(catalogueTable).patch(
        { id: stream },
        {
          ...(name === undefined ? {} : { name, name_folded: folded(name) }),
          ...(category === undefined ? {} : { category }),
          ...(price_e4 === undefined ? {} : { price_e4 }),
          ...(pictures === undefined ? {} : { picture: pictures[0] ?? null }),
        },
      );
    },
    ProductWithdrawn(_event, { stream }, rows) {
      rows(catalogueTable).remove({ id: stream });
    },
  },
});

export interface Wanted {
  readonly category?: string;
  readonly prefix?: string;
  readonly sort: 'name' | 'price' | '-price';
}

export function filters({ category, prefix }: Wanted): Filter[] {
  const wanted: Filter[] = [];
  if (category !== undefined) wanted.push({ column: 'category', op: '=', value: category });
  if (prefix !== undefined) wanted.push({ column: 'name_folded', op: 'prefix', value: folded(prefix) });
  return wanted;
}

export function order({ sort }: Wanted): Order[] {
  if (sort === 'name') return [{ column: 'name_folded', direction: 'ascending' }];
  return [{ column: 'price_e4', direction: sort === 'price' ? 'ascending' : 'descending' }];
}
