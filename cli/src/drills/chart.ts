/** The charts of a drill's page, as SVG: requests by outcome and latency over one axis of time, with its events. Pure. */
import { isDone, quantile } from './measures.ts';
import type { Event } from './outcome.ts';
import type { Attempt, DrillRecord, Request } from './record.ts';

const WIDTH = 1_000;
const LEFT = 52;
const RIGHT = 14;
/** Numbers of the events stand above the upper chart, in as many rows as keep them apart. */
const BADGE_ROWS = 4;
const BADGE_STEP = 15;
const BADGE_TOP = 30;
const TOP = BADGE_TOP + BADGE_ROWS * BADGE_STEP - 2;
const RATE_HEIGHT = 190;
const GAP = 40;
const LATENCY_HEIGHT = 160;
const BOTTOM = 30;
const HEIGHT = TOP + RATE_HEIGHT + GAP + LATENCY_HEIGHT + BOTTOM;
const BINS_MAX = 140;
const BIN_MS_MIN = 250;

/** From below; by their classes in the page's style. */
export const outcomes = ['done', 'unavailable', 'connection', 'other'] as const;
export type OutcomeClass = (typeof outcomes)[number];
export const outcomeNames: Readonly<Record<OutcomeClass, string>> = {
  done: 'done',
  unavailable: '503, come again',
  connection: 'connection broke',
  other: 'another error',
};

export const OUTAGE_NAME = 'until every struck class could be written again';

export interface ChartOptions {
  readonly record: DrillRecord;
  readonly events: readonly Event[];
  /** Where keys could not be written; null: it is not known when that ended. */
  readonly outage: { readonly fromMs: number; readonly toMs: number } | null;
}

export function chartOf({ record, events, outage }: ChartOptions): string {
  const { attempts, requests, endedMs } = record;
  const binMs = Math.max(BIN_MS_MIN, Math.ceil(endedMs / BINS_MAX / BIN_MS_MIN) * BIN_MS_MIN);
  const bins = Math.max(1, Math.ceil(endedMs / binMs));
  const x = (ms: number): number =>
    LEFT + (Math.min(ms, endedMs) / Math.max(1, endedMs)) * (WIDTH - LEFT - RIGHT);
  const parts = [
    outage === null ? '' : band(x(outage.fromMs), x(outage.toMs)),
    rateChart(attempts, binMs, bins, x),
    latencyChart(requests, binMs, bins, x),
    timeAxis(endedMs, x),
    ...eventLines(events, x),
  ];
  return (
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Attempts a second by outcome, latency, and events over ` +
    `${(endedMs / 1_000).toFixed(0)} seconds">${parts.join('')}</svg>`
  );
}

function band(from: number, to: number): string {
  return rect('outage', from, TOP, Math.max(1, to - from), HEIGHT - TOP - BOTTOM, OUTAGE_NAME);
}

function rateChart(
  attempts: readonly Attempt[],
  binMs: number,
  bins: number,
  x: (ms: number) => number,
): string {
  const counts = Array.from({ length: bins }, () => ({ done: 0, unavailable: 0, connection: 0, other: 0 }));
  for (const attempt of attempts) {
    const bin = counts[Math.floor(attempt.endedMs / binMs)];
    if (bin !== undefined) bin[outcomeOf(attempt)] += 1;
  }
  const perS = (count: number): number => (count * 1_000) / binMs;
  const most = niceMax(
    Math.max(1, ...counts.map((bin) => perS(outcomes.reduce((sum, key) => sum + bin[key], 0)))),
  );
  const floor = TOP + RATE_HEIGHT;
  const y = (rate: number): number => floor - (rate / most) * RATE_HEIGHT;
  const bars = counts.flatMap((bin, i) => {
    let below = 0;
    const from = x(i * binMs);
    const width = Math.max(0.5, x((i + 1) * binMs) - from - 0.6);
    return outcomes.map((key) => {
      if (bin[key] === 0) return '';
      const base = y(below);
      below += perS(bin[key]);
      const title = `${((i * binMs) / 1_000).toFixed(2)} s: ${perS(bin[key]).toFixed(0)} a second ${outcomeNames[key]}`;
      return rect(key, from, y(below), width, base - y(below), title);
    });
  });
  const ticks = [0, most / 2, most].map((rate) => gridLine(y(rate), String(Math.round(rate))));
  return `${heading(12, 'attempts a second, by when they ended')}${ticks.join('')}${bars.join('')}`;
}

