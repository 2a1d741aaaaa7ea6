/** Records of drills that never ran, for tests of what is measured. */
import type { Acknowledged, Attempt, DrillRecord, Kind, Mark, MarkKind, WriteKind } from './record.ts';

let requests = 0;

/** @returns one attempt, of a request of its own */
export function attempt(begunMs: number, endedMs: number, of: Partial<Attempt> = {}): Attempt {
  requests += 1;
  const status = of.status ?? 200;
  const why = status < 300 && status > 0 ? '' : 'why';
  const usual = { request: requests, kind: 'order' as Kind, affected: true, status, why };
  return { ...usual, begunMs, endedMs, ...of };
}

export const mark = (kind: MarkKind, atMs: number): Mark => ({ kind, atMs, text: kind });

export const acked = (
  ackedMs: number,
  found: Acknowledged['found'],
  of: Partial<Acknowledged> = {},
): Acknowledged => ({
  ...{ request: -1, kind: 'order' as WriteKind, affected: true, what: `w${ackedMs}` },
  ...{ ackedMs, found },
  ...of,
});

/** Requests are made of the attempts. */
export function recordOf(attempts: readonly Attempt[], more: Partial<DrillRecord> = {}): DrillRecord {
  const byRequest = Map.groupBy(attempts, (one) => one.request);
  const requests = [...byRequest.values()].map((own) => {
    const [first, last] = [own[0] as Attempt, own.at(-1) as Attempt];
    return { ...last, begunMs: first.begunMs, attempts: own.length };
  });
  return {
    ...{
      attempts,
      requests,
      acknowledged: [],
      marks: [],
      endedMs: 60_000,
      skipped: 0,
      openOrders: 0,
      troubles: [],
    },
    ...more,
  };
}
