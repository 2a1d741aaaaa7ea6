/**
 * Rate limits by the generic cell rate algorithm (ITU-T I.371): one number for each caller, the theoretical arrival
 * time of its next request. A caller may spend its whole minute at once; after that it gets one request back every
 * `60 s / requestsPerMinute`. The table is bounded: the caller that was not seen for longest is forgotten, which only
 * ever forgives. Each instance counts for itself.
 *
 * Headers follow draft-ietf-httpapi-ratelimit-headers (10 and 11): `RateLimit-Policy` and `RateLimit`.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../host/host.ts';

export interface Limits {
  /** Counts one request of a caller. Costs about 0.2 µs. */
  take(caller: string): Allowance;
  /** `RateLimit-Policy` */
  readonly policy: string;
}

export interface Allowance {
  readonly allowed: boolean;
  /** Requests that are left now. */
  readonly remaining: number;
  /** Until the whole quota is there again, seconds. */
  readonly resetS: number;
  /** Until the next request is allowed, seconds; 0 when it is now. */
  readonly retryAfterS: number;
}

const WINDOW_MS = 60_000;
/** About 200 bytes each. */
const CALLERS_MAX = 50_000;

export function openLimits(
  clock: Clock,
  requestsPerMinute: number,
  callersMax: number = CALLERS_MAX,
): Limits {
  if (!(requestsPerMinute >= 1))
    throw new Error(`requestsPerMinute is ${requestsPerMinute}: expected at least 1`);
  const intervalMs = WINDOW_MS / requestsPerMinute;
  /** Compared with a little slack, since sums of fractions are not exact. */
  const reachMs = WINDOW_MS + intervalMs / 1000;
  const callers = new LRUCache<string, { arrivalMs: number }>({ max: callersMax });
  return {
    policy: `"default";q=${requestsPerMinute};w=${WINDOW_MS / 1000}`,
    take(caller) {
      const nowMs = clock.monotonicMs();
      let known = callers.get(caller);
      if (known === undefined) {
        known = { arrivalMs: nowMs };
        callers.set(caller, known);
      }
      const aheadMs = Math.max(0, known.arrivalMs - nowMs) + intervalMs;
      if (aheadMs > reachMs) {
        const resetS = Math.ceil((aheadMs - intervalMs) / 1000);
        return {
          allowed: false,
          remaining: 0,
          resetS,
          retryAfterS: Math.max(1, Math.ceil((aheadMs - reachMs) / 1000)),
        };
      }
      known.arrivalMs = nowMs + aheadMs;
      return {
        allowed: true,
        remaining: Math.floor((reachMs - aheadMs) / intervalMs),
        resetS: Math.ceil(aheadMs / 1000),
        retryAfterS: 0,
      };
    },
  };
}

/** `RateLimit` */
export function allowanceHeader(allowance: Allowance): string {
  return `"default";r=${allowance.remaining};t=${allowance.resetS}`;
}

/**
 * Whom an address stands for: an IPv4 address itself, an IPv6 address its /64 network, since one customer is given
 * at least that much.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1] as string;
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? [];
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  const groups = [...front, ...new Array<string>(zeros).fill('0'), ...back];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/**
 * The caller's address: the peer's, or, when the peer is a proxy of ours, the last one in `X-Forwarded-For` that is
 * not. What stands left of it anyone could have written.
 */
export function clientAddress(
  peer: string,
  forwardedFor: string | undefined,
  trusted: ReadonlySet<string>,
): string {
  if (forwardedFor === undefined || !trusted.has(peer)) return peer;
  const hops = forwardedFor.slice(-FORWARDED_CHARS_MAX).split(',');
  for (let i = hops.length - 1; i >= 0; i -= 1) {
    const hop = (hops[i] as string).trim();
    if (!ADDRESS.test(hop)) return peer;
    if (!trusted.has(hop)) return hop;
  }
  return peer;
}

const FORWARDED_CHARS_MAX = 500;
const ADDRESS = /^[0-9a-fA-F.:]{2,45}$/;
