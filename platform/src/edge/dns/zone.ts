/** The one zone that the server has authority for, made of the topology, and what it says to a question. */
import { type Network, parseAddress, parseNetwork } from '../../base/ip.ts';
import type { DnsTopology, RegionName, Topology } from '../../topology/topology.ts';
import type { HealthTable } from '../health.ts';
import type { Answer, DnsRecord } from './answer.ts';
import { bytesOfKey, keyOf, type NameKey, offsetUnder } from './name.ts';
import { sortedPlaces } from './places.ts';
import { chooseRegions, type Policy } from './policy.ts';
import { CLASS_IN, type Query, type Rcode, rcodes, types } from './query.ts';

export interface Zone {
  readonly apex: NameKey;
  /** The name that clients ask for. */
  readonly service: NameKey;
  /** This server's own. */
  readonly nameServer: NameKey;
  /** Names that have no records and are there all the same, since names below them are (RFC 8020). */
  readonly empty: ReadonlySet<NameKey>;
  readonly policy: Policy;
  readonly regions: Readonly<Record<RegionName, RegionData>>;
  readonly ttlS: number;
  readonly soa: DnsRecord;
  readonly ns: DnsRecord;
  readonly glue: readonly DnsRecord[];
}

/** Data of records: addresses, and what the region is called. */
export interface RegionData {
  readonly a: readonly Uint8Array[];
  readonly aaaa: readonly Uint8Array[];
  readonly txt: readonly Uint8Array[];
}

export const TTL_S = 5;
const NAME_SERVER_LABEL = 'ns';
/** Of what no region's health changes: the server's own name and address. */
const STEADY_TTL_S = 3_600;
/** For secondary servers, of which there are none: refresh, retry, expire (RIPE-203). */
const SOA_TIMES_S = [86_400, 7_200, 3_600_000] as const;

/** @param serial of the SOA record: grows with each start. @param dns as checked by topology/dns-rules.ts */
export function zoneOf(topology: Topology, dns: DnsTopology, serial: number): Zone {
  const apex = keyOf(dns.zone);
  const service = dns.name === undefined ? apex : keyOf(`${dns.name}.${dns.zone}`);
  const nameServer = keyOf(`${NAME_SERVER_LABEL}.${dns.zone}`);
  const ttlS = dns.ttlS ?? TTL_S;
  const empty = new Set<NameKey>();
  for (let at = 0; service.length - at > apex.length; at += 1 + service.charCodeAt(at))
    if (at > 0) empty.add(service.slice(at));
  const steady = (owner: NameKey, type: number, data: Uint8Array): DnsRecord => ({
    owner,
    type,
    ttlS: STEADY_TTL_S,
    data,
  });
  const soa = Buffer.concat([
    bytesOfKey(nameServer),
    bytesOfKey(keyOf(`hostmaster.${dns.zone}`)),
    ...[serial, ...SOA_TIMES_S, ttlS].map(long),
  ]);
  const own = addressOf(dns.address ?? dns.host ?? topology.edge.host);
  return {
    apex,
    service,
    nameServer,
    empty,
    policy: policyOf(topology, dns),
    regions: Object.fromEntries(
      Object.entries(topology.regions).map(([name, { host, port }]) => {
        const addresses = (dns.addresses?.[name] ?? [host]).map(addressOf);
        const of = (family: 4 | 6): readonly Uint8Array[] =>
          once(addresses.filter((address) => address.family === family).map(({ bytes }) => bytes));
        return [name, { a: of(4), aaaa: of(6), txt: [text(`region=${name}`, `port=${port}`)] }];
      }),
    ),
    ttlS,
    soa: steady(apex, types.soa, soa),
    ns: steady(apex, types.ns, bytesOfKey(nameServer)),
    glue: [steady(nameServer, own.family === 4 ? types.a : types.aaaa, own.bytes)],
  };
}

function policyOf({ regions }: Topology, dns: DnsTopology): Policy {
  const ofCountry = (country: string): RegionName => {
    const found = Object.keys(regions).find((name) => regions[name]?.countries.includes(country));
    return found ?? ofCountry('*');
  };
  switch (dns.policy) {
    case 'latency':
      return { kind: 'latency' };
    case 'failover':
      return { kind: 'failover', order: dns.order as readonly RegionName[] };
    case 'weighted':
      return { kind: 'weighted', weights: dns.weights as Readonly<Record<RegionName, number>> };
    case 'geo': {
      const places = Object.entries(dns.networks as Readonly<Record<string, string>>).map(
        ([network, to]) => ({
          network: parseNetwork(network) as Network,
          region: Object.hasOwn(regions, to) ? to : ofCountry(to),
        }),
      );
      return { kind: 'geo', places: sortedPlaces(places), others: ofCountry('*') };
    }
  }
}

