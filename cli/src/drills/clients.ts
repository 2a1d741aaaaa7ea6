/**
 * The clients of a drill: they try again as good clients do, and everything that they meet is written down. A request
 * that broke, or was answered 408, 429 or 5xx, is sent again under the same key, as late as `Retry-After` says and with
 * growing pauses.
 */
import type { Host } from 'cardume/host';
import type { Answered, Api, Call } from '../api.ts';
import { retryAfterMs } from '../retail/patience.ts';
import { isDone } from './measures.ts';
import type { Attempt, Kind, Request } from './record.ts';

export interface Asked {
  readonly kind: Kind;
  readonly affected: boolean;
  readonly call: Call;
}

export interface Answer {
  /** Its number. */
  readonly request: number;
  /** The last one; null: the connection broke, or nobody answered, until patience was at its end. */
  readonly answered: Answered | null;
}

export interface Clients {
  send(asked: Asked): Promise<Answer>;
  /** Outside of what is measured. @returns the last answer; null: there was none until patience was at its end */
  sendUnseen(call: Call): Promise<Answered | null>;
  readonly underWay: number;
  readonly attempts: readonly Attempt[];
  readonly requests: readonly Request[];
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

const PATIENCE_MS = 30_000;
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 1_000;
/** A bug, or bad input that we sent, does not heal. */
const BROKEN_ATTEMPTS_MAX = 20;

const mayHeal = (status: number): boolean =>
  status === 0 || status === 408 || status === 429 || status >= 500;

/** @param nowMs of the drill's time */
export function openClients({ clock, random }: Host, api: Api, nowMs: () => number): Clients {
  const attempts: Attempt[] = [];
  const requests: Request[] = [];
  const idle = new Set<() => void>();
  let underWay = 0;
  let begun = 0;

  async function once(call: Call): Promise<{ readonly answered: Answered | null; readonly why: string }> {
    try {
      const answered = await api.send(call);
      return { answered, why: isDone(answered) ? '' : codeIn(answered) };
    } catch (error) {
      return { answered: null, why: (error as Error).message };
    }
  }

  async function until(call: Call, note: (attempt: Noted) => void): Promise<Answered | null> {
    const begunMs = nowMs();
    for (let count = 1; ; count += 1) {
      const sentMs = nowMs();
      const { answered, why } = await once(call);
      const endedMs = nowMs();
      note({ begunMs: sentMs, endedMs, status: answered?.status ?? 0, why });
      if (answered !== null && !mayHeal(answered.status)) return answered;
      const isBroken = answered?.status === 500 && count >= BROKEN_ATTEMPTS_MAX;
      if (isBroken || endedMs - begunMs > PATIENCE_MS) return answered;
      const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(count - 1, 10));
      const askedMs = retryAfterMs(answered?.retryAfter, clock.nowMs());
      await clock.sleep(askedMs + pauseMs * (0.5 + random.fraction() / 2));
    }
  }

  return {
    attempts,
    requests,
    get underWay() {
      return underWay;
    },
    async send({ kind, affected, call }) {
      begun += 1;
      const request = begun;
      const begunMs = nowMs();
      let count = 0;
      let last: Noted | null = null;
      underWay += 1;
      try {
        const answered = await until(call, (noted) => {
          count += 1;
          last = noted;
          attempts.push({ request, kind, affected, ...noted });
        });
        return { request, answered };
      } finally {
        underWay -= 1;
        const { endedMs, status } = last as unknown as Noted;
        requests.push({ request, kind, affected, begunMs, endedMs, attempts: count, status });
        if (underWay === 0) for (const resolve of idle) resolve();
      }
    },
    sendUnseen: (call) => until(call, () => {}),
    idle: () =>
      underWay === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            idle.add(resolve);
          }),
  };
}

type Noted = Pick<Attempt, 'begunMs' | 'endedMs' | 'status' | 'why'>;

function codeIn({ status, body }: Answered): string {
  const { code } = (body ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : `status-${status}`;
}