function outcomeOf(attempt: Attempt): OutcomeClass {
  if (isDone(attempt)) return 'done';
  if (attempt.status === 0) return 'connection';
  return attempt.status === 503 ? 'unavailable' : 'other';
}

/** Logarithmic: a failover is a thousand times slower than a usual answer. */
function latencyChart(
  requests: readonly Request[],
  binMs: number,
  bins: number,
  x: (ms: number) => number,
): string {
  const took = Array.from({ length: bins }, (): number[] => []);
  for (const { begunMs, endedMs } of requests) took[Math.floor(begunMs / binMs)]?.push(endedMs - begunMs);
  for (const bin of took) bin.sort((a, b) => a - b);
  const slowest = Math.max(10, ...took.map((bin) => bin.at(-1) ?? 0));
  const decades = Math.ceil(Math.log10(slowest));
  const top = TOP + RATE_HEIGHT + GAP;
  const floor = top + LATENCY_HEIGHT;
  const y = (ms: number): number => floor - (Math.log10(Math.max(1, ms)) / decades) * LATENCY_HEIGHT;
  const line = (name: string, share: number): string => {
    const points = took.flatMap((bin, i) => {
      const ms = quantile(bin, share);
      return ms === null ? [] : [`${x((i + 0.5) * binMs).toFixed(1)},${y(ms).toFixed(1)}`];
    });
    return `<polyline class="${name}" points="${points.join(' ')}"/>`;
  };
  const ticks = Array.from({ length: decades + 1 }, (_, i) => gridLine(y(10 ** i), durationText(10 ** i)));
  const title = heading(top - 10, 'latency of requests with their retries, by when they began');
  return `${title}${ticks.join('')}${line('p99', 0.99)}${line('p50', 0.5)}`;
}

function timeAxis(endedMs: number, x: (ms: number) => number): string {
  const stepS = [1, 2, 5, 10, 20, 30, 60, 120, 300].find((step) => endedMs / 1_000 / step <= 14) ?? 600;
  const labels: string[] = [];
  for (let s = 0; s * 1_000 <= endedMs; s += stepS)
    labels.push(
      `<text class="tick" text-anchor="middle" x="${x(s * 1_000).toFixed(1)}" y="${HEIGHT - 10}">${s} s</text>`,
    );
  return labels.join('');
}

function eventLines(events: readonly Event[], x: (ms: number) => number): string[] {
  const ends: number[] = Array.from({ length: BADGE_ROWS }, () => Number.NEGATIVE_INFINITY);
  return events.map(({ atMs, kind, text }, i) => {
    const at = x(atMs);
    const free = ends.findIndex((end) => end <= at);
    const row = free === -1 ? i % BADGE_ROWS : free;
    ends[row] = at + BADGE_STEP;
    const y = BADGE_TOP + row * BADGE_STEP - 6;
    const cx = at.toFixed(1);
    return (
      `<g class="event ${kind}"><title>${(atMs / 1_000).toFixed(2)} s: ${escaped(text)}</title>` +
      `<line x1="${cx}" x2="${cx}" y1="${y}" y2="${HEIGHT - BOTTOM}"/>` +
      `<circle cx="${cx}" cy="${y}" r="7"/><text x="${cx}" y="${(y + 3.2).toFixed(1)}">${i + 1}</text></g>`
    );
  });
}

function rect(name: string, x: number, y: number, width: number, height: number, title: string): string {
  const [ax, ay, w, h] = [x, y, width, height].map((value) => value.toFixed(1));
  return `<rect class="${name}" x="${ax}" y="${ay}" width="${w}" height="${h}"><title>${escaped(title)}</title></rect>`;
}

function gridLine(y: number, label: string): string {
  const at = y.toFixed(1);
  return (
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"/>` +
    `<text class="tick" text-anchor="end" x="${LEFT - 6}" y="${(y + 3.5).toFixed(1)}">${label}</text>`
  );
}

const heading = (y: number, text: string): string =>
  `<text class="heading" x="${LEFT}" y="${y}">${text}</text>`;

const durationText = (ms: number): string => (ms >= 1_000 ? `${ms / 1_000} s` : `${ms} ms`);

/** 1, 2 or 5 times a power of ten, at least so much. */
export function niceMax(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
