import assert from 'node:assert/strict';
import { test } from 'node:test';
import config from '../../../cardume.config.ts';
import { isCardumeError } from '../base/errors.ts';
import { parseTopology } from './validate.ts';

// biome-ignore lint/suspicious/noExplicitAny: the tests break the value in every way
type Broken = any;

const good = { port: 8053, zone: 'cardume.test', policy: 'latency' };

/** Path → message of every fault of the house's topology with this DNS server. */
function faultsOf(dns: Broken, change: (topology: Broken) => void = () => {}): Record<string, string> {
  const topology: Broken = structuredClone(config);
  topology.edge.dns = dns;
  change(topology);
  try {
    parseTopology(topology);
  } catch (error) {
    assert.ok(isCardumeError(error, 'invalid-input'));
    return Object.fromEntries(error.faults.map(({ path, message }) => [path, message]));
  }
  return {};
}

/** Exactly this one fault. */
function onlyFault(path: string, message: RegExp, dns: Broken, change?: (topology: Broken) => void): void {
  const faults = faultsOf({ ...good, ...dns }, change);
  assert.deepEqual(Object.keys(faults), [path], JSON.stringify(faults));
  assert.match(faults[path] as string, message);
}

const weights = { 'us-east': 1, 'us-west': 0, 'eu-west': 1_000 };
const networks = { '203.0.113.0/24': 'us-west', '2001:db8::/32': 'BR', '0.0.0.0/0': 'XX' };

test('what is right is taken', () => {
  for (const dns of [
    undefined,
    good,
    { ...good, name: 'shop.eu', ttlS: 300, host: '127.0.0.2', address: '192.0.2.53', queriesPerS: 1 },
    { ...good, policy: 'failover', order: ['eu-west', 'us-east', 'us-west'] },
    { ...good, policy: 'weighted', weights },
    { ...good, policy: 'geo', networks },
    { ...good, zone: 'a', addresses: { 'us-east': ['192.0.2.1', '192.0.2.2'] } },
  ])
    assert.deepEqual(faultsOf(dns), {});
});

test('the shape of every field', () => {
  const { port: _, ...without } = good;
  assert.deepEqual(faultsOf(without), {
    '/edge/dns/port': 'expected a whole number from 1 to 65535, but it is missing',
  });
  onlyFault('/edge/dns/ttlS', /from 1 to 300, got 0/, { ttlS: 0 });
  onlyFault('/edge/dns/ttlS', /got 301/, { ttlS: 301 });
  onlyFault('/edge/dns/policy', /'latency', 'failover', 'weighted' or 'geo', got "nearest"/, {
    policy: 'nearest',
  });
  onlyFault('/edge/dns/ttl', /did you mean 'ttlS'/, { ttl: 5 });
  for (const zone of [
    '',
    '.',
    'Cardume.test',
    'cardume.test.',
    'a..b',
    '-a.b',
    'a-.b',
    'a_b',
    `${'a'.repeat(64)}.b`,
    'é',
  ])
    onlyFault('/edge/dns/zone', /a domain name in small letters/, { zone });
  onlyFault('/edge/dns/zone', /of at most 180/, { zone: `${'a.'.repeat(95)}b` });
  onlyFault('/edge/dns/name', /a domain name/, { name: '*' });
});

test('each policy has what it needs, and no other`s', () => {
  onlyFault('/edge/dns/order', /for the policy 'failover', but it is missing/, { policy: 'failover' });
  onlyFault('/edge/dns/weights', /for the policy 'weighted', but it is missing/, { policy: 'weighted' });
  onlyFault('/edge/dns/networks', /for the policy 'geo', but it is missing/, { policy: 'geo' });
  onlyFault('/edge/dns/weights', /for the policy 'weighted' alone: leave it out/, { weights });
});

