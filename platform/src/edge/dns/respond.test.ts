/** The protocol, byte by byte: what is said to each kind of message. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import config from '../../../../cardume.config.ts';
import { type Network, parseAddress } from '../../base/ip.ts';
import type { DnsTopology } from '../../topology/topology.ts';
import { parseTopology } from '../../topology/validate.ts';
import type { HealthTable } from '../health.ts';
import {
  health,
  nameBytes,
  queryOf,
  type Reply,
  replyOf,
  subnetOption,
  type Wanted,
} from './messages.fixture.ts';
import { respond, serverFailure } from './respond.ts';
import { type Zone, zoneOf } from './zone.ts';

const SERIAL = 1_800_000_000;
const addresses = {
  'us-east': ['198.51.100.1', '2001:db8:1::1', '198.51.100.2'],
  'us-west': ['198.51.100.9', '2001:db8:2::1'],
  'eu-west': ['203.0.113.1', '2001:db8:3::1'],
};
const base: DnsTopology = {
  host: '192.0.2.53',
  port: 8053,
  zone: 'cardume.test',
  name: 'shop.eu',
  policy: 'latency',
  ttlS: 7,
  addresses,
};
function zone(changes: Partial<DnsTopology> = {}): Zone {
  const topology = parseTopology({ ...config, edge: { ...config.edge, dns: { ...base, ...changes } } });
  return zoneOf(topology, topology.edge.dns as DnsTopology, SERIAL);
}
const up: HealthTable = {
  'us-east': health('up', 5),
  'us-west': health('up', 50),
  'eu-west': health('up', 90),
};
const down: HealthTable = { 'us-east': health('down'), 'us-west': health('down'), 'eu-west': health('down') };
const resolver = parseAddress('192.0.2.77') as Network;

interface Given {
  readonly zone?: Zone;
  readonly table?: HealthTable;
  readonly transport?: 'udp' | 'tcp';
  readonly isLimited?: boolean;
}
const latency = zone();
function answered(message: Uint8Array, given: Given = {}): Uint8Array | null {
  return respond(given.zone ?? latency, message, given.table ?? up, {
    transport: given.transport ?? 'udp',
    address: resolver,
    nowMs: SERIAL * 1000,
    isLimited: given.isLimited ?? false,
  });
}
const NAME = 'shop.eu.cardume.test';
const ask = (wanted: Wanted, given: Given = {}): Reply =>
  replyOf(answered(queryOf({ name: NAME, ...wanted }), given));
const shown = (reply: Reply): string[] => reply.answers.map(({ data }) => [...data].join('.'));
/** QR, AA and the RD that was asked. */
const AUTHORITATIVE = 0x8500;

