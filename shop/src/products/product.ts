/** A product of the catalogue. Its id follows from its SKU, so one SKU is one product in all regions. */
import { naturalId } from 'cardume/base/id';
import { accept, aggregate, type Decision, reject } from 'cardume/cqrs/aggregate';
import { type Bus, type Loaded, refer } from 'cardume/cqrs/bus';
import type { OperationContext } from 'cardume/gateway/operation';
import { Type } from 'typebox';
import type { EventOf } from '../contracts/event.ts';
import { missing } from '../contracts/ownership.ts';
import { AmountE4, Currency } from '../contracts/schemas.ts';

export const Sku = Type.String({ minLength: 1, maxLength: 60 });
const described = {
  name: Type.String({ minLength: 1, maxLength: 200 }),
  description: Type.String({ maxLength: 4_000 }),
  category: Type.String({ minLength: 1, maxLength: 100 }),
  pictures: Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { maxItems: 10 }),
};
export const {
  name: ProductName,
  description: Description,
  category: Category,
  pictures: Pictures,
} = described;

const events = {
  ProductListed: Type.Object({ sku: Sku, ...described, price_e4: AmountE4, currency: Currency }),
  ProductChanged: Type.Partial(Type.Object({ ...described, price_e4: AmountE4 })),
  ProductWithdrawn: Type.Object({}),
};
export type ProductEvent = EventOf<typeof events>;
type Listed = Extract<ProductEvent, { type: 'ProductListed' }>;
type Changed = Extract<ProductEvent, { type: 'ProductChanged' }>;

export type ProductCommand =
  | ({ readonly type: 'List' } & Omit<Listed, 'type'>)
  /** `currency` goes with a new price. */
  | ({ readonly type: 'Change'; readonly currency?: string } & Omit<Changed, 'type'>)
  | { readonly type: 'Withdraw' };

export interface ProductState {
  sku: string;
  name: string;
  description: string;
  category: string;
  pictures: readonly string[];
  priceE4: number;
  currency: string;
  withdrawn: boolean;
}

export const product = aggregate<ProductState, ProductCommand, ProductEvent>({
  name: 'product',
  idType: 'prd',
  events,
  initial: () => ({
    sku: '',
    name: '',
    description: '',
    category: '',
    pictures: [],
    priceE4: 0,
    currency: '',
    withdrawn: false,
  }),

  decide(command, state, { version }): Decision<ProductEvent> {
    const listed = version > 0 && !state.withdrawn;
    if (command.type === 'List') {
      if (listed) return reject('already-exists', `the product ${command.sku} is listed`);
      return accept([{ ...command, type: 'ProductListed' }]);
    }
    if (!listed) return reject('not-found', 'there is no such product');
    if (command.type === 'Withdraw') return accept([{ type: 'ProductWithdrawn' }]);
    const { currency = state.currency, ...changes } = command;
    if (currency !== state.currency) return reject('conflict', `the product sells in ${state.currency}`);
    return accept([{ ...changes, type: 'ProductChanged' }]);
  },

  evolve(state, event) {
    switch (event.type) {
      case 'ProductListed': {
        const { type: _, price_e4: priceE4, ...listed } = event;
        return { ...listed, priceE4, withdrawn: false };
      }
      case 'ProductChanged': {
        const { type: _, price_e4: priceE4 = state.priceE4, ...changes } = event;
        return { ...state, ...changes, priceE4 };
      }
      case 'ProductWithdrawn':
        state.withdrawn = true;
        return state;
    }
  },
});

export const products = refer('products', product);

export function productId(
  sku: string,
  { geography, digest }: Pick<OperationContext, 'geography' | 'digest'>,
): string {
  return naturalId('prd', geography.placeInGlobal('products', sku), digest(`product:${sku}`));
}

/** @throws CardumeError `not-found` */
export async function forSale(id: string, bus: Bus): Promise<Loaded<ProductState>> {
  const found = await bus.load(products, id);
  if (found.version === 0 || found.state.withdrawn) throw missing(id);
  return found;
}
