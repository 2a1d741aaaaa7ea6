/** What a drill has measured: pure functions of its record. */
import type { Acknowledged, Attempt, DrillRecord, MarkKind, Request, WriteKind } from './record.ts';
import { writeKinds } from './record.ts';

export interface Measures {
  /**
   * From the moment that counts (the fault, or its end for what waits for it) to the first success of the last class of
   * keys that was struck. An attempt that was begun before does not count, nor a write that is lost at the end. Null: a
   * class had none.
   */
  readonly rtoMs: number | null;
  /** By class; null: it had no success. */
  readonly firstSuccessMs: Readonly<Partial<Record<WriteKind, number | null>>>;
  /** From there to the end of the last attempt on struck keys that failed; 0: none did. */
  readonly lastFailureMs: number;
  readonly writes: { readonly acknowledged: number; readonly lost: number; readonly unknown: number };
  readonly lostByKind: Readonly<Partial<Record<WriteKind, number>>>;
  /** How long before the fault the oldest lost write was acknowledged; 0: none was lost. */
  readonly rpoMs: number;
  readonly rpoMsByKind: Readonly<Partial<Record<WriteKind, number>>>;
  /** How long behind the fault the newest lost write was acknowledged, by a region that knew of none; 0: none was. */
  readonly lostBehindMs: number;
  /** Writes that were begun later than a lease lasts behind the fault, and were done before it healed. */
  readonly doneMeanwhile: number;
  /**
   * The longest that a write on struck keys took, from the fault until all was given back, beyond the median of its class
   * before. Null: there was none to compare.
   */
  readonly pauseMs: number | null;
  readonly phases: readonly Phase[];
  readonly retries: number;
  /** Requests that no attempt got done; reads of what is lost are told as lost. */
  readonly failed: number;
  readonly skipped: number;
  /** From the end of the fault until all copies were up to date; null: not seen. */
  readonly catchUpMs: number | null;
  readonly quarantined: number;
  /** That got another home, or their own in a later term, before anything was given back. */
  readonly movedPartitions: number;
  readonly openOrders: number;
  readonly troubles: readonly string[];
}

