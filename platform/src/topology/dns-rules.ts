/** Rules of `edge.dns` that span fields. */
import { type Network, parseAddress, parseNetwork } from '../base/ip.ts';
import { type Add, didYouMean, escaped, HOST, type Loose, objectOf, shown } from './faults.ts';

const AT = '/edge/dns';
const COUNTRY = /^[A-Z]{2}$/;
/** Which policy takes which field, and cannot do without it. */
const FIELD_OF: Readonly<Record<string, string>> = {
  order: 'failover',
  weights: 'weighted',
  networks: 'geo',
};

export function dnsRules(dns: Loose, edge: Loose, regions: Loose, add: Add): void {
  const names = Object.keys(regions);
  const noRegion = (path: string, name: string): void =>
    add(path, `there is no region '${name}'${didYouMean(name, names)}`);
  for (const [field, policy] of Object.entries(FIELD_OF)) {
    if (dns[field] === undefined && dns['policy'] === policy)
      add(`${AT}/${field}`, `expected for the policy '${policy}', but it is missing`);
    if (dns[field] !== undefined && dns['policy'] !== policy)
      add(`${AT}/${field}`, `is for the policy '${policy}' alone: leave it out`);
  }
  orderRules(dns['order'], names, noRegion, add);
  weightRules(objectOf(dns['weights']), dns['weights'] !== undefined, names, noRegion, add);
  for (const [network, to] of Object.entries(objectOf(dns['networks']))) {
    const path = `${AT}/networks/${escaped(network)}`;
    if (parseNetwork(network) === null)
      add(path, "expected a network such as '203.0.113.0/24', without bits behind its prefix");
    if (typeof to === 'string' && !names.includes(to) && !COUNTRY.test(to)) noRegion(path, to);
  }
  addressRules(objectOf(dns['addresses']), regions, noRegion, add);
  ownAddressRule(dns, edge, add);
  if (dns['name'] === 'ns') add(`${AT}/name`, "'ns' is the name of the server itself");
}

type NoRegion = (path: string, name: string) => void;

function orderRules(order: unknown, names: readonly string[], noRegion: NoRegion, add: Add): void {
  if (!Array.isArray(order)) return;
  for (const [i, name] of order.entries()) {
    const path = `${AT}/order/${i}`;
    if (typeof name !== 'string') continue;
    if (!names.includes(name)) noRegion(path, name);
    else if (order.indexOf(name) !== i) add(path, `'${name}' is listed twice`);
  }
  const missing = names.filter((name) => !order.includes(name));
  if (missing.length > 0) add(`${AT}/order`, `expected every region: ${missing.join(', ')} is missing`);
}

function weightRules(
  weights: Loose,
  isGiven: boolean,
  names: readonly string[],
  noRegion: NoRegion,
  add: Add,
): void {
  if (!isGiven) return;
  for (const name of Object.keys(weights))
    if (!names.includes(name)) noRegion(`${AT}/weights/${escaped(name)}`, name);
  const missing = names.filter((name) => !Object.hasOwn(weights, name));
  if (missing.length > 0) add(`${AT}/weights`, `expected every region: ${missing.join(', ')} is missing`);
  else if (Object.values(weights).every((weight) => weight === 0))
    add(`${AT}/weights`, 'expected at least one weight above 0');
}

function addressRules(addresses: Loose, regions: Loose, noRegion: NoRegion, add: Add): void {
  for (const name of Object.keys(addresses))
    if (!Object.hasOwn(regions, name)) noRegion(`${AT}/addresses/${escaped(name)}`, name);
  const families = new Map<string, ReadonlySet<number>>();
  for (const [name, region] of Object.entries(regions)) {
    const path = `${AT}/addresses/${escaped(name)}`;
    const given = addresses[name];
    if (given === undefined) {
      const { host } = objectOf(region);
      const own = typeof host === 'string' ? reachable(host) : null;
      if (own !== null) families.set(path, new Set([own.family]));
      else if (isHost(host))
        add(path, `expected IP addresses for clients, since the region's host is ${shown(host)}`);
    } else if (Array.isArray(given)) {
      const found = given.map((text) => (typeof text === 'string' ? reachable(text) : null));
      for (const [i, address] of found.entries())
        if (address === null && typeof given[i] === 'string')
          add(`${path}/${i}`, `expected an IP address that clients reach, got ${shown(given[i])}`);
      families.set(path, new Set(found.flatMap((address) => (address === null ? [] : [address.family]))));
    }
  }
  // A client that has one version alone must find it wherever it is sent.
  const all = new Set([...families.values()].flatMap((own) => [...own]));
  for (const [path, own] of families)
    for (const family of all)
      if (own.size > 0 && !own.has(family))
        add(path, `expected an address of IPv${family} too, since another region has one`);
}

function ownAddressRule(dns: Loose, edge: Loose, add: Add): void {
  const field = dns['address'] !== undefined ? 'address' : dns['host'] !== undefined ? 'host' : null;
  const text = field === null ? edge['host'] : dns[field];
  if (!isHost(text) || reachable(text) !== null) return;
  add(
    `${AT}/address`,
    `expected the IP address at which the world reaches the server: ${shown(text)} is none that others reach`,
  );
}

/** What is none is a fault of its own. */
const isHost = (value: unknown): value is string => typeof value === 'string' && HOST.test(value);

/** Null also for the address that stands for all of a machine's own. */
function reachable(text: string): Network | null {
  const address = parseAddress(text);
  return address?.bytes.some((byte) => byte !== 0) ? address : null;
}