describe('the service', () => {
  test('A and AAAA: all addresses of the region, in their order, with the TTL of the topology', () => {
    const four = ask({ type: 1 });
    assert.equal(four.flags, AUTHORITATIVE);
    assert.equal(four.id, 0x1234);
    assert.deepEqual(shown(four), ['198.51.100.1', '198.51.100.2']);
    for (const { name, type, class: cls, ttl } of four.answers)
      assert.deepEqual([name, type, cls, ttl], [NAME, 1, 1, 7]);
    const six = ask({ type: 28 });
    assert.deepEqual(
      six.answers.map(({ data }) => data.toString('hex')),
      ['20010db8000100000000000000000001'],
    );
    assert.equal(six.opt, null, 'no EDNS for who did not ask with it');
  });

  test('TXT names the region', () => {
    assert.equal(ask({ type: 16 }).answers[0]?.data.toString(), '\x0eregion=us-east\x09port=8081');
  });

  test('health decides at once; with no region up, all are told', () => {
    assert.deepEqual(shown(ask({}, { table: { ...up, 'us-east': health('down') } })), ['198.51.100.9']);
    assert.deepEqual(shown(ask({}, { table: down })), [
      '198.51.100.1',
      '198.51.100.2',
      '198.51.100.9',
      '203.0.113.1',
    ]);
    assert.equal(ask({ type: 16 }, { table: down }).answers.length, 3);
  });

  test('an address that regions share is told once', () => {
    const one = ['192.0.2.1'];
    const shared = zone({ addresses: { 'us-east': one, 'us-west': one, 'eu-west': one } });
    assert.deepEqual(shown(ask({}, { zone: shared, table: down })), one);
  });

  test('letters are equal in both cases, and come back as they were asked', () => {
    const reply = ask({ name: 'sHoP.Eu.CARDUME.test' });
    assert.equal(reply.question, 'sHoP.Eu.CARDUME.test');
    assert.deepEqual(
      reply.answers.map(({ name }) => name),
      Array(2).fill('sHoP.Eu.CARDUME.test'),
    );
    assert.equal(ask({ name: 'SHOP.eu.cardume.TEST', type: 99 }).authority[0]?.name, 'cardume.TEST');
  });

  test('every letter has both cases', () => {
    const letters = 'abcdefghijklmnopqrstuvwxyz.cardume.test';
    const own = zone({ name: 'abcdefghijklmnopqrstuvwxyz' });
    assert.equal(ask({ name: letters.toUpperCase() }, { zone: own }).answers.length, 2);
  });

  test('may be the zone itself', () => {
    const { name: _, ...apex } = base;
    const topology = parseTopology({ ...config, edge: { ...config.edge, dns: apex } });
    const at = { zone: zoneOf(topology, apex, SERIAL) };
    assert.deepEqual(shown(ask({ name: 'cardume.test' }, at)), ['198.51.100.1', '198.51.100.2']);
    assert.equal(ask({ name: 'cardume.test', type: 6 }, at).answers.length, 1);
    assert.equal(ask({ name: 'shop.cardume.test' }, at).rcode, 3);
  });
});

describe('the zone', () => {
  test('SOA and NS of the zone, the server`s own address', () => {
    const soa = ask({ name: 'cardume.test', type: 6 }).answers[0] as Reply['answers'][number];
    const names = Buffer.from([...nameBytes('ns.cardume.test'), ...nameBytes('hostmaster.cardume.test')]);
    assert.deepEqual(soa.data.subarray(0, names.length), names);
    const numbers = [0, 4, 8, 12, 16].map((at) => soa.data.readUInt32BE(names.length + at));
    assert.deepEqual(numbers, [SERIAL, 86_400, 7_200, 3_600_000, 7]);
    assert.equal(soa.ttl, 3_600);
    const ns = ask({ name: 'cardume.test', type: 2 });
    assert.deepEqual(
      ns.answers.map(({ data }) => [...data]),
      [nameBytes('ns.cardume.test')],
    );
    assert.deepEqual(
      ns.additional.map(({ name, data }) => [name, ...data]),
      [['ns.cardume.test', 192, 0, 2, 53]],
    );
    assert.deepEqual(shown(ask({ name: 'ns.cardume.test' })), ['192.0.2.53']);
  });

  test('NODATA and NXDOMAIN bring the SOA, which says for how long', () => {
    const known: [string, number][] = [
      [NAME, 15],
      ['cardume.test', 1],
      ['cardume.test', 43],
      ['ns.cardume.test', 28],
      ['eu.cardume.test', 1],
    ];
    for (const [name, type] of known) {
      const reply = ask({ name, type });
      assert.deepEqual([reply.flags, reply.answers.length], [AUTHORITATIVE, 0], `${name} ${type}`);
      assert.deepEqual(
        reply.authority.map(({ name, type, ttl }) => [name, type, ttl]),
        [['cardume.test', 6, 7]],
      );
    }
    for (const name of [
      'shop.cardume.test',
      'a.shop.eu.cardume.test',
      'xeu.cardume.test',
      'x.ns.cardume.test',
    ]) {
      const reply = ask({ name });
      assert.deepEqual([reply.rcode, reply.flags & 0x0400, reply.authority.length], [3, 0x0400, 1], name);
    }
  });

  test('REFUSED outside of it, for other classes and for transfers', () => {
    for (const name of ['', 'test', 'example.com', 'xcardume.test', 'cardume.test.com']) {
      const reply = ask({ name });
      assert.deepEqual([reply.flags, reply.authority.length], [0x8105, 0], name);
    }
    // A label that contains what looks like the zone is not in it.
    assert.equal(ask({ name: 'abc\x07cardume\x04test' }).rcode, 5);
    assert.equal(ask({ class: 3 }).rcode, 5);
    assert.equal(ask({ type: 252, name: 'cardume.test' }).rcode, 5);
    const soa = [0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0];
    assert.equal(ask({ type: 251, name: 'cardume.test', counts: [1, 0, 1, 0], tail: soa }).rcode, 5);
  });

  test('ANY is answered with HINFO alone (RFC 8482): nobody is sent more than he asked with', () => {
    const query = queryOf({ name: NAME, type: 255 });
    const reply = replyOf(answered(query));
    assert.deepEqual(
      reply.answers.map(({ type, data }) => [type, data.toString()]),
      [[13, '\x07RFC8482\x00']],
    );
    assert.ok((answered(query) as Uint8Array).length < 2 * query.length);
    assert.equal(ask({ name: 'nothing.cardume.test', type: 255 }).rcode, 3);
  });
});

