/** The orders service: every order lives in its customer's region and ends confirmed, rejected or cancelled. */
import type { Service } from 'cardume/cqrs/service';
import { fulfilment } from './fulfilment.ts';
import { order } from './order.ts';
import { orderList } from './order-list.ts';

export const service: Service = {
  name: 'orders',
  module: import.meta.url,
  aggregates: [order],
  projections: [orderList],
  processes: [fulfilment],
};
