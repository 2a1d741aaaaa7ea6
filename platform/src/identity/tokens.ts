/**
 * Access tokens: JWTs signed with Ed25519 (RFC 8037), and with nothing else. Verifying one costs about 100 µs, so
 * tokens that were verified are kept in a bounded cache; time is checked again at every use.
 *
 * A token is self-contained and lives until its `exp`: it cannot be revoked, so its life is short (an hour).
 * A key is retired by signing with a new one and still trusting the old one for the longest life.
 */
import { createSigner, createVerifier } from 'fast-jwt';
import { LRUCache } from 'lru-cache';
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Former, Principal } from './principal.ts';

export interface TokenOptions {
  /** Ed25519 pair as PEM, such as `host.crypto.newSigningKey()` gives. */
  readonly key: { readonly privatePem: string; readonly publicPem: string };
  /** Further public keys (PEM) whose tokens are taken: other regions' keys, and the key before this one. */
  readonly trustedPems?: readonly string[];
  /** `iss` of our tokens; tokens of another issuer are refused. */
  readonly issuer: string;
  readonly lifetimeS?: number;
  readonly tokensCachedMax: number;
}

export interface Tokens {
  /** @throws Error for the anonymous principal: it has no token */
  issue(principal: Principal): IssuedToken;
  /** The principal of a token that was verified before and still holds; undefined when it has to be verified. */
  cached(token: string): Principal | undefined;
  /** @throws CardumeError `invalid-token`, `expired-token` */
  verify(token: string): Principal;
  readonly lifetimeS: number;
}

export interface IssuedToken {
  readonly token: string;
  readonly expiresInS: number;
}

export const TOKEN_LIFETIME_S = 3600;
/** The longest token that is looked at; ours have about 320 characters. */
const TOKEN_CHARS_MAX = 1024;
/** Clocks of instances may differ by so much. */
const CLOCK_SKEW_S = 5;
/** No token, ours or another region's, may live longer. */
const LIFETIME_S_MAX = 24 * 3600;
const SUBJECT_CHARS_MAX = 64;
const FORMER_IDS_MAX = 16;

interface Verified {
  readonly principal: Principal;
  readonly expiresS: number;
}

export function openTokens(host: Pick<Host, 'clock'>, options: TokenOptions): Tokens {
  const lifetimeS = options.lifetimeS ?? TOKEN_LIFETIME_S;
  if (lifetimeS > LIFETIME_S_MAX)
    throw new Error(`lifetimeS is ${lifetimeS}: expected at most ${LIFETIME_S_MAX}`);
  const nowS = (): number => Math.floor(host.clock.nowMs() / 1000);
  const sign = createSigner({ key: options.key.privatePem, algorithm: 'EdDSA' });
  // Times are checked below with the host's clock: fast-jwt would fix its time when the verifier is made. It is given
  // one all the same, or it would read the machine's clock and leave the result unused.
  const verifiers = [options.key.publicPem, ...(options.trustedPems ?? [])].map((key) =>
    createVerifier({
      key,
      algorithms: ['EdDSA'],
      allowedIss: options.issuer,
      requiredClaims: ['iss', 'sub', 'role', 'iat', 'exp'],
      checkTyp: 'JWT',
      ignoreExpiration: true,
      ignoreNotBefore: true,
      clockTimestamp: 1,
      cache: false,
    }),
  );
  const verified = new LRUCache<string, Verified>({ max: options.tokensCachedMax });

  const holds = (token: Verified): boolean => nowS() < token.expiresS;

  return {
    lifetimeS,
    issue(principal) {
      if (principal.role === 'anonymous') throw new Error('the anonymous principal has no token');
      const iat = nowS();
      const token = sign({
        iss: options.issuer,
        sub: principal.id,
        role: principal.role,
        ...(principal.former === undefined ? {} : { former: principal.former }),
        iat,
        exp: iat + lifetimeS,
      });
      return { token, expiresInS: lifetimeS };
    },
    cached(token) {
      const known = verified.get(token);
      return known !== undefined && holds(known) ? known.principal : undefined;
    },
    verify(token) {
      const known = verified.get(token);
      if (known !== undefined && holds(known)) return known.principal;
      if (token.length > TOKEN_CHARS_MAX) {
        throw new CardumeError(
          'invalid-token',
          `expected an access token of at most ${TOKEN_CHARS_MAX} characters`,
        );
      }
      const fresh = verifiedOf(claimsOf(token, verifiers), nowS());
      if (!holds(fresh)) {
        verified.delete(token);
        throw new CardumeError('expired-token', 'the access token has expired');
      }
      verified.set(token, fresh);
      return fresh.principal;
    },
  };
}

/** The claims under a signature that one of the keys made. */
function claimsOf(
  token: string,
  verifiers: readonly ((token: string) => unknown)[],
): Record<string, unknown> {
  let refusal: unknown;
  for (const verify of verifiers) {
    try {
      return verify(token) as Record<string, unknown>;
    } catch (error) {
      refusal ??= error; // another key may have signed it
    }
  }
  // What exactly is wrong is the forger's business, not ours: one text for all.
  throw new CardumeError('invalid-token', 'the access token is not one of ours', { cause: refusal });
}

function verifiedOf(claims: Record<string, unknown>, nowS: number): Verified {
  const { sub, role, former, iat, exp, nbf } = claims;
  if (!isId(sub)) throw misfit('sub');
  if (role !== 'customer' && role !== 'staff') throw misfit('role');
  if (former !== undefined && !isFormer(former)) throw misfit('former');
  if (!isTime(iat) || iat > nowS + CLOCK_SKEW_S) throw misfit('iat');
  if (!isTime(exp) || exp <= iat || exp - iat > LIFETIME_S_MAX) throw misfit('exp');
  if (nbf !== undefined && (!isTime(nbf) || nbf > nowS + CLOCK_SKEW_S)) throw misfit('nbf');
  const principal = { id: sub, role, ...(former === undefined ? {} : { former }) } as const;
  return { principal: Object.freeze(principal), expiresS: exp };
}

function isId(claim: unknown): claim is string {
  return typeof claim === 'string' && claim !== '' && claim.length <= SUBJECT_CHARS_MAX;
}

function isFormer(claim: unknown): claim is Former {
  if (typeof claim !== 'object' || claim === null) return false;
  const { ids, leftMs } = claim as Record<string, unknown>;
  return Array.isArray(ids) && ids.length <= FORMER_IDS_MAX && ids.every(isId) && isTime(leftMs);
}

function isTime(claim: unknown): claim is number {
  return Number.isSafeInteger(claim) && (claim as number) > 0;
}

function misfit(claim: string): CardumeError {
  return new CardumeError('invalid-token', `the access token's claim '${claim}' is not acceptable`);
}