describe('what is not a query', () => {
  test('answers, and messages without a whole header, are not answered', () => {
    assert.equal(answered(queryOf({ flags: 0x8100 })), null);
    for (let length = 0; length < 12; length += 1)
      assert.equal(answered(queryOf({}).subarray(0, length)), null);
  });

  test('NOTIMP for other operations, which it repeats', () => {
    for (const opcode of [1, 2, 4, 5, 6, 15]) {
      const reply = ask({ flags: opcode << 11 });
      assert.deepEqual([reply.flags, reply.question], [0x8000 | (opcode << 11) | 4, null]);
    }
  });

  test('FORMERR for what cannot be read', () => {
    const opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    const faulty: Record<string, Wanted> = {
      'no question': { counts: [0, 0, 0, 0] },
      'two questions': { counts: [2, 0, 0, 0], tail: [...nameBytes(NAME), 0, 1, 0, 1] },
      'a second question that is not there': { counts: [2, 0, 0, 0] },
      'an answer in a query that is not there': { counts: [1, 1, 0, 0] },
      'an answer in a query': { counts: [1, 1, 0, 0], tail: [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0] },
      'authority in a query': { counts: [1, 0, 1, 0], tail: [0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0] },
      'bytes behind the end': { tail: [0] },
      'a record that is not there': { counts: [1, 0, 0, 1] },
      'a record cut short': { counts: [1, 0, 0, 1], tail: [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 9] },
      'two OPT': { edns: {}, counts: [1, 0, 0, 2], tail: opt },
      'OPT with a name': { counts: [1, 0, 0, 1], tail: [1, 97, ...opt] },
      'an option cut short': { edns: { options: [0, 10, 0, 9, 1] } },
      'half an option': { edns: { options: [0, 10, 0] } },
      'OPT asked for': { type: 41 },
      'far too many records': {
        counts: [1, 0, 0, 9],
        tail: Array.from({ length: 9 }, () => opt.with(2, 99)).flat(),
      },
    };
    for (const [what, wanted] of Object.entries(faulty)) assert.equal(ask(wanted).rcode, 1, what);
  });

  test('FORMERR for names that are cut, too long, or point', () => {
    const head = [...queryOf({}).subarray(0, 12)];
    const end = [0, 1, 0, 1];
    const label = (length: number): number[] => [length, ...new Array<number>(length).fill(97)];
    const four = [...label(63), ...label(63), ...label(63)];
    const named = (name: readonly number[]): Reply =>
      replyOf(answered(Buffer.from([...head, ...name, ...end])));
    assert.equal(named([...four, ...label(61), 0]).rcode, 5, '255 bytes are a name');
    assert.equal(named([...four, ...label(62), 0]).rcode, 1);
    for (const name of [[0xc0, 12], [0x41, 97, 0], [0x80, 97, 0], [3, 97, 97], [...label(64), 0], []])
      assert.equal(named(name).rcode, 1, String(name));
    assert.equal(replyOf(answered(Buffer.from(head))).rcode, 1);
  });

  test('a failure of the server`s own is told with the id of the query', () => {
    const reply = replyOf(serverFailure(queryOf({})));
    assert.deepEqual([reply.id, reply.rcode], [0x1234, 2]);
    assert.equal(serverFailure(new Uint8Array(11)), null);
  });
});

