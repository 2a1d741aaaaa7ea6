/**
 * Passwords, as OWASP's Password Storage and Authentication cheat sheets and NIST SP 800-63B advise: Argon2id with
 * 19 MiB, two passes and one lane; stored as a PHC string that states its own parameters, so that they can grow
 * (`needsRehash` at the next sign-in). No composition rules: length, and a list of what attackers try first.
 *
 * A hash costs about 35 ms of a core. At most one a core runs, a bounded queue waits, and beyond it callers are told
 * `overloaded` with an estimate: cheap checks belong before this one. An unknown account costs the same hash as a
 * wrong password, so that time does not tell which addresses have accounts.
 */
import { CardumeError } from '../base/errors.ts';
import type { Argon2Cost } from '../host/cryptography.ts';
import type { Host } from '../host/host.ts';

export interface Passwords {
  /**
   * @returns a PHC string to store
   * @throws CardumeError `invalid-input` when the rules refuse it (path `/body/password`), `overloaded`
   */
  hash(password: string): Promise<string>;
  /**
   * @param stored PHC string, or null when the account does not exist: the work is done all the same
   * @throws CardumeError `overloaded`
   */
  verify(password: string, stored: string | null): Promise<PasswordVerdict>;
  /** Hashes that wait for a core. */
  readonly waiting: number;
}

export interface PasswordVerdict {
  readonly matches: boolean;
  /** It matches, but was stored with weaker parameters: hash it again and store that. */
  readonly needsRehash: boolean;
}

export interface PasswordOptions {
  /** Hashes that may wait; beyond it `overloaded`. */
  readonly passwordQueueMax: number;
  /** Default: OWASP's first choice. Tests state a cheap one. */
  readonly cost?: Argon2Cost;
}

export const OWASP_COST: Argon2Cost = { memoryKib: 19_456, passes: 2 };
export const PASSWORD_CHARS_MIN = 8;
export const PASSWORD_CHARS_MAX = 128;
const SALT_BYTES = 16;
/** A first guess for the estimate of waiting; replaced by what is measured. */
const HASH_MS_GUESS = 40;
/** No stored string may ask for more than this, whatever it says. */
const COST_MAX: Argon2Cost = { memoryKib: 262_144, passes: 10 };

/** What attackers try first, of eight characters and more (compared in lower case). */
const COMMON: ReadonlySet<string> = new Set(
  `password password1 password12 password123 password! passw0rd p@ssw0rd p@ssword 12345678 123456789 1234567890
  0123456789 87654321 987654321 11111111 00000000 88888888 12341234 11223344 12344321 123123123 147258369 1q2w3e4r
  1q2w3e4r5t 1qaz2wsx 1qazxsw2 qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234 asdfghjkl asdfasdf zxcvbnm1
  abcd1234 abcdefgh a1b2c3d4 abc12345 iloveyou iloveyou1 trustno1 sunshine princess football baseball superman
  batman123 starwars whatever computer internet welcome1 welcome123 letmein1 letmein123 changeme changeme1 admin123
  administrator default1 michelle jennifer charlie1 dragon123 monkey123 shadow123 master123 qazwsxedc
  senha123 mudar123 brasil123 flamengo corinthians palmeiras`.split(/\s+/),
);

/** The form that is hashed: NFKC, so that a password typed on another keyboard is the same password. */
export function normalPassword(password: string): string {
  return password.normalize('NFKC');
}

/** @returns what is expected instead, or null when the password is good enough */
export function passwordFault(password: string): string | null {
  if (!password.isWellFormed()) return 'expected text in valid Unicode';
  const normal = normalPassword(password);
  // Code points, as NIST counts them. UTF-16 units bound the work on a hostile input first.
  const chars = normal.length > 2 * PASSWORD_CHARS_MAX ? Number.POSITIVE_INFINITY : [...normal].length;
  if (chars < PASSWORD_CHARS_MIN || chars > PASSWORD_CHARS_MAX) {
    return `expected ${PASSWORD_CHARS_MIN} to ${PASSWORD_CHARS_MAX} characters`;
  }
  const lower = normal.toLowerCase();
  if (COMMON.has(lower) || new Set(lower).size < 3)
    return 'expected a password that is not among the most common ones';
  return null;
}

