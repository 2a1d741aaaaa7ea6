/** What a drill's platform is filled with: products with stock everywhere, and customers of all regions. */
import { openTokens } from 'cardume/identity/tokens';
import type { RegionName, Topology } from 'cardume/topology';
import type { Answered } from '../api.ts';
import { Failure } from '../failure.ts';
import type { Shell } from '../shell.ts';
import type { Clients } from './clients.ts';
import type { Grounds } from './grounds.ts';
import type { Keys } from './keys.ts';

export interface Customer {
  readonly id: string;
  readonly region: RegionName;
  /** What a customer's browser sends. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Product {
  readonly id: string;
  /** Of its global partition, before anything moved. */
  readonly home: RegionName;
}

export interface Stage {
  readonly customers: readonly Customer[];
  readonly products: readonly Product[];
}

const CUSTOMERS_A_REGION = 16;
const PRODUCTS_A_REGION = 8;
/** More than a drill can sell. */
const PIECES = 10_000_000;
const TOGETHER = 16;

/** @throws Failure when the platform does not take it */
export async function setStage(shell: Shell, grounds: Grounds, clients: Clients, keys: Keys): Promise<Stage> {
  const regions = Object.keys(grounds.topology.regions);
  const headersOf = customerHeaders(shell, grounds.topology, grounds);
  const each = <T>(count: number, work: (region: RegionName) => Promise<T>): Promise<T[]> =>
    together(
      regions.flatMap((region) => Array.from({ length: count }, () => () => work(region))),
      TOGETHER,
    );
  const post = async (path: string, body: unknown): Promise<{ readonly id: string }> => {
    const answered = await clients.sendUnseen({ method: 'POST', path, body, key: keys.unique() });
    return bodyOf(answered, `POST ${path}`) as { readonly id: string };
  };

  const products = await each(PRODUCTS_A_REGION, async (home) => {
    const sku = keys.sku(home);
    const price = { amount: '2.55', currency: 'EUR' };
    const { id } = await post('/products', { sku, name: `Drill ${sku}`, category: 'drill', price });
    for (const region of regions) await post(`/products/${id}/stock`, { region, quantity: PIECES });
    return { id, home };
  });
  const customers = await each(CUSTOMERS_A_REGION, async (region) => {
    const country = keys.countryOf(region);
    const { id } = await post('/users', { name: 'Drill', country, region });
    return { id, region, headers: headersOf(id, country) };
  });
  return { customers, products };
}

/** The token, and the country that a CDN would find. */
function customerHeaders(
  { host }: Shell,
  topology: Topology,
  { secrets }: Grounds,
): (id: string, country: string) => Readonly<Record<string, string>> {
  const tokens = openTokens(host, { key: secrets.tokenKey, issuer: topology.name, tokensCachedMax: 1 });
  return (id, country) => ({
    authorization: `Bearer ${tokens.issue({ id, role: 'customer' }).token}`,
    'cardume-client-country': country,
  });
}

/** @throws Failure unless it was done */
export function bodyOf(answered: Answered | null, what: string): unknown {
  if (answered !== null && answered.status < 300) return answered.body;
  const { detail } = (answered?.body ?? {}) as { readonly detail?: string };
  throw new Failure(
    `${what} failed: ${answered === null ? 'no answer' : `${answered.status} ${detail ?? ''}`}.`,
  );
}

/** Results in the order of the works. */
export async function together<T>(works: readonly (() => Promise<T>)[], atOnce: number): Promise<T[]> {
  const results: T[] = new Array(works.length);
  const waiting = works.entries();
  async function lane(): Promise<void> {
    for (const [i, work] of waiting) results[i] = await work();
  }
  await Promise.all(Array.from({ length: atOnce }, lane));
  return results;
}
