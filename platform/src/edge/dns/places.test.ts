import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { commonBits, type Network, networkOf, parseNetwork } from '../../base/ip.ts';
import { type Place, placeAt, sortedPlaces } from './places.ts';

/** Many inside of one another. */
const networks: fc.Arbitrary<Network> = fc
  .tuple(
    fc.constantFrom(4 as const, 6 as const),
    fc.array(fc.constantFrom(0, 1, 128, 255), { minLength: 16, maxLength: 16 }),
    fc.nat(32),
  )
  .map(([family, bytes, bits]) => {
    const own = Uint8Array.from(bytes.slice(0, family === 4 ? 4 : 16));
    return networkOf({ family, bytes: own, bits: own.length * 8 }, bits);
  });
const named = ({ family, bytes, bits }: Network): string => `${family} ${bytes} ${bits}`;

test('finds what a look at all places finds, and no fewer bits decide', () => {
  let inside = 0;
  const lists = fc.uniqueArray(networks, { maxLength: 40, selector: named });
  fc.assert(
    fc.property(lists, networks, (list, client) => {
      const places = list.map((network): Place => ({ network, region: named(network) }));
      const found = placeAt(sortedPlaces(places), client);
      let longest: Network | null = null;
      let bits = 0;
      let isTooShort = false;
      for (const { network } of places) {
        if (network.family !== client.family) continue;
        const common = commonBits(network, client);
        const holds = common === network.bits;
        if (holds && network.bits > (longest?.bits ?? -1)) longest = network;
        if (!holds && common === client.bits) isTooShort = true;
        else bits = Math.max(bits, holds ? network.bits : common + 1);
      }
      if (longest !== null) inside += 1;
      assert.equal(found.region, longest === null ? null : named(longest));
      if (isTooShort)
        assert.ok(found.scopeBits > client.bits, 'a place inside: the resolver has to tell more');
      else assert.equal(found.scopeBits, bits);
    }),
    { numRuns: 20_000 },
  );
  assert.ok(inside > 1_000, `only ${inside} clients were in a place`);
});

test('ten thousand networks inside of one another are no slower than the depth of an address', () => {
  const places = Array.from({ length: 10_000 }, (_, i): Place => {
    const network = parseNetwork(`10.${i >> 8}.${i & 255}.0/24`) as Network;
    return { network, region: String(i) };
  });
  places.push({ network: parseNetwork('0.0.0.0/0') as Network, region: 'all' });
  const sorted = sortedPlaces(places);
  let looked = 0;
  const counted = new Proxy(sorted[4], {
    get(target, key) {
      if (/^\d+$/.test(String(key))) looked += 1;
      return target[key as unknown as number];
    },
  });
  const client = parseNetwork('10.20.30.40/32') as Network;
  assert.deepEqual(placeAt({ 4: counted, 6: [] }, client), { region: String(20 * 256 + 30), scopeBits: 24 });
  assert.ok(looked < 20, `${looked} places looked at`);
});
