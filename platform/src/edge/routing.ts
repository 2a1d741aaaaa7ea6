/**
 * Which region answers a request: a pure function of what the request says and of the regions' health. The wish
 * comes first (a region by name, else the region of the client's country), then the healthy regions, nearest first.
 */
import { CardumeError } from '../base/errors.ts';
import type { RegionName, Topology } from '../topology/topology.ts';
import type { HealthTable } from './health.ts';

/** Names a region, for demonstrations and tests. */
export const REGION_HEADER = 'cardume-region';
/** The same in the query. Parameters of the API are written with `_`, so none can have this name; it is not forwarded. */
export const REGION_PARAMETER = 'cardume-region';
/** ISO 3166 country of the client, as a CDN in front of the edge knows it. */
export const COUNTRY_HEADER = 'cardume-client-country';

export interface RequestFacts {
  readonly region: string | null;
  readonly country: string | null;
}

/**
 * The region that a request wishes for; null when it does not say.
 * @throws CardumeError `invalid-input` for a region that the topology does not have
 */
export function wishedRegion(facts: RequestFacts, regions: Topology['regions']): RegionName | null {
  if (facts.region !== null) {
    if (Object.hasOwn(regions, facts.region)) return facts.region;
    const message = `expected one of ${Object.keys(regions).join(', ')}, got '${facts.region.slice(0, 40)}'`;
    throw new CardumeError('invalid-input', `there is no such region: ${message}`, {
      faults: [{ path: `/header/${REGION_HEADER}`, message }],
    });
  }
  if (facts.country === null) return null;
  const country = facts.country.toUpperCase();
  let others: RegionName | null = null;
  for (const [name, { countries }] of Object.entries(regions)) {
    if (countries.includes(country)) return name;
    if (countries.includes('*')) others = name;
  }
  return others;
}

/** Distances within one step count as equal: regions are tens of milliseconds apart, noise is not. */
const DISTANCE_STEP_MS = 20;

/** The regions that may be tried, the best first; none when all are down. Equally near ones keep the table's order. */
export function regionOrder(wished: RegionName | null, table: HealthTable): readonly RegionName[] {
  const healthy = Object.entries(table).filter(([, region]) => region.state === 'up');
  const distance = (roundTripMs: number): number => Math.floor(roundTripMs / DISTANCE_STEP_MS);
  return healthy
    .sort(([a, left], [b, right]) => {
      if (a === wished || b === wished) return a === wished ? -1 : 1;
      return distance(left.roundTripMs) - distance(right.roundTripMs);
    })
    .map(([name]) => name);
}

/** The path for the region, and the region that the query names. @throws CardumeError `invalid-input` */
export function targetOf(target: string): { readonly path: string; readonly region: string | null } {
  let path = target;
  if (!path.startsWith('/')) {
    const url = URL.parse(target); // absolute-form (RFC 9112, section 3.2.2)
    if (url === null)
      throw new CardumeError('invalid-input', 'the request target is neither a path nor a URL');
    path = url.pathname + url.search;
  }
  const question = path.indexOf('?');
  if (question === -1 || !path.includes(REGION_PARAMETER, question)) return { path, region: null };
  let region: string | null = null;
  const kept = path
    .slice(question + 1)
    .split('&')
    .filter((pair) => {
      if (!pair.startsWith(`${REGION_PARAMETER}=`)) return true;
      region = pair.slice(REGION_PARAMETER.length + 1);
      return false;
    });
  return { path: path.slice(0, question) + (kept.length === 0 ? '' : `?${kept.join('&')}`), region };
}
