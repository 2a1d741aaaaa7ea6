/** The products service: the catalogue, global, and each region's stock. */
import type { Service } from 'cardume/cqrs/service';
import { catalogue } from './catalogue.ts';
import { demands } from './demand.ts';
import { product } from './product.ts';
import { stock } from './stock.ts';
import { transfers } from './transfer.ts';

export const service: Service = {
  name: 'products',
  module: import.meta.url,
  aggregates: [product, stock],
  projections: [catalogue],
  processes: [transfers, demands],
};
