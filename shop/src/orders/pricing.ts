/** Prices the lines of an order: from the catalogue, or as staff has agreed them. Exact, in one currency. */
import { CardumeError, type Fault } from 'cardume/base';
import { AMOUNT_E4_MAX } from 'cardume/base/money';
import type { Offer } from '../contracts/catalogue.ts';
import { amountE4, type Money } from '../contracts/schemas.ts';
import type { OrderLine } from './order.ts';

export interface AskedLine {
  readonly product: string;
  readonly quantity: number;
  /** Agreed; the catalogue's price when left out. */
  readonly unit_price?: Money;
}

export interface Priced {
  readonly lines: OrderLine[];
  readonly currency: string;
  readonly total_e4: number;
  readonly agreed: boolean;
}

/**
 * @param decimalsMax how many decimals agreed prices may have where the currency has fewer
 * @throws CardumeError `invalid-input` with a fault for every line that cannot be sold
 */
export function price(
  asked: readonly AskedLine[],
  offerOf: (product: string) => Offer | null,
  decimalsMax: number,
): Priced {
  const lines: OrderLine[] = [];
  const faults: Fault[] = [];
  const fault = (i: number, field: string, message: string): void => {
    faults.push({ path: `/body/lines/${i}/${field}`, message });
  };
  let currency = '';
  let total_e4 = 0;
  for (const [i, { product, quantity, unit_price }] of asked.entries()) {
    const offer = offerOf(product);
    if (offer === null) {
      fault(i, 'product', `'${product}' is not for sale`);
      continue;
    }
    const own = unit_price?.currency ?? offer.currency;
    currency ||= own;
    if (own !== currency) {
      const field = unit_price === undefined ? 'product' : 'unit_price/currency';
      fault(i, field, `sells in ${own}, the order is in ${currency}`);
      continue;
    }
    const unit_price_e4 =
      unit_price === undefined
        ? offer.priceE4
        : amountE4(unit_price, `/body/lines/${i}/unit_price`, decimalsMax);
    // A sum beyond the safe integers is not exact, yet surely beyond the bound.
    total_e4 += quantity * unit_price_e4;
    if (total_e4 > AMOUNT_E4_MAX) fault(i, 'quantity', 'the order’s total would be more than 900 billion');
    lines.push({ product, sku: offer.sku, quantity, unit_price_e4 });
  }
  const [first] = faults;
  if (first !== undefined)
    throw new CardumeError('invalid-input', `${first.path}: ${first.message}`, { faults });
  return { lines, currency, total_e4, agreed: asked.some((line) => line.unit_price !== undefined) };
}
