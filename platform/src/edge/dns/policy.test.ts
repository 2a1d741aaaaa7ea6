import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Network, networkOf, parseAddress, parseNetwork } from '../../base/ip.ts';
import type { HealthTable } from '../health.ts';
import { health } from './messages.fixture.ts';
import { type Place, sortedPlaces } from './places.ts';
import { chooseRegions, clientNetwork, type Policy, SLOT_MS, slotOf } from './policy.ts';

const names = ['us-east', 'us-west', 'eu-west', 'sa-east'];
const NOW_MS = 1_800_000_000_000;
const address = (text: string): Network => parseAddress(text) as Network;
const network = (text: string): Network => parseNetwork(text) as Network;
const table = (states: string): HealthTable =>
  Object.fromEntries([...states].map((state, i) => [names[i], health(state === 'u' ? 'up' : 'down', 1)]));
const only = (policy: Policy, states: string, client = '192.0.2.1'): string => {
  const { regions } = chooseRegions(policy, table(states), address(client), NOW_MS);
  assert.equal(regions.length, 1);
  return regions[0] as string;
};

const bytes4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
const networks: fc.Arbitrary<Network> = fc
  .oneof(
    fc.tuple(fc.constant(4 as const), bytes4, fc.nat(32)),
    fc.tuple(fc.constant(6 as const), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(128)),
  )
  .map(([family, bytes, bits]) => networkOf({ family, bytes, bits: bytes.length * 8 }, bits));
/** Many inside of one another: what is hard about prefixes. */
const near4: fc.Arbitrary<Network> = fc
  .tuple(fc.array(fc.constantFrom(0, 1, 128, 255), { minLength: 4, maxLength: 4 }), fc.nat(32))
  .map(([bytes, bits]) => networkOf({ family: 4, bytes: Uint8Array.from(bytes), bits: 32 }, bits));
const region = fc.constantFrom(...names);
const places = (of: fc.Arbitrary<Network>) =>
  fc.uniqueArray(fc.record({ network: of, region }), {
    maxLength: 12,
    selector: ({ network: { family, bytes, bits } }) => `${family} ${bytes} ${bits}`,
  });
const geoOf = (given: { places: readonly Place[]; others: string }): Policy => ({
  kind: 'geo',
  places: sortedPlaces(given.places),
  others: given.others,
});
const policies: fc.Arbitrary<Policy> = fc.oneof(
  fc.constant<Policy>({ kind: 'latency' }),
  fc
    .shuffledSubarray(names, { minLength: names.length })
    .map<Policy>((order) => ({ kind: 'failover', order })),
  fc.array(fc.nat(3), { minLength: names.length, maxLength: names.length }).map<Policy>((given) => ({
    kind: 'weighted',
    weights: Object.fromEntries(names.map((name, i) => [name, given[i] as number])),
  })),
  fc.record({ places: places(networks), others: region }).map(geoOf),
);
const tables: fc.Arbitrary<HealthTable> = fc
  .array(fc.tuple(fc.constantFrom('up', 'down', 'unknown'), fc.nat(300)), { minLength: 4, maxLength: 4 })
  .map((states) =>
    Object.fromEntries(
      states.map(([state, tripMs], i) => [names[i], health(state as 'up' | 'down' | 'unknown', tripMs)]),
    ),
  );

test('no policy ever names a region that is down while another is up; with none up it names all', () => {
  fc.assert(
    fc.property(policies, tables, networks, fc.nat(2 ** 42), (policy, health, client, nowMs) => {
      const { regions } = chooseRegions(policy, health, client, nowMs);
      const up = names.filter((name) => health[name]?.state === 'up');
      if (up.length === 0) assert.deepEqual(regions, names);
      else assert.ok(regions.length === 1 && up.includes(regions[0] as string), `${regions} of ${up}`);
    }),
    { numRuns: 2_000 },
  );
});

test('clients that share the bits of the scope are told the same', () => {
  const geo = fc.record({ places: places(near4), others: region }).map(geoOf);
  let narrow = 0;
  fc.assert(
    fc.property(fc.oneof(geo, policies), tables, near4, bytes4, (policy, health, told, noise) => {
      const { regions, scopeBits } = chooseRegions(policy, health, told, NOW_MS);
      if (scopeBits > told.bits) return; // the resolver has to tell more before it may keep it for more than it told
      if (scopeBits > 0) narrow += 1;
      // Another client: the same first bits, any behind them.
      const kept = networkOf(told, scopeBits).bytes;
      const free = networkOf(
        { family: 4, bytes: Uint8Array.of(255, 255, 255, 255), bits: 32 },
        scopeBits,
      ).bytes;
      const bytes = kept.map((byte, i) => byte | ((noise[i] as number) & ~(free[i] as number)));
      const other = networkOf({ family: 4, bytes, bits: 32 }, 32);
      assert.deepEqual(chooseRegions(policy, health, other, NOW_MS).regions, regions);
    }),
    { numRuns: 10_000 },
  );
  assert.ok(narrow > 500, `only ${narrow} answers depended on the client`);
});

