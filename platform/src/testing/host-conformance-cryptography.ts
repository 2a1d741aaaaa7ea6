/** What the cryptography of every host must do. */
import assert from 'node:assert/strict';
import { type Cases, hex } from './host-case.ts';

/** RFC 4231, section 4: key, data, HMAC-SHA-256 (case 5 is about truncation). */
const HMAC_VECTORS: readonly (readonly [key: string, data: string, mac: string])[] = [
  ['0b'.repeat(20), hex('Hi There'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  [
    hex('Jefe'),
    hex('what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  ['aa'.repeat(20), 'dd'.repeat(50), '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'],
  [
    '0102030405060708090a0b0c0d0e0f10111213141516171819',
    'cd'.repeat(50),
    '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  ],
  [
    'aa'.repeat(131),
    hex('Test Using Larger Than Block-Size Key - Hash Key First'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
  [
    'aa'.repeat(131),
    hex(
      'This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.',
    ),
    '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  ],
];

/** FIPS 180-2, appendix B, and the empty message. */
const SHA256_VECTORS: readonly (readonly [data: string, digest: string])[] = [
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  ['a'.repeat(1_000_000), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
];

export const cryptography: Cases = {
  async 'SHA-256 and HMAC-SHA-256 give the published vectors'({ crypto }) {
    for (const [data, digest] of SHA256_VECTORS) {
      assert.equal(hex(crypto.sha256(data)), digest);
      assert.equal(hex(crypto.sha256(Buffer.from(data))), digest);
    }
    for (const [key, data, mac] of HMAC_VECTORS) {
      assert.equal(hex(crypto.hmacSha256(Buffer.from(key, 'hex'), Buffer.from(data, 'hex'))), mac);
    }
  },

  async 'what was sealed opens with its key and its context, and with nothing else'({ crypto, random }) {
    const key = random.bytes(32);
    for (const plain of [new Uint8Array(0), Buffer.from('Ana Lima'), random.bytes(10_000)]) {
      const sealed = crypto.seal(key, plain, 'users/email');
      assert.equal(sealed.length, 12 + plain.length + 16);
      assert.equal(hex(crypto.open(key, sealed, 'users/email')), hex(plain));
      assert.equal(crypto.open(key, sealed, 'users/name'), null);
      assert.equal(crypto.open(random.bytes(32), sealed, 'users/email'), null);
    }
    const sealed = crypto.seal(key, Buffer.from('Ana Lima'), 'users/email');
    assert.notEqual(hex(crypto.seal(key, Buffer.from('Ana Lima'), 'users/email')), hex(sealed));
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = Uint8Array.from(sealed);
      changed[i] = (changed[i] as number) ^ 1;
      assert.equal(crypto.open(key, changed, 'users/email'), null, `byte ${i} was changed`);
    }
    for (const bytes of [0, 1, 27, sealed.length - 1]) {
      assert.equal(crypto.open(key, sealed.subarray(0, bytes), 'users/email'), null, `cut to ${bytes} bytes`);
    }
  },

  async 'argon2id depends on the password, the salt and the cost'({ crypto }) {
    const salt = Buffer.from('0123456789abcdef');
    const cost = { memoryKib: 64, passes: 1 };
    const digests = await Promise.all([
      crypto.argon2id('secret', salt, cost),
      crypto.argon2id('Secret', salt, cost),
      crypto.argon2id('secret', Buffer.from('0123456789abcdeF'), cost),
      crypto.argon2id('secret', salt, { ...cost, passes: 2 }),
      crypto.argon2id('secret', salt, { ...cost, memoryKib: 65 }),
    ]);
    assert.equal(new Set(digests.map(hex)).size, digests.length);
    for (const digest of digests) assert.equal(digest.length, 32);
    assert.equal(hex(await crypto.argon2id('secret', salt, cost)), hex(digests[0] as Uint8Array));
  },

  async 'equal compares content and length'({ crypto }) {
    assert.equal(crypto.equal(Buffer.from('abc'), Buffer.from('abc')), true);
    assert.equal(crypto.equal(Buffer.from('abc'), Buffer.from('abd')), false);
    assert.equal(crypto.equal(Buffer.from('abc'), Buffer.from('abcd')), false);
    assert.equal(crypto.equal(new Uint8Array(0), new Uint8Array(0)), true);
  },

  async 'each signing key is new, in PEM'({ crypto }) {
    const [one, two] = [crypto.newSigningKey(), crypto.newSigningKey()];
    assert.match(one.privatePem, /^-----BEGIN PRIVATE KEY-----\n[\w+/=]{64}\n-----END PRIVATE KEY-----\n$/);
    assert.match(one.publicPem, /^-----BEGIN PUBLIC KEY-----\n[\w+/=]{60}\n-----END PUBLIC KEY-----\n$/);
    assert.notEqual(one.privatePem, two.privatePem);
    assert.notEqual(one.publicPem, two.publicPem);
  },
};
