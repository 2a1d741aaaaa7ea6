/** Keys by where they are at home: e-mails and product codes whose global partition has its home in a chosen region. */
import { emails } from '@cardume/shop/users/claim';
import { parseId } from 'cardume/base/id';
import type { Host } from 'cardume/host';
import { geography } from 'cardume/sharding/geography';
import type { RegionName, ServiceName, Topology } from 'cardume/topology';

export interface Keys {
  /** One that nobody had before. */
  email(home: RegionName): string;
  sku(home: RegionName): string;
  /** Anything unique, such as an idempotency key. */
  unique(): string;
  /** A country whose customers live in the region. */
  countryOf(region: RegionName): string;
}

/** Homes of 16 partitions over three regions are met after a few tries. */
const TRIES_MAX = 10_000;

/** As the topology places them: of a platform whose homes have not moved. */
export function openKeys({ crypto, random }: Host, topology: Topology, secret: Uint8Array): Keys {
  const [anyRegion] = Object.keys(topology.regions) as [RegionName];
  const places = geography(topology, anyRegion);
  const ground = { geography: places, secretDigest: (text: string) => crypto.hmacSha256(secret, text) };
  const run = Buffer.from(random.bytes(4)).toString('hex');
  let count = 0;
  const unique = (): string => {
    count += 1;
    return `${run}-${count}`;
  };

  function find(
    service: ServiceName,
    home: RegionName,
    homeOf: (key: string) => RegionName,
    of: (name: string) => string,
  ): string {
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const key = of(unique());
      if (homeOf(key) === home) return key;
    }
    throw new Error(`no global partition of '${service}' is at home in ${home}`);
  }

  return {
    unique,
    email: (home) =>
      find(
        'users',
        home,
        (email) => places.regionOfPlace('users', parseId(emails.idOf(email, ground))),
        (name) => `${name}@example.com`,
      ),
    sku: (home) =>
      find(
        'products',
        home,
        (sku) => places.regionOfPlace('products', places.placeInGlobal('products', sku)),
        (name) => `DRILL-${name}`,
      ),
    countryOf(region) {
      const listed = topology.regions[region]?.countries ?? [];
      return listed.find((country) => country !== '*') ?? 'ZZ';
    },
  };
}
