/**
 * Which regions a client is told: pure functions of the policy, the regions' health, the client's network and the time.
 * Each policy names one region that is up. With none up every region is named: a health check that is wrong must not
 * take away what may still work, and a client tries all addresses.
 */
import { type Network, networkOf } from '../../base/ip.ts';
import type { RegionName } from '../../topology/topology.ts';
import type { HealthTable } from '../health.ts';
import { regionOrder } from '../routing.ts';
import { type Places, placeAt } from './places.ts';

export type Policy =
  /** The nearest by the round trips of the probes: the same for all clients of this server. */
  | { readonly kind: 'latency' }
  /** The first of the list that is up; the list has all regions. */
  | { readonly kind: 'failover'; readonly order: readonly RegionName[] }
  /** Shares of the clients' networks; a weight of 0 serves only when no other region is up. */
  | { readonly kind: 'weighted'; readonly weights: Readonly<Record<RegionName, number>> }
  /** The region of the longest network that holds the client's, or else `others`; the nearest when that one is down. */
  | { readonly kind: 'geo'; readonly places: Places; readonly others: RegionName };

export interface Chosen {
  readonly regions: readonly RegionName[];
  /** Any client that shares so many bits with this one is told the same: `SCOPE PREFIX-LENGTH` of RFC 7871. */
  readonly scopeBits: number;
}

/** Clients are told apart no finer: their resolvers keep the privacy that RFC 7871, section 11.1, asks for. */
const CLIENT_BITS = { 4: 24, 6: 56 } as const;

export const clientNetwork = (client: Network): Network => networkOf(client, CLIENT_BITS[client.family]);

/** A network is dealt again so often, so that a large one does not burden the same region for ever. At least the longest TTL. */
export const SLOT_MS = 300_000;

export function chooseRegions(policy: Policy, table: HealthTable, client: Network, nowMs: number): Chosen {
  const up = (region: RegionName): boolean => table[region]?.state === 'up';
  if (!Object.keys(table).some(up)) return { regions: Object.keys(table), scopeBits: 0 };
  switch (policy.kind) {
    case 'latency':
      return { regions: [nearest(null, table)], scopeBits: 0 };
    case 'failover':
      return { regions: [policy.order.find(up) as RegionName], scopeBits: 0 };
    case 'weighted': {
      const network = clientNetwork(client);
      const region = dealt(policy.weights, Object.keys(table).filter(up), network, nowMs);
      return { regions: [region], scopeBits: CLIENT_BITS[client.family] };
    }
    case 'geo': {
      const { region, scopeBits } = placeAt(policy.places, client);
      return { regions: [nearest(region ?? policy.others, table)], scopeBits };
    }
  }
}

/** One is up. */
function nearest(wished: RegionName | null, table: HealthTable): RegionName {
  if (wished !== null && table[wished]?.state === 'up') return wished; // what the order begins with
  return regionOrder(wished, table)[0] as RegionName;
}

/**
 * Weighted rendezvous hashing: each region draws a number for the network, the smallest wins, so that a region that
 * goes down moves its own clients alone, and they come back to it.
 */
function dealt(
  weights: Readonly<Record<RegionName, number>>,
  up: readonly RegionName[],
  network: Network,
  nowMs: number,
): RegionName {
  const weighty = up.filter((region) => weights[region] !== 0);
  const slot = slotOf(network, nowMs);
  let best = up[0] as RegionName;
  let least = Number.POSITIVE_INFINITY;
  for (const region of weighty.length === 0 ? up : weighty) {
    const uniform = (hashed(region, network, slot) + 0.5) / 2 ** 32;
    const drawn = -Math.log(uniform) / ((weights[region] as number) || 1);
    if (drawn >= least) continue;
    least = drawn;
    best = region;
  }
  return best;
}

/** Networks change their slots at moments of their own, not all at once. */
export function slotOf(network: Network, nowMs: number): number {
  return Math.floor((nowMs + (hashed('', network, 0) % SLOT_MS)) / SLOT_MS);
}

/** 32 bits, well mixed: the steps and the end of MurmurHash3 (x86, 32 bits). */
function hashed(region: RegionName, network: Network, slot: number): number {
  let hash: number = network.family;
  const mix = (value: number): void => {
    let k = Math.imul(value, 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    hash ^= k;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  };
  for (let i = 0; i < region.length; i += 1) mix(region.charCodeAt(i));
  for (const byte of network.bytes) mix(byte);
  mix(network.bits);
  mix(slot);
  mix(Math.floor(slot / 2 ** 32));
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