export interface Phase {
  readonly name: 'before' | 'during' | 'after';
  readonly fromMs: number;
  readonly toMs: number;
  readonly requests: number;
  /** Attempts that failed, by status; 0 stands for connections. */
  readonly attemptErrors: Readonly<Record<string, number>>;
  /** Requests that failed in spite of their retries, by the status of the last. */
  readonly requestErrors: Readonly<Record<string, number>>;
  /** Of requests, their retries included; those that the fault met count as `during`. Null: there were none. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly slowestMs: number | null;
}

export const isDone = ({ status }: { readonly status: number }): boolean => status >= 200 && status < 300;

/**
 * @param from the mark that recovery counts from: `struck`, or `healed` where nothing can go on before
 * @param leaseMs how long a region may write without the coordinator
 */
export function measure(record: DrillRecord, from: 'struck' | 'healed', leaseMs: number): Measures {
  const { attempts, requests, acknowledged, marks, skipped, openOrders, endedMs, troubles } = record;
  const at = (kind: MarkKind): number | undefined => marks.find((mark) => mark.kind === kind)?.atMs;
  const struckMs = at('struck') ?? 0;
  const fromMs = at(from) ?? struckMs;
  const gone = new Set(acknowledged.flatMap((one) => (one.found === 'lost' ? [one.request] : [])));
  const firstSuccessMs = firstSuccesses(attempts, fromMs, gone);
  const waits = Object.values(firstSuccessMs);
  const failures = attempts.filter((one) => one.affected && one.endedMs >= fromMs && !isDone(one));
  const lost = acknowledged.filter(({ found }) => found === 'lost');
  const healedMs = at('healed');
  const caughtUpMs = at('caught-up');
  const overMs = at('given-back') ?? caughtUpMs ?? healedMs ?? endedMs;
  const sum = (kind: MarkKind, untilMs: number): number =>
    marks.reduce(
      (total, mark) => total + (mark.kind === kind && mark.atMs <= untilMs ? (mark.count ?? 0) : 0),
      0,
    );
  return {
    rtoMs: waits.length === 0 || waits.includes(null) ? null : Math.max(...(waits as number[])),
    firstSuccessMs,
    lastFailureMs: failures.reduce((last, { endedMs: ms }) => Math.max(last, ms - fromMs), 0),
    writes: {
      acknowledged: acknowledged.length,
      lost: lost.length,
      unknown: acknowledged.filter(({ found }) => found === 'unknown').length,
    },
    lostByKind: countBy(lost, ({ kind }) => kind),
    rpoMs: oldestOf(lost, struckMs),
    rpoMsByKind: Object.fromEntries(
      [...Map.groupBy(lost, ({ kind }) => kind)].map(([kind, own]) => [kind, oldestOf(own, struckMs)]),
    ),
    lostBehindMs: lost.reduce((newest, { ackedMs }) => Math.max(newest, ackedMs - struckMs), 0),
    doneMeanwhile: attempts.filter(
      (one) =>
        one.kind !== 'read' &&
        isDone(one) &&
        one.begunMs > struckMs + leaseMs &&
        one.endedMs < (healedMs ?? 0),
    ).length,
    pauseMs: pauseOf(requests, struckMs, overMs),
    phases: [
      phase('before', 0, struckMs, attempts, requests, (one) => one.endedMs <= struckMs),
      phase(
        'during',
        struckMs,
        overMs,
        attempts,
        requests,
        (one) => one.endedMs > struckMs && one.begunMs < overMs,
      ),
      phase('after', overMs, endedMs, attempts, requests, (one) => one.begunMs >= overMs),
    ],
    retries: requests.reduce((total, { attempts: count }) => total + count - 1, 0),
    failed: requests.filter((one) => !isDone(one) && !(lost.length > 0 && isMissing(one))).length,
    skipped,
    catchUpMs: caughtUpMs === undefined || healedMs === undefined ? null : caughtUpMs - healedMs,
    quarantined: sum('quarantined', Number.POSITIVE_INFINITY),
    movedPartitions: sum('homes-moved', caughtUpMs ?? endedMs),
    openOrders,
    troubles,
  };
}

function oldestOf(lost: readonly Acknowledged[], struckMs: number): number {
  return lost.reduce((oldest, { ackedMs }) => Math.max(oldest, struckMs - ackedMs), 0);
}

function pauseOf(requests: readonly Request[], struckMs: number, overMs: number): number | null {
  const took = ({ begunMs, endedMs }: Request): number => endedMs - begunMs;
  const writes = requests.filter(({ kind, affected }) => kind !== 'read' && affected);
  const beyond = [...Map.groupBy(writes, ({ kind }) => kind).values()].flatMap((own) => {
    const before = own.filter(({ endedMs }) => endedMs <= struckMs).map(took);
    const usual = quantile(
      before.sort((a, b) => a - b),
      0.5,
    );
    if (usual === null) return [];
    const met = own.filter(({ begunMs, endedMs }) => endedMs > struckMs && begunMs < overMs);
    return met.map((one) => took(one) - usual);
  });
  return beyond.length === 0 ? null : beyond.reduce((longest, ms) => Math.max(longest, ms), 0);
}

/** Of every class that was used on struck keys. */
function firstSuccesses(
  attempts: readonly Attempt[],
  fromMs: number,
  gone: ReadonlySet<number>,
): Measures['firstSuccessMs'] {
  const first: Partial<Record<WriteKind, number | null>> = {};
  for (const kind of writeKinds) {
    const own = attempts.filter((one) => one.kind === kind && one.affected && one.begunMs >= fromMs);
    if (own.length === 0) continue;
    const ends = own.flatMap((one) => (isDone(one) && !gone.has(one.request) ? [one.endedMs - fromMs] : []));
    first[kind] = ends.length === 0 ? null : ends.reduce((a, b) => Math.min(a, b));
  }
  return first;
}

function phase(
  name: Phase['name'],
  fromMs: number,
  toMs: number,
  attempts: readonly Attempt[],
  requests: readonly Request[],
  isOf: (one: Attempt | Request) => boolean,
): Phase {
  const own = requests.filter(isOf);
  const took = own.map((one) => one.endedMs - one.begunMs).sort((x, y) => x - y);
  const failed = attempts.filter((one) => isOf(one) && !isDone(one));
  return {
    name,
    fromMs,
    toMs,
    requests: own.length,
    attemptErrors: countBy(failed, ({ status }) => String(status)),
    requestErrors: countBy(
      own.filter((one) => !isDone(one)),
      ({ status }) => String(status),
    ),
    p50Ms: quantile(took, 0.5),
    p99Ms: quantile(took, 0.99),
    slowestMs: took.at(-1) ?? null,
  };
}

/** The nearest rank. @param sorted ascending */
export function quantile(sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
}

export function countBy<Item, Key extends string>(
  items: readonly Item[],
  keyOf: (item: Item) => Key,
): Partial<Record<Key, number>> & Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) {
    const key = keyOf(item);
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts as Partial<Record<Key, number>> & Record<string, number>;
}

