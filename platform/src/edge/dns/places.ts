/**
 * Networks → regions, sorted, so that a client's is found by halving. Sorted by bytes, a network stands before those
 * inside of it, and what shares the most bits with a client stands beside where the client would.
 */
import { commonBits, type IpFamily, type Network } from '../../base/ip.ts';
import type { RegionName } from '../../topology/topology.ts';

export interface Place {
  readonly network: Network;
  readonly region: RegionName;
}

export type Places = Readonly<Record<IpFamily, readonly SortedPlace[]>>;

interface SortedPlace extends Place {
  /** The smallest other place that holds this one. */
  readonly around: SortedPlace | null;
}

export interface Found {
  /** Of the longest network that holds the client; null when none does. */
  readonly region: RegionName | null;
  /**
   * How many of the client's bits decide: its own place's, and those that tell it from the places beside. So the answers
   * that resolvers keep never overlap (RFC 7871, section 7.2.1). More than the resolver told when a place is inside of that.
   */
  readonly scopeBits: number;
}

/** @param places each network once */
export function sortedPlaces(places: readonly Place[]): Places {
  return { 4: sortedOf(4, places), 6: sortedOf(6, places) };
}

function sortedOf(family: IpFamily, places: readonly Place[]): readonly SortedPlace[] {
  const sorted: SortedPlace[] = [];
  const own = places.filter(({ network }) => network.family === family);
  for (const place of own.sort((one, other) => compared(one.network, other.network)))
    sorted.push({ ...place, around: holding(sorted.at(-1) ?? null, place.network) });
  return sorted;
}

export function placeAt(places: Places, client: Network): Found {
  const sorted = places[client.family];
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compared((sorted[middle] as SortedPlace).network, client) <= 0) low = middle + 1;
    else high = middle;
  }
  const before = sorted[low - 1] ?? null;
  const behind = sorted[low] ?? null;
  return {
    region: holding(before, client)?.region ?? null,
    scopeBits: Math.max(decidingBits(before, client), decidingBits(behind, client)),
  };
}

/** The place itself or one around it. */
function holding(place: SortedPlace | null, inner: Network): SortedPlace | null {
  let at = place;
  while (at !== null && commonBits(at.network, inner) < at.network.bits) at = at.around;
  return at;
}

function decidingBits(place: Place | null, client: Network): number {
  if (place === null) return 0;
  const common = commonBits(place.network, client);
  const isInside = common === place.network.bits || common === client.bits;
  return isInside ? place.network.bits : common + 1;
}

function compared(one: Network, other: Network): number {
  for (let i = 0; i < one.bytes.length; i += 1) {
    const difference = (one.bytes[i] as number) - (other.bytes[i] as number);
    if (difference !== 0) return difference;
  }
  return one.bits - other.bits;
}
