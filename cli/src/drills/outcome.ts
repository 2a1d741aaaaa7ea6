/** What a run of a drill came to: the document that `--json` prints and the report holds, and the same as text. */
import { grouped } from '../progress.ts';
import type { Told } from './grounds.ts';
import type { ImportOutcome } from './importing.ts';
import { type Limits, type Measures, type Phase, seconds } from './measures.ts';
import type { DrillRecord, MarkKind } from './record.ts';
import { markText, timelineOf } from './timeline.ts';

export interface Outcome {
  readonly drill: string;
  readonly about: string;
  readonly region: string;
  /** ISO 8601. */
  readonly begun: string;
  readonly coordinator: 'embedded' | 'etcd';
  /** Of all lines between regions, and to the coordinator, at least. */
  readonly roundTripMs: number;
  /** Processes that wanted to run on this machine before the drill did; null: it is not known. */
  readonly load: number | null;
  /** By service. */
  readonly durability: Readonly<Record<string, string>>;
  readonly from: 'struck' | 'healed';
  readonly limits: Limits;
  readonly passed: boolean;
  /** Sentences. */
  readonly missed: readonly string[];
  readonly measures: Measures;
  readonly imported: ImportOutcome | null;
  readonly record: DrillRecord;
  readonly complaints: readonly (Told & { readonly atMs: number })[];
}

const COMPLAINTS_SHOWN = 8;

export function outcomeText(outcome: Outcome): string {
  const { measures, limits, missed, imported, from, complaints, record } = outcome;
  const { rtoMs, writes, phases } = measures;
  const rtoMax = limits.rtoMsMax === null ? '' : ` (at most ${seconds(limits.rtoMsMax)})`;
  const oldest = measures.rpoMs > 0 ? `; the oldest ${seconds(measures.rpoMs)} before the fault` : '';
  const lines = [
    ...eventsOf(outcome).map(markText),
    row('RTO', `${rtoMs === null ? 'not reached' : seconds(rtoMs)}${rtoMax}, ${fromText(from)}`),
    ...Object.entries(measures.firstSuccessMs).map(([kind, ms]) =>
      row('', `${kind.padEnd(8)} ${ms === null ? 'no success' : seconds(ms)}`),
    ),
    row('', `last failure of struck keys ${seconds(measures.lastFailureMs)}`),
    row(
      'lost writes',
      `${writes.lost} of ${grouped(writes.acknowledged)} acknowledged${oldest}; ${rpoText(limits)}`,
    ),
    ...(measures.lostBehindMs === 0
      ? []
      : [
          row(
            '',
            `the newest ${seconds(measures.lostBehindMs)} behind the fault, by a region that others had given up`,
          ),
        ]),
    ...(writes.unknown === 0 ? [] : [row('', `${writes.unknown} could not be read back`)]),
    ...(measures.quarantined === 0 ? [] : [row('quarantined', `${measures.quarantined} entries`)]),
    ...(limits.pauseMsMax === null ? [] : [row('pause', pauseText(measures, limits.pauseMsMax))]),
    row('moved', `${measures.movedPartitions} partitions`),
    ...(measures.catchUpMs === null
      ? []
      : [row('caught up', `${seconds(measures.catchUpMs)} behind the way back`)]),
    ...phases.flatMap(phaseLines),
    row(
      'retries',
      `${measures.retries} attempts beyond the first; ${measures.failed} requests failed all the same`,
    ),
    ...(measures.skipped === 0
      ? []
      : [row('skipped', `${measures.skipped} requests: too many were under way`)]),
    ...(imported === null ? [] : [row('import', importText(imported))]),
    ...whyFailed(record),
    ...complaints
      .slice(0, COMPLAINTS_SHOWN)
      .map(({ process, level, message, atMs }) =>
        row('log', `${seconds(atMs)}  ${process}  ${level}  ${message}`),
      ),
    ...(complaints.length > COMPLAINTS_SHOWN
      ? [row('', `and ${complaints.length - COMPLAINTS_SHOWN} lines more, in the report`)]
      : []),
    ...(outcome.load === null ? [] : [row('machine', `load ${outcome.load} before the drill began`)]),
    missed.length === 0 ? 'Passed.' : `MISSED: ${missed.join(' ')}`,
  ];
  return lines.join('\n');
}

/** What a planned move costs its callers. */
export const pauseText = ({ pauseMs }: Measures, atMostMs: number): string =>
  `${pauseMs === null ? 'not seen' : seconds(pauseMs)} (at most ${seconds(atMostMs)}), the longest of a write beyond the usual`;

/** What may be lost, by the durability of each class. */
export function rpoText({ rpoMsMax }: Limits): string {
  const some = Object.entries(rpoMsMax).filter(([, most]) => most > 0);
  if (some.length === 0) return 'none may be';
  const kinds = some.map(([kind]) => kind).join(', ');
  return `of ${kinds} those of the last ${seconds(Math.max(...some.map(([, most]) => most)))} may be`;
}

/** The timeline, with the first success of each class of struck keys. In order. */
export function eventsOf({
  measures,
  record,
  from,
}: Pick<Outcome, 'measures' | 'record' | 'from'>): readonly Event[] {
  const fromMs = record.marks.find(({ kind }) => kind === from)?.atMs ?? 0;
  const successes = Object.entries(measures.firstSuccessMs).flatMap(([kind, ms]): Event[] =>
    ms === null ? [] : [{ atMs: fromMs + ms, kind: 'success', text: `first success: ${kind}` }],
  );
  return [...timelineOf(record.marks), ...successes].sort((a, b) => a.atMs - b.atMs);
}

export interface Event {
  readonly atMs: number;
  readonly kind: MarkKind | 'success';
  readonly text: string;
}

const row = (name: string, text: string): string => `${name.padEnd(12)}${text}`;

export const fromText = (from: Outcome['from']): string =>
  from === 'struck'
    ? 'from the fault to the first success of the last class'
    : 'from its end to the first success of the last class';

function phaseLines({
  name,
  requests,
  attemptErrors,
  requestErrors,
  p50Ms,
  p99Ms,
  slowestMs,
}: Phase): string[] {
  if (requests === 0) return [];
  const latency = `p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, slowest ${ms(slowestMs)}`;
  const errors = `errors ${countsText(attemptErrors)}; after retries ${countsText(requestErrors)}`;
  return [row(name, `${grouped(requests)} requests, ${latency}; ${errors}`)];
}

const ms = (value: number | null): string =>
  value === null ? '-' : `${value.toFixed(value < 10 ? 1 : 0)} ms`;

/** `12 × 503, 3 × connection`. */
export function countsText(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(
    ([status, count]) => `${count} × ${status === '0' ? 'connection' : status}`,
  );
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function importText({
  complete,
  isExact,
  countries,
  file,
  platform,
  orders,
  retries,
  seconds: s,
}: ImportOutcome): string {
  const sums = isExact
    ? `exact: ${countries} countries, ${platform}`
    : `NOT EXACT: ${platform} of ${file}, ${countries} countries`;
  return `${grouped(orders)} orders in ${s.toFixed(0)} s${complete ? '' : ', NOT COMPLETE'}; ${sums}; ${retries} attempts repeated`;
}

/** Why attempts failed, the most frequent first. */
function whyFailed({ attempts }: DrillRecord): string[] {
  const counts = new Map<string, number>();
  for (const { status, why } of attempts) {
    if (why === '') continue;
    const text = `${status === 0 ? 'connection' : status} ${why}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a).slice(0, COMPLAINTS_SHOWN);
  return sorted.map(([text, count]) => row('why', `${count} × ${text}`));
}
