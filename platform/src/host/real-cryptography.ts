import {
  argon2,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hash,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type { Cryptography } from './cryptography.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SIGNING_SEED_BYTES = 32;
/** An Ed25519 private key in PKCS#8 (RFC 8410, section 7) up to its 32 bytes. */
const SIGNING_KEY_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Everything but randomness is a function of its arguments: the simulated host shares it. */
export function cryptographyOver(bytes: (count: number) => Uint8Array): Cryptography {
  return {
    sha256: (data) => hash('sha256', data, 'buffer'),
    hmacSha256: (key, data) => createHmac('sha256', key).update(data).digest(),
    seal(key, plain, context) {
      const nonce = bytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open(key, sealed, context) {
      if (sealed.length < NONCE_BYTES + TAG_BYTES) return null;
      const end = sealed.length - TAG_BYTES;
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(end));
      try {
        return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
      } catch {
        return null; // the tag does not fit: wrong key or context, or changed bytes
      }
    },
    argon2id(password, salt, cost) {
      return new Promise((resolve, reject) => {
        argon2(
          'argon2id',
          {
            message: password,
            nonce: salt,
            parallelism: 1,
            tagLength: 32,
            memory: cost.memoryKib,
            passes: cost.passes,
          },
          (error, key) => (error === null ? resolve(key) : reject(error)),
        );
      });
    },
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
    newSigningKey() {
      // An Ed25519 private key is 32 random bytes (RFC 8032, section 5.1.5).
      const der = Buffer.concat([SIGNING_KEY_HEAD, bytes(SIGNING_SEED_BYTES)]);
      const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
      return {
        privatePem: key.export({ format: 'pem', type: 'pkcs8' }) as string,
        publicPem: createPublicKey(key).export({ format: 'pem', type: 'spki' }) as string,
      };
    },
  };
}

export const realCryptography: Cryptography = cryptographyOver((count) => randomBytes(count));
