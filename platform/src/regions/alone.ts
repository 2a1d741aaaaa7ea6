/**
 * Since when partitions that are at home here have entries that no other region has: what would be lost, were this region
 * lost now. It is counted by the monotonic clock, from when the home heard of the commit; what stood here when the partition
 * came home, or the process began, is counted from then. The figure is never too small, and too large by no more than 10 ms, or a
 * sixty-fourth of what it was at its worst.
 */
import type { Entry, Log } from '../events/log.ts';
import type { Clock } from '../host/host.ts';
import type { ServiceName } from '../topology/topology.ts';
import type { Watermarks } from './watermarks.ts';

export interface Alone {
  /** What stands in a shard's homes, and what is committed from now on. */
  add(service: ServiceName, log: Pick<Log, 'heads' | 'onCommit'>): void;
  /** The partition has come home, with entries up to the position. */
  came(service: ServiceName, partition: number, position: number): void;
  left(service: ServiceName, partition: number): void;
  /** Of the oldest entry; 0: another region has all of them. */
  ageMs(service: ServiceName, partition: number): number;
  /** Of all partitions. */
  oldestMs(): number;
}

/** Entries up to the position; none is older than the moment. */
interface Mark {
  readonly sinceMs: number;
  position: number;
}

interface Line {
  /** The oldest first. */
  marks: Mark[];
  stepMs: number;
}

const STEP_MS = 10;
const MARKS_MAX = 128;

export function openAlone(clock: Clock, watermarks: Pick<Watermarks, 'of' | 'onRise'>): Alone {
  const lines = new Map<string, Line>();
  const keyOf = (service: ServiceName, partition: number): string => `${service}/${partition}`;

  function stands(service: ServiceName, partition: number, position: number): void {
    if (position <= watermarks.of(service, partition)) return;
    const key = keyOf(service, partition);
    const line = lines.get(key) ?? { marks: [], stepMs: STEP_MS };
    lines.set(key, line);
    const { marks, stepMs } = line;
    add(marks, { sinceMs: clock.monotonicMs(), position }, stepMs);
    if (marks.length <= MARKS_MAX) return;
    line.stepMs *= 2;
    line.marks = [];
    for (const mark of marks) add(line.marks, mark, line.stepMs);
  }

  function committed(service: ServiceName, entries: readonly Entry[]): void {
    const last = new Map(entries.map(({ partition, position }) => [partition, position]));
    for (const [partition, position] of last) stands(service, partition, position);
  }

  watermarks.onRise((service, partition, watermark) => {
    const key = keyOf(service, partition);
    const line = lines.get(key);
    if (line === undefined) return;
    line.marks = line.marks.filter(({ position }) => position > watermark);
    if (line.marks.length === 0) lines.delete(key);
  });

  const ageOf = ({ marks }: Line): number => clock.monotonicMs() - (marks[0] as Mark).sinceMs;

  return {
    add(service, log) {
      for (const { partition, position } of log.heads()) stands(service, partition, position);
      log.onCommit((entries) => committed(service, entries));
    },
    came: stands,
    left: (service, partition) => void lines.delete(keyOf(service, partition)),
    ageMs(service, partition) {
      const line = lines.get(keyOf(service, partition));
      return line === undefined ? 0 : ageOf(line);
    },
    oldestMs: () => [...lines.values()].reduce((oldest, line) => Math.max(oldest, ageOf(line)), 0),
  };
}

/** Marks that begin within one step are one. */
function add(marks: Mark[], mark: Mark, stepMs: number): void {
  const last = marks.at(-1);
  if (last !== undefined && mark.sinceMs - last.sinceMs < stepMs) last.position = mark.position;
  else marks.push(mark);
}