test('order and weights have every region, once', () => {
  const order = (...names: string[]): Broken => ({ policy: 'failover', order: names });
  onlyFault('/edge/dns/order', /every region: us-west is missing/, order('us-east', 'eu-west'));
  onlyFault(
    '/edge/dns/order/3',
    /'us-east' is listed twice/,
    order('us-east', 'us-west', 'eu-west', 'us-east'),
  );
  onlyFault(
    '/edge/dns/order/3',
    /no region 'eu-wets'; did you mean 'eu-west'/,
    order('us-east', 'us-west', 'eu-west', 'eu-wets'),
  );
  const weighted = (given: Broken): Broken => ({ policy: 'weighted', weights: given });
  onlyFault('/edge/dns/weights', /every region: us-west, eu-west is missing/, weighted({ 'us-east': 1 }));
  onlyFault(
    '/edge/dns/weights',
    /at least one weight above 0/,
    weighted({ 'us-east': 0, 'us-west': 0, 'eu-west': 0 }),
  );
  onlyFault('/edge/dns/weights/mars', /no region 'mars'/, weighted({ ...weights, mars: 1 }));
  onlyFault('/edge/dns/weights/us-east', /from 0 to 1000, got -1/, weighted({ ...weights, 'us-east': -1 }));
});

test('networks are networks, and lead to a region or a country', () => {
  const geo = (given: Broken): Broken => ({ policy: 'geo', networks: given });
  for (const network of ['203.0.113.1/24', '203.0.113.0', '10.0.0.0/33', 'BR'])
    onlyFault(
      `/edge/dns/networks/${network.replace('/', '~1')}`,
      /a network such as/,
      geo({ [network]: 'BR' }),
    );
  onlyFault(
    '/edge/dns/networks/10.0.0.0~18',
    /no region 'us-wst'; did you mean/,
    geo({ '10.0.0.0/8': 'us-wst' }),
  );
});

test('every region has addresses that clients reach, of the same versions', () => {
  const everywhere = (t: Broken): void => {
    t.regions['us-east'].host = '0.0.0.0';
  };
  onlyFault('/edge/dns/addresses/us-east', /since the region's host is "0\.0\.0\.0"/, {}, everywhere);
  onlyFault('/edge/dns/addresses/us-east', /since the region's host is "east\.local"/, {}, (t) => {
    t.regions['us-east'].host = 'east.local';
  });
  assert.deepEqual(faultsOf({ ...good, addresses: { 'us-east': ['192.0.2.1'] } }, everywhere), {});
  onlyFault('/edge/dns/addresses/us-east/1', /an IP address that clients reach, got "1\.2\.3"/, {
    addresses: { 'us-east': ['192.0.2.1', '1.2.3'] },
  });
  onlyFault('/edge/dns/addresses/mars', /no region 'mars'/, { addresses: { mars: ['192.0.2.1'] } });
  const mixed = faultsOf({ ...good, addresses: { 'us-east': ['192.0.2.1', '2001:db8::1'] } });
  assert.deepEqual(Object.keys(mixed), ['/edge/dns/addresses/us-west', '/edge/dns/addresses/eu-west']);
  assert.match(mixed['/edge/dns/addresses/us-west'] as string, /an address of IPv6 too/);
});

test('the server has an address, a port and a name of its own', () => {
  onlyFault('/edge/dns/port', /127\.0\.0\.1:8080 stands at \/edge\/port already/, { port: 8080 });
  onlyFault('/regions/us-west/port', /127\.0\.0\.1:8082 stands at \/edge\/dns\/port already/, { port: 8082 });
  assert.deepEqual(faultsOf({ ...good, port: 8082, host: '127.0.0.2' }), {});
  onlyFault('/edge/dns/address', /"0\.0\.0\.0" is none that others reach/, { host: '0.0.0.0' });
  assert.deepEqual(faultsOf({ ...good, host: '0.0.0.0', address: '192.0.2.53' }), {});
  onlyFault('/edge/dns/host', /a host name/, { host: 'http://a' });
  onlyFault('/edge/dns/name', /'ns' is the name of the server itself/, { name: 'ns' });
});

test('anything else is a fault, never a failure', () => {
  for (const dns of [
    null,
    3,
    'text',
    [],
    { order: 5, weights: [], networks: 'x', addresses: { 'us-east': 7 } },
  ])
    assert.notDeepEqual(faultsOf(dns), {});
});
