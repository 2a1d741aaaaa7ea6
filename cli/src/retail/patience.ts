/**
 * One request, as many attempts as it takes within a bound: a region that restarts or fails over answers 503 or not at
 * all for some seconds, and an import must outlast that. Repeating is safe because every request that changes something
 * carries an idempotency key.
 *
 * Delays grow from `backoffMsMin` to `backoffMsMax`, half of each is random. `Retry-After` (RFC 9110, section 10.2.3)
 * is a lower bound; after a 429 all requests wait, not only the one that was told so.
 */
import type { Clock, Random } from 'cardume/host';
import type { Answered, Api, Call } from '../api.ts';

export interface PatienceBounds {
  /** From a request's first attempt on; over it, it counts as unreachable. */
  readonly patienceMs: number;
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** A fault of the platform (500) rarely heals by itself. */
  readonly brokenAttemptsMax: number;
}

export const usualPatience: PatienceBounds = {
  patienceMs: 120_000,
  backoffMsMin: 100,
  backoffMsMax: 5_000,
  brokenAttemptsMax: 4,
};

export type Outcome =
  | { readonly kind: 'done'; readonly body: unknown; readonly replayed: boolean | null }
  /** The platform understood and said no; it would say so again. */
  | { readonly kind: 'refused'; readonly status: number; readonly code: string; readonly detail: string }
  /** No answer that decides anything within the bound. */
  | { readonly kind: 'unreachable'; readonly code: string; readonly detail: string }
  /** The user ended the import before an answer came. */
  | { readonly kind: 'stopped' };

export interface Patience {
  send(call: Call): Promise<Outcome>;
  /** Attempts beyond the first, over all requests. */
  readonly retries: () => number;
}

export function openPatience(args: {
  readonly api: Api;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly bounds: PatienceBounds;
}): Patience {
  const { api, clock, random, signal, bounds } = args;
  let retries = 0;
  let throttledUntilMs = 0;

  async function sleepUntil(untilMs: number): Promise<void> {
    for (let leftMs = untilMs - clock.monotonicMs(); leftMs > 0 && !signal.aborted; ) {
      await clock.sleep(Math.min(leftMs, sliceMs));
      leftMs = untilMs - clock.monotonicMs();
    }
  }

  async function attempt(call: Call): Promise<Answered | string> {
    try {
      return await api.send(call);
    } catch (error) {
      // Whatever broke the connection, the effect is unknown and the key makes another attempt safe.
      return error instanceof Error && error.message !== '' ? error.message : String(codeOf(error) ?? error);
    }
  }

  return {
    retries: () => retries,
    async send(call) {
      const endMs = clock.monotonicMs() + bounds.patienceMs;
      for (let attempts = 1; ; attempts += 1) {
        if (throttledUntilMs > clock.monotonicMs()) {
          await sleepUntil(Math.min(endMs, throttledUntilMs + random.fraction() * throttleSpreadMs));
        }
        if (signal.aborted) return { kind: 'stopped' };
        const answer = await attempt(call);
        if (typeof answer !== 'string' && !mayHeal(answer.status)) return outcomeOf(answer);

        const nowMs = clock.monotonicMs();
        const isBroken = typeof answer !== 'string' && answer.status === 500;
        if (nowMs >= endMs || (isBroken && attempts >= bounds.brokenAttemptsMax)) {
          return typeof answer === 'string'
            ? { kind: 'unreachable', code: 'connection', detail: answer }
            : { kind: 'unreachable', ...problemIn(answer) };
        }
        const backoffMs = Math.min(
          bounds.backoffMsMax,
          bounds.backoffMsMin * 2 ** Math.min(attempts - 1, 20),
        );
        const askedMs = typeof answer === 'string' ? 0 : retryAfterMs(answer.retryAfter, clock.nowMs());
        const waitMs = askedMs + backoffMs * (0.5 + random.fraction() / 2);
        if (typeof answer !== 'string' && answer.status === 429) {
          throttledUntilMs = Math.max(throttledUntilMs, nowMs + askedMs);
        }
        retries += 1;
        await sleepUntil(Math.min(endMs, nowMs + waitMs));
      }
    },
  };
}

/** How late a sleeping request hears that the user ended the import. */
const sliceMs = 250;
/** Those who waited together start again spread over this time. */
const throttleSpreadMs = 200;

const mayHeal = (status: number): boolean => status === 408 || status === 429 || status >= 500;

/** @param text seconds or an HTTP date; what cannot be read counts as nothing */
export function retryAfterMs(text: string | undefined, nowMs: number): number {
  if (text === undefined) return 0;
  if (/^\d{1,6}$/.test(text.trim())) return Number(text) * 1000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? 0 : Math.max(0, atMs - nowMs);
}

function outcomeOf(answer: Answered): Outcome {
  if (answer.status >= 200 && answer.status < 300) {
    return { kind: 'done', body: answer.body, replayed: answer.replayed };
  }
  return { kind: 'refused', status: answer.status, ...problemIn(answer) };
}

/** Problem documents (RFC 9457) say what and where; anything else has a status only. */
function problemIn(answer: Answered): { readonly code: string; readonly detail: string } {
  const problem = (typeof answer.body === 'object' && answer.body !== null ? answer.body : {}) as {
    readonly code?: unknown;
    readonly detail?: unknown;
    readonly errors?: unknown;
  };
  const faults = (Array.isArray(problem.errors) ? problem.errors : [])
    .slice(0, 3)
    .map(({ pointer, detail }) => `${pointer}: ${detail}`);
  const detail =
    typeof problem.detail === 'string' ? problem.detail : `the platform answered ${answer.status}`;
  return {
    code: typeof problem.code === 'string' ? problem.code : `status-${answer.status}`,
    detail: [detail, ...faults.filter((fault) => !detail.includes(fault))].join('; '),
  };
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}