test('latency: the nearest that is up', () => {
  const far = {
    ...table('uuu'),
    'us-east': health('up', 90),
    'eu-west': health('up', 5),
    'us-west': health('up', 45),
  };
  const { regions } = chooseRegions({ kind: 'latency' }, far, address('192.0.2.1'), NOW_MS);
  assert.deepEqual(regions, ['eu-west']);
  const without = { ...far, 'eu-west': health('down', 5) };
  assert.deepEqual(chooseRegions({ kind: 'latency' }, without, address('192.0.2.1'), NOW_MS).regions, [
    'us-west',
  ]);
});

test('failover: the first of the list that is up', () => {
  const policy: Policy = { kind: 'failover', order: ['eu-west', 'us-east', 'us-west'] };
  assert.equal(only(policy, 'uuu'), 'eu-west');
  assert.equal(only(policy, 'uud'), 'us-east');
  assert.equal(only(policy, 'dud'), 'us-west');
});

test('geo: the longest network that holds the client, else the region of all others; the nearest when it is down', () => {
  const policy: Policy = {
    kind: 'geo',
    places: sortedPlaces([
      { network: network('203.0.0.0/16'), region: 'us-west' },
      { network: network('203.0.113.0/24'), region: 'us-east' },
      { network: network('2001:db8::/32'), region: 'us-west' },
    ]),
    others: 'eu-west',
  };
  assert.equal(only(policy, 'uuu', '203.0.1.1'), 'us-west');
  assert.equal(only(policy, 'uuu', '203.0.113.9'), 'us-east');
  assert.equal(only(policy, 'uuu', '2001:db8::7'), 'us-west');
  assert.equal(only(policy, 'uuu', '192.0.2.1'), 'eu-west');
  assert.equal(only(policy, 'uud', '192.0.2.1'), 'us-east');
  const scope = (client: Network): number => chooseRegions(policy, table('uuu'), client, NOW_MS).scopeBits;
  assert.equal(scope(address('203.0.113.9')), 24);
  assert.equal(scope(address('203.0.1.1')), 18, 'two bits tell 1 from 113');
  assert.equal(scope(address('192.0.2.1')), 5, '192 and 203 differ in their fifth bit');
  assert.equal(scope(address('2001:db8::7')), 32);
  assert.equal(scope(network('203.0.0.0/16')), 24, 'the resolver tells too little');
});

test('weighted: the shares of many networks are the weights; a region that goes down moves its own clients alone', () => {
  const weights = { 'us-east': 5, 'us-west': 3, 'eu-west': 2, 'sa-east': 0 };
  const policy: Policy = { kind: 'weighted', weights };
  const counts: Record<string, number> = {};
  const many = 40_000;
  let moved = 0;
  for (let i = 0; i < many; i += 1) {
    const client = `${1 + (i >> 14)}.${(i >> 6) & 255}.${(i & 63) * 4}.7`;
    const told = only(policy, 'uuuu', client);
    counts[told] = (counts[told] ?? 0) + 1;
    const without = only(policy, 'uduu', client);
    if (told !== 'us-west') assert.equal(without, told);
    else moved += 1;
  }
  assert.ok(moved > 0);
  for (const [name, weight] of Object.entries(weights)) {
    const share = (counts[name] ?? 0) / many;
    // Five standard deviations of a share of 40,000 are 1.3 hundredths.
    assert.ok(Math.abs(share - weight / 10) < 0.013, `${name}: ${share}`);
  }
  assert.equal(only(policy, 'dddu'), 'sa-east', 'a weight of 0 serves when no other is up');
});

test('weighted: the same client is told the same within a slot, and is dealt again in the next', () => {
  const weights = Object.fromEntries(names.map((name) => [name, 1]));
  const policy: Policy = { kind: 'weighted', weights };
  let differ = 0;
  fc.assert(
    fc.property(bytes4, fc.nat(2 ** 40), fc.nat(255), fc.nat(SLOT_MS), (bytes, nowMs, last, laterMs) => {
      const client: Network = { family: 4, bytes, bits: 32 };
      const neighbour: Network = { ...client, bytes: Uint8Array.of(...bytes.subarray(0, 3), last) };
      const at = (who: Network, ms: number): string =>
        chooseRegions(policy, table('uuuu'), who, ms).regions[0] as string;
      const slot = (ms: number): number => slotOf(clientNetwork(client), ms);
      assert.equal(at(client, nowMs), at(neighbour, nowMs), 'a network is one client');
      if (slot(nowMs) === slot(nowMs + laterMs)) assert.equal(at(client, nowMs), at(client, nowMs + laterMs));
      assert.equal(slot(nowMs + SLOT_MS), slot(nowMs) + 1);
      if (at(client, nowMs) !== at(client, nowMs + SLOT_MS)) differ += 1;
    }),
    { numRuns: 1_000 },
  );
  assert.ok(differ > 650 && differ < 850, `${differ} of 1,000 were dealt another: three of four are to`);
});

test('weighted: networks change their slots one after another', () => {
  const before = NOW_MS;
  const changed = Array.from({ length: 1_000 }, (_, i) =>
    networkOf(address(`10.${i >> 2}.${(i & 3) * 9}.0`), 24),
  ).filter((client) => slotOf(client, before) !== slotOf(client, before + SLOT_MS / 10));
  assert.ok(changed.length > 60 && changed.length < 140, `${changed.length} of 1,000 in a tenth of a slot`);
});