export function openPasswords(
  host: Pick<Host, 'clock' | 'random' | 'crypto' | 'env'>,
  options: PasswordOptions,
): Passwords {
  const cost = options.cost ?? OWASP_COST;
  const parallelMax = Math.max(1, host.env.cores);
  const waiting: (() => void)[] = [];
  let running = 0;
  let hashMs = HASH_MS_GUESS;
  /** Stands in for the stored hash of an account that does not exist; its password is random and forgotten. */
  const nobody = { cost, salt: host.random.bytes(SALT_BYTES), hash: host.random.bytes(32) };

  async function derive(password: string, salt: Uint8Array, by: Argon2Cost): Promise<Uint8Array> {
    if (running >= parallelMax) {
      if (waiting.length >= options.passwordQueueMax) {
        const retryAfterS = Math.ceil((waiting.length * hashMs) / parallelMax / 1000);
        throw new CardumeError('overloaded', 'too many sign-ins at once', {
          retryAfterS: Math.max(1, retryAfterS),
        });
      }
      await new Promise<void>((resolve) => waiting.push(resolve)); // the one who ends hands its place over
    } else {
      running += 1;
    }
    const startMs = host.clock.monotonicMs();
    try {
      return await host.crypto.argon2id(normalPassword(password), salt, by);
    } finally {
      hashMs = 0.9 * hashMs + 0.1 * (host.clock.monotonicMs() - startMs);
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  }

  return {
    get waiting() {
      return waiting.length;
    },
    async hash(password) {
      const message = passwordFault(password);
      if (message !== null) {
        throw new CardumeError('invalid-input', message, { faults: [{ path: '/body/password', message }] });
      }
      const salt = host.random.bytes(SALT_BYTES);
      return formatPhc({ cost, salt, hash: await derive(password, salt, cost) });
    },
    async verify(password, stored) {
      const known = stored === null ? nobody : parsePhc(stored);
      // Over-long input never was a password: it is hashed cut, and does not match.
      const isPossible = password.length <= 2 * PASSWORD_CHARS_MAX;
      const candidate = isPossible ? password : password.slice(0, PASSWORD_CHARS_MAX);
      const equal = host.crypto.equal(await derive(candidate, known.salt, known.cost), known.hash);
      const matches = equal && isPossible && stored !== null;
      const weaker = known.cost.memoryKib < cost.memoryKib || known.cost.passes < cost.passes;
      return { matches, needsRehash: matches && weaker };
    },
  };
}

interface Phc {
  readonly cost: Argon2Cost;
  readonly salt: Uint8Array;
  readonly hash: Uint8Array;
}

const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=1\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43})$/;

/** The password hashing competition's string: `$argon2id$v=19$m=…,t=…,p=1$salt$hash`, base 64 without padding. */
export function formatPhc({ cost, salt, hash }: Phc): string {
  const text = (bytes: Uint8Array): string => bytes.toBase64({ omitPadding: true });
  return `$argon2id$v=19$m=${cost.memoryKib},t=${cost.passes},p=1$${text(salt)}$${text(hash)}`;
}

/** @throws Error: a stored hash that cannot be read is a bug or damage, not a wrong password */
export function parsePhc(stored: string): Phc {
  const match = PHC.exec(stored);
  if (match === null) throw new Error('a stored password hash is not an Argon2id PHC string of this house');
  const [, memory, passes, salt, hash] = match as unknown as [string, string, string, string, string];
  const cost = { memoryKib: Number(memory), passes: Number(passes) };
  if (cost.memoryKib > COST_MAX.memoryKib || cost.passes > COST_MAX.passes) {
    throw new Error('a stored password hash asks for more work than any of ours does');
  }
  return { cost, salt: Uint8Array.fromBase64(salt), hash: Uint8Array.fromBase64(hash) };
}
