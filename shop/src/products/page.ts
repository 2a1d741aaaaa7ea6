/** A product's page as ready-made JSON text: most requests of a shop ask for it, so it is written once a version. */
import { Recent } from '../contracts/recent.ts';
import { money } from '../contracts/schemas.ts';
import type { ProductState } from './product.ts';

const pagesMax = 10_000;

export function productPage(id: string, state: ProductState): Record<string, unknown> {
  const { sku, name, description, category, pictures, priceE4, currency } = state;
  return { id, sku, name, description, category, price: money(priceE4, currency), pictures };
}

export class ProductPages {
  readonly #pages = new Recent<{ readonly version: number; readonly json: string }>(pagesMax);

  json(id: string, version: number, state: ProductState): string {
    const known = this.#pages.get(id);
    if (known?.version === version) return known.json;
    const json = JSON.stringify(productPage(id, state));
    this.#pages.set(id, { version, json });
    return json;
  }
}
