/** The marks of a drill as people read them: what comes in many small steps is one line. Pure. */
import type { Mark, MarkKind } from './record.ts';

/** Steps of one thing are so close to its first one. */
const TOGETHER_MS = 5_000;

const COUNTED: Readonly<Partial<Record<MarkKind, (region: string, count: number) => string>>> = {
  'homes-moved': (region, count) =>
    `${count} ${count === 1 ? 'partition has its' : 'partitions have their'} home in ${region} now`,
  quarantined: (region, count) =>
    `${region} quarantines ${count} ${count === 1 ? 'entry' : 'entries'} that no other region had`,
};

export const countedText = (kind: MarkKind, region: string, count: number): string =>
  COUNTED[kind]?.(region, count) ?? '';

/** In the order of their beginnings. */
export function timelineOf(marks: readonly Mark[]): readonly Mark[] {
  const lines: Mark[] = [];
  for (const mark of marks) {
    const { kind, region, count } = mark;
    if (region === undefined || count === undefined) {
      lines.push(mark);
      continue;
    }
    const at = lines.findLastIndex((line) => line.kind === kind && line.region === region);
    const first = lines[at];
    if (first?.count === undefined || mark.atMs - first.atMs > TOGETHER_MS) lines.push(mark);
    else {
      const sum = first.count + count;
      lines[at] = { ...first, count: sum, text: countedText(kind, region, sum) };
    }
  }
  return lines;
}

export const markText = ({ atMs, text }: Pick<Mark, 'atMs' | 'text'>): string =>
  `${(atMs / 1_000).toFixed(2).padStart(7)} s  ${text}`;
