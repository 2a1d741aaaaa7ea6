/**
 * The stock of one product in one region: what that region may sell without asking another. Products own it, orders
 * reserve from it.
 */
import { type Place, parseId, siblingId } from 'cardume/base/id';
import type { AggregateRef } from 'cardume/cqrs/bus';
import type { Geography } from 'cardume/gateway/operation';
import { Type } from 'typebox';
import { placeBeside } from './regions.ts';

/** A transfer's id, or of one that a demand has brought about: the stock that demanded, which demand, who gave. */
export const TransferName = Type.String({ maxLength: 100 });
export const WriteOffReason = Type.String({ minLength: 1, maxLength: 200 });

/** What an order has of a stock. */
export type Standing =
  | 'reserved'
  /** In line for what other regions may give. */
  | 'waiting'
  /** They gave too little. Its place in line is to be given back. */
  | 'refused'
  /** Not any more, or not yet. */
  | 'nothing';

export type StockCommand =
  | { readonly type: 'Receive'; readonly quantity: number }
  /**
   * Always under one key for the order: a repeat, however late, reserves nothing more. Where there is too little it may be answered `waiting`.
   */
  | {
      readonly type: 'Reserve';
      readonly order: string;
      readonly quantity: number;
      /** Its order looks again when it is told `waiting`. */
      readonly mayWait?: boolean;
    }
  /** Answers the order's `Standing`, and changes nothing. */
  | { readonly type: 'Look'; readonly order: string }
  /** The order is paid: what it has reserved is sold. No effect without an open reservation. */
  | { readonly type: 'Commit'; readonly order: string }
  /**
   * Gives back what the order holds: its open reservation or its place in line, or else what it was sold. Only for an
   * order whose `Reserve` was accepted, and under a key.
   */
  | { readonly type: 'Return'; readonly order: string; readonly quantity: number }
  | {
      readonly type: 'SendTransfer';
      readonly transfer: string;
      readonly to: string;
      readonly quantity: number;
    }
  /** For another region's demand: what there is, up to the quantity. Answers what was given. */
  | {
      readonly type: 'Give';
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
  | { readonly type: 'SettleTransfer'; readonly transfer: string }
  /** Other regions were asked; what they granted has arrived. */
  | {
      readonly type: 'SettleDemand';
      readonly demand: number;
      readonly granted: number;
      /** All were asked, and nothing is on its way. */
      readonly isSure: boolean;
    }
  /** What is frozen is not there any more. */
  | { readonly type: 'WriteOff'; readonly reason: string; readonly by: string };

export const stock: AggregateRef<StockCommand> = { service: 'products', aggregate: 'stock' };

/** The product's stock in a region. */
export function stockId(geography: Geography, region: string, product: string): string {
  return siblingId(product, 'stk', geography.placeInRegion('products', region, product));
}

/** The product's stock in the region where something else was born. */
export function stockBeside(geography: Geography, born: Place, product: string): string {
  return siblingId(product, 'stk', placeBeside(geography, 'products', born, product));
}

/** The same product's stock in the other regions. */
export function stocksElsewhere(geography: Geography, stock: string): readonly string[] {
  const { partition } = parseId(stock, 'stk');
  return geography.regions
    .map((region) => geography.placeInRegion('products', region, stock))
    .map(({ scope }) => siblingId(stock, 'stk', { scope, partition }))
    .filter((id) => id !== stock);
}
