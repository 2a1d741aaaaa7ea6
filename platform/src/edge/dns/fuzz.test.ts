/** Malformed packets: seeded changes of good ones. `CARDUME_CASES=10` tries ten times as many. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import config from '../../../../cardume.config.ts';
import { type Network, parseAddress } from '../../base/ip.ts';
import { health, nameBytes, queryOf, replyOf, subnetOption } from './messages.fixture.ts';
import { respond } from './respond.ts';
import { zoneOf } from './zone.ts';

const dns = {
  port: 1,
  zone: 'cardume.test',
  name: 'shop',
  policy: 'weighted',
  weights: { 'us-east': 1, 'us-west': 1, 'eu-west': 1 },
} as const;
const zone = zoneOf({ ...config, edge: { ...config.edge, dns } }, dns, 1);
const address = parseAddress('192.0.2.1') as Network;
const cases = 20_000 * Number(process.env['CARDUME_CASES'] ?? 1);

const good = fc.constantFrom(
  queryOf({}),
  queryOf({ type: 28, edns: {} }),
  queryOf({ type: 16, edns: { options: subnetOption(1, 24, [203, 0, 113]) } }),
  queryOf({
    type: 255,
    edns: { options: [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, ...subnetOption(2, 56, [1, 2, 3, 4, 5, 6, 7])] },
  }),
  queryOf({
    name: 'cardume.test',
    type: 6,
    counts: [1, 0, 0, 2],
    edns: {},
    tail: [0xc0, 12, 0, 250, 0, 255, 0, 0, 0, 0, 0, 1, 9],
  }),
  queryOf({ name: 'x.y.z.cardume.test' }),
  queryOf({ name: '', type: 2 }),
  queryOf({ edns: { version: 1 } }),
);
type Change = (message: Buffer) => Buffer;
const at = (message: Buffer, where: number): number => Math.floor(where * message.length);
const where = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
/** Most of the header stays: without it there is nothing to read. */
const cut = fc.double({ min: 0.3, max: 1, maxExcluded: true, noNaN: true });
const byte = fc.oneof(fc.constantFrom(0, 1, 12, 41, 63, 64, 0x80, 0xc0, 0xc1, 0xff), fc.nat(255));
const changes: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(where, byte).map(
    ([place, value]): Change =>
      (m) => {
        const changed = Buffer.from(m);
        if (changed.length > 0) changed[at(m, place)] = value;
        return changed;
      },
  ),
  cut.map(
    (place): Change =>
      (m) =>
        m.subarray(0, at(m, place)),
  ),
  fc.tuple(where, fc.uint8Array({ maxLength: 20 })).map(
    ([place, more]): Change =>
      (m) =>
        Buffer.concat([m.subarray(0, at(m, place)), more, m.subarray(at(m, place))]),
  ),
  fc.tuple(where, where).map(
    ([one, other]): Change =>
      (m) =>
        Buffer.concat([m.subarray(0, at(m, one)), m.subarray(at(m, other))]),
  ),
  fc.uint8Array({ maxLength: 600 }).map(
    (more): Change =>
      (m) =>
        Buffer.concat([m, more]),
  ),
);
const packets = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .tuple(good, fc.array(changes, { minLength: 1, maxLength: 5 }))
      .map(([m, all]) => all.reduce((now, change) => change(now), m)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
);

test('no packet makes the server throw, and whatever it says is a whole answer to that packet', () => {
  const seen: Record<string, number> = {};
  fc.assert(
    fc.property(
      packets,
      fc.constantFrom('udp', 'tcp'),
      fc.constantFrom('up', 'down'),
      (packet, transport, state) => {
        const table = { 'us-east': health(state), 'us-west': health(state), 'eu-west': health('down') };
        const before = Buffer.from(packet);
        const bytes = respond(zone, packet, table, { transport, address, nowMs: 1, isLimited: false });
        assert.deepEqual(packet, before, 'it is not changed');
        if (bytes === null) {
          assert.ok(packet.length < 12 || (packet[2] as number) >= 0x80);
          seen['none'] = (seen['none'] ?? 0) + 1;
          return;
        }
        const reply = replyOf(bytes);
        seen[reply.rcode] = (seen[reply.rcode] ?? 0) + 1;
        assert.equal(reply.id, packet.readUInt16BE(0));
        assert.equal(reply.flags & 0x8000, 0x8000);
        assert.equal(reply.flags & 0x00f0, 0, 'no recursion, nothing reserved');
        assert.ok(bytes.length <= 512);
        if (reply.question !== null)
          assert.deepEqual(
            Buffer.from(bytes).subarray(12, 12 + nameBytes(reply.question).length),
            packet.subarray(12, 12 + nameBytes(reply.question).length),
          );
      },
    ),
    { numRuns: cases, seed: 20_260, endOnFailure: false },
  );
  for (const outcome of ['none', '0', '1', '3', '4', '5', '16'])
    assert.ok(
      (seen[outcome] ?? 0) > cases / 1_000,
      `the changes reach every outcome: ${JSON.stringify(seen)}`,
    );
});