const isMissing = ({ kind, status }: Request): boolean => kind === 'read' && status === 404;

/** What a drill must keep to. Null: it says nothing about it. */
export interface Limits {
  readonly rtoMsMax: number | null;
  /** By class; 0: nothing of it may be lost. */
  readonly rpoMsMax: Readonly<Record<WriteKind, number>>;
  /** Of writes that a region acknowledges which others have given up meanwhile, and which are lost. */
  readonly lostBehindMsMax: number;
  /** Nothing may be written without a lease, and nobody can have one. */
  readonly mustStop: boolean;
  /** Of what is planned: no write waits longer than this beyond the usual, and no attempt fails. Null: it is no plan. */
  readonly pauseMsMax: number | null;
}

/** @returns what was missed, a sentence each */
export function missed(measures: Measures, limits: Limits): readonly string[] {
  const { rtoMs, rpoMsByKind, lostByKind, writes, openOrders, firstSuccessMs } = measures;
  const { lostBehindMs, doneMeanwhile, pauseMs, phases } = measures;
  const { rtoMsMax, rpoMsMax, lostBehindMsMax, mustStop, pauseMsMax } = limits;
  const found: string[] = [];
  if (rtoMs === null) {
    const never = Object.entries(firstSuccessMs).flatMap(([kind, ms]) => (ms === null ? [kind] : []));
    found.push(
      `No write got through any more: ${never.join(', ') || 'there was no traffic on struck keys'}.`,
    );
  } else if (rtoMsMax !== null && rtoMs > rtoMsMax)
    found.push(`RTO is ${seconds(rtoMs)}, the bound is ${seconds(rtoMsMax)}.`);
  for (const kind of writeKinds) {
    const lost = lostByKind[kind] ?? 0;
    const oldestMs = rpoMsByKind[kind] ?? 0;
    const most = rpoMsMax[kind];
    if (most === 0 && lost > 0) found.push(`${lost} acknowledged writes (${kind}) are lost; none may be.`);
    else if (oldestMs > most)
      found.push(`RPO is ${seconds(oldestMs)} (${kind}), the bound is ${seconds(most)}.`);
  }
  if (lostBehindMs > lostBehindMsMax)
    found.push(
      `A lost write was acknowledged ${seconds(lostBehindMs)} behind the fault: longer than a lease lasts.`,
    );
  if (mustStop && doneMeanwhile > 0)
    found.push(`${doneMeanwhile} writes were done when no region can have had a lease.`);
  if (pauseMsMax !== null) {
    if (measures.movedPartitions === 0) found.push('Nothing moved.');
    if (pauseMs === null || pauseMs > pauseMsMax)
      found.push(
        `Writes waited ${pauseMs === null ? 'unseen' : seconds(pauseMs)}, the bound is ${seconds(pauseMsMax)}.`,
      );
    const errors = phases.flatMap(({ attemptErrors }) => Object.values(attemptErrors));
    const failed = errors.reduce((sum, count) => sum + count, 0);
    if (failed > 0) found.push(`${failed} attempts failed; none may when it is planned.`);
  }
  if (writes.unknown > 0) found.push(`${writes.unknown} acknowledged writes could not be read back.`);
  if (openOrders > 0) found.push(`${openOrders} orders have not ended.`);
  if (measures.failed > 0) found.push(`${measures.failed} requests failed in spite of their retries.`);
  return [...found, ...measures.troubles];
}

export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