describe('EDNS', () => {
  test('is answered with EDNS: version 0, what fits over UDP, and the DO bit back', () => {
    const reply = ask({ edns: { bytes: 4_096 } });
    assert.deepEqual(
      [reply.opt?.name, reply.opt?.class, reply.opt?.ttl, reply.opt?.data.length],
      ['', 1_232, 0, 0],
    );
    const secure = queryOf({ name: NAME, edns: {} });
    secure[secure.length - 4] = 0x80;
    assert.equal(replyOf(answered(secure)).opt?.ttl, 0x8000);
    assert.equal(
      ask({ edns: { options: [0, 10, 0, 2, 1, 2, 0xff, 0xfe, 0, 0] } }).rcode,
      0,
      'unknown options',
    );
    assert.equal(ask({ name: 'example.com', edns: {} }).opt?.class, 1_232);
  });

  test('BADVERS for versions to come', () => {
    const reply = ask({ edns: { version: 1, options: [9] } });
    assert.deepEqual([reply.rcode, reply.answers.length, (reply.opt?.ttl ?? 0) >>> 16], [16, 0, 0x0100]);
  });

  test('records beside it are read over, names that point too', () => {
    const other = [0xc0, 12, 0, 250, 0, 255, 0, 0, 0, 0, 0, 3, 1, 2, 3];
    assert.equal(ask({ counts: [1, 0, 0, 2], edns: {}, tail: other }).answers.length, 2);
  });
});

describe('the client`s network', () => {
  const geo = zone({
    policy: 'geo',
    networks: { '203.0.113.0/24': 'us-west', '203.0.0.0/16': 'ES', '2001:db8::/32': 'us-west' },
  });
  const from = (option: readonly number[], given: Given = { zone: geo }): Reply =>
    ask({ edns: { options: option } }, given);

  test('decides instead of the resolver`s; the answer says how much of it', () => {
    const inside = from(subnetOption(1, 24, [203, 0, 113]));
    assert.deepEqual([shown(inside), inside.scope], [['198.51.100.9'], 24]);
    assert.deepEqual(
      [...(inside.opt?.data ?? [])],
      [0, 8, 0, 7, 0, 1, 24, 24, 203, 0, 113],
      'as it was told, and the scope',
    );
    const beside = from(subnetOption(1, 24, [203, 0, 0]));
    assert.deepEqual([shown(beside), beside.scope], [['203.0.113.1'], 18]);
    const six = from(subnetOption(2, 48, [0x20, 1, 0x0d, 0xb8, 0, 9]));
    assert.deepEqual([shown(six), six.scope], [['198.51.100.9'], 32]);
  });

  test('may lie in a place by its country, listed by a region or not', () => {
    const places = zone({ policy: 'geo', networks: { '203.0.113.0/24': 'JP', '198.18.0.0/15': 'XX' } });
    const japan = from(subnetOption(1, 24, [203, 0, 113]), { zone: places });
    assert.deepEqual(shown(japan), ['198.51.100.9']);
    assert.deepEqual(
      shown(from(subnetOption(1, 15, [198, 18]), { zone: places })),
      ['203.0.113.1'],
      'the region of *',
    );
  });

  test('is not needed by answers that are the same for all', () => {
    assert.equal(from(subnetOption(1, 24, [203, 0, 113]), {}).scope, 0);
    assert.equal(from(subnetOption(1, 24, [203, 0, 113]), { zone: geo, table: down }).scope, 0);
    assert.equal(
      ask({ name: 'x.cardume.test', edns: { options: subnetOption(1, 8, [9]) } }, { zone: geo }).scope,
      0,
    );
    assert.equal(ask({ edns: {} }, { zone: geo }).scope, null, 'nothing is said of what was not told');
  });

  test('may be kept back', () => {
    for (const family of [0, 1, 2]) {
      const reply = from(subnetOption(family, 0, []));
      assert.deepEqual([shown(reply), reply.scope], [['203.0.113.1'], 0]);
      assert.equal(reply.opt?.data.readUInt16BE(4), family);
    }
  });

  test('FORMERR for what is none (RFC 7871, section 6)', () => {
    const faulty: Record<string, readonly number[]> = {
      'too few bytes': subnetOption(1, 24, [203, 0]),
      'too many bytes': subnetOption(1, 24, [203, 0, 113, 0]),
      'bits behind the prefix': subnetOption(1, 17, [203, 0, 113]),
      'a prefix that is too long': subnetOption(1, 33, [203, 0, 113, 1, 0]),
      'an unknown family': subnetOption(3, 8, [203]),
      'family 0 with a prefix': subnetOption(0, 8, [203]),
      'a scope in a query': subnetOption(1, 24, [203, 0, 113], 24),
      'an empty option': [0, 8, 0, 0],
      twice: [...subnetOption(1, 8, [203]), ...subnetOption(1, 8, [203])],
    };
    for (const [what, option] of Object.entries(faulty)) {
      const reply = from(option);
      assert.deepEqual([reply.rcode, reply.opt], [1, null], what);
    }
  });
});

