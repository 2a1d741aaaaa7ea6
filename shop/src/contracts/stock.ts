/**
 * The stock of one product in one region: what that region may sell without asking another. Products own it, orders
 * reserve from it.
 */
import { type Place, siblingId } from 'cardume/base/id';
import type { AggregateRef } from 'cardume/cqrs/bus';
import type { Geography } from 'cardume/gateway/operation';
import { placeBeside } from './regions.ts';

export type StockCommand =
  | { readonly type: 'Receive'; readonly quantity: number }
  /** Always sent under the key of `reservationKey`: a repeat, however late, reserves nothing more. */
  | { readonly type: 'Reserve'; readonly order: string; readonly quantity: number }
  /** The order is paid: what it has reserved is sold. No effect without an open reservation. */
  | { readonly type: 'Commit'; readonly order: string }
  /**
   * Gives back what the order holds: its open reservation, or else what it was sold. Only for an order whose `Reserve`
   * was accepted, and under a key.
   */
  | { readonly type: 'Return'; readonly order: string; readonly quantity: number }
  | {
      readonly type: 'SendTransfer';
      readonly transfer: string;
      readonly to: string;
      readonly quantity: number;
    }
  | {
      readonly type: 'ReceiveTransfer';
      readonly transfer: string;
      readonly from: string;
      readonly quantity: number;
    }
  | { readonly type: 'SettleTransfer'; readonly transfer: string };

export const stock: AggregateRef<StockCommand> = { service: 'products', aggregate: 'stock' };

/** The product's stock in a region. */
export function stockId(geography: Geography, region: string, product: string): string {
  return siblingId(product, 'stk', geography.placeInRegion('products', region, product));
}

/** The product's stock in the region where something else was born. */
export function stockBeside(geography: Geography, born: Place, product: string): string {
  return siblingId(product, 'stk', placeBeside(geography, 'products', born, product));
}