const addressOf = (text: string): Network => parseAddress(text) as Network;

export interface Client {
  /** Of the resolver, or of the client itself where it asks without one. */
  readonly address: Network;
  readonly nowMs: number;
}

/** A pure function: the answer changes when the health does, at once. */
export function answerTo(zone: Zone, query: Query, table: HealthTable, client: Client): Answer {
  const { name, type, class: cls } = query.question;
  const isTransfer = type === types.axfr || type === types.ixfr;
  if (cls !== CLASS_IN || isTransfer || offsetUnder(name, zone.apex) === null) return nothing(rcodes.refused);
  if (type === types.opt) return nothing(rcodes.formatError);
  const isKnown = name === zone.apex || name === zone.service || name === zone.nameServer;
  if (!isKnown && !zone.empty.has(name)) return negative(zone, rcodes.nameError, 0);
  if (type === types.any) {
    const hinfo = { owner: name, type: types.hinfo, ttlS: STEADY_TTL_S, data: text('RFC8482', '') };
    return positive([hinfo], [], 0);
  }
  if (name === zone.apex && type === types.soa) return positive([zone.soa], [], 0);
  if (name === zone.apex && type === types.ns) return positive([zone.ns], zone.glue, 0);
  if (name === zone.nameServer) {
    const own = zone.glue.filter((record) => record.type === type);
    return own.length > 0 ? positive(own, [], 0) : negative(zone, rcodes.noError, 0);
  }
  const isChosen = type === types.a || type === types.aaaa || type === types.txt;
  if (name === zone.service && isChosen) return chosenAnswer(zone, query, table, client);
  return negative(zone, rcodes.noError, 0);
}

function chosenAnswer(zone: Zone, { question, edns }: Query, table: HealthTable, client: Client): Answer {
  // A prefix of no bits asks for an answer that is right for everybody behind the resolver.
  const told = edns?.subnet?.network ?? null;
  const isTold = told !== null && told.bits > 0;
  const chosen = chooseRegions(zone.policy, table, isTold ? told : client.address, client.nowMs);
  const scopeBits = isTold ? chosen.scopeBits : 0;
  const found = chosen.regions.flatMap((region) =>
    recordsOf(zone.regions[region] as RegionData, question.type),
  );
  // Regions may share an address: no record stands twice (RFC 2181, section 5).
  const data = chosen.regions.length === 1 ? found : once(found);
  if (data.length === 0) return negative(zone, rcodes.noError, scopeBits);
  const { name: owner, type } = question;
  return positive(
    data.map((bytes) => ({ owner, type, ttlS: zone.ttlS, data: bytes })),
    [],
    scopeBits,
  );
}

function recordsOf({ a, aaaa, txt }: RegionData, type: number): readonly Uint8Array[] {
  return type === types.a ? a : type === types.aaaa ? aaaa : txt;
}

function once(data: readonly Uint8Array[]): readonly Uint8Array[] {
  return [...new Map(data.map((bytes) => [Buffer.from(bytes).toString('latin1'), bytes])).values()];
}

function positive(
  answers: readonly DnsRecord[],
  additional: readonly DnsRecord[],
  scopeBits: number,
): Answer {
  return { rcode: rcodes.noError, authoritative: true, answers, authority: [], additional, scopeBits };
}

/** The SOA says how long nothing is to be remembered (RFC 2308, section 3). */
function negative(zone: Zone, rcode: Rcode, scopeBits: number): Answer {
  const authority = [{ ...zone.soa, ttlS: zone.ttlS }];
  return { rcode, authoritative: true, answers: [], authority, additional: [], scopeBits };
}

export function nothing(rcode: Rcode): Answer {
  return { rcode, authoritative: false, answers: [], authority: [], additional: [], scopeBits: 0 };
}

function long(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Strings with their lengths in front; each is of ASCII, and short. */
function text(...strings: readonly string[]): Uint8Array {
  return Buffer.concat(strings.flatMap((string) => [Uint8Array.of(string.length), Buffer.from(string)]));
}