describe('what does not fit', () => {
  /** 8 addresses of both versions in each region: 3 × 8 × 28 bytes of AAAA with all down. */
  const eight = (of: number): string[] => Array.from({ length: 8 }, (_, i) => `2001:db8:${of}::${i + 1}`);
  const wide = zone({ addresses: { 'us-east': eight(1), 'us-west': eight(2), 'eu-west': eight(3) } });
  const given: Given = { zone: wide, table: down };

  test('is cut over UDP: the question alone, marked; 512 bytes without EDNS, up to 1,232 with it', () => {
    const cut = ask({ type: 28 }, given);
    assert.deepEqual([cut.flags & 0x0200, cut.question, cut.answers.length], [0x0200, NAME, 0]);
    assert.equal(ask({ type: 28, edns: { bytes: 700 } }, given).flags & 0x0200, 0x0200);
    assert.equal(ask({ type: 28, edns: { bytes: 700 } }, given).opt?.class, 1_232);
    assert.equal(ask({ type: 28, edns: { bytes: 1_232 } }, given).answers.length, 24);
    assert.equal(ask({ type: 28, edns: { bytes: 20 } }).answers.length, 1, 'less than 512 means 512');
    assert.equal(ask({ type: 28 }, { ...given, transport: 'tcp' }).answers.length, 24);
    const bare = answered(queryOf({ name: NAME, type: 28 }), given) as Uint8Array;
    assert.ok(bare.length <= 512);
  });

  test('never exceeds 1,232 bytes, whatever the client says that it takes', () => {
    const regions = Object.fromEntries(
      Array.from({ length: 6 }, (_, i) => [
        `r${i}`,
        {
          ...config.regions['us-east'],
          code: i + 1,
          port: 100 + i,
          peerPort: 200 + i,
          countries: i === 0 ? ['*'] : [],
        },
      ]),
    );
    const dns = {
      ...base,
      addresses: Object.fromEntries(Object.keys(regions).map((name, i) => [name, eight(i)])),
    };
    const topology = parseTopology({ ...config, regions, edge: { ...config.edge, dns } });
    const table = Object.fromEntries(Object.keys(regions).map((name) => [name, health('down')]));
    const reply = ask({ type: 28, edns: { bytes: 65_535 } }, { zone: zoneOf(topology, dns, SERIAL), table });
    assert.deepEqual([reply.flags & 0x0200, reply.answers.length], [0x0200, 0]);
  });

  test('a client that asks too much is told to come by TCP', () => {
    const limited = ask({}, { isLimited: true });
    assert.deepEqual([limited.flags & 0x0200, limited.answers.length, limited.question], [0x0200, 0, NAME]);
  });
});
