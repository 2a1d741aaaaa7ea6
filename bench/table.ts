/** The table of figures as text: columns as wide as their widest cell, numbers to the right. */
import { type Figure, isReached, type Target } from './figure.ts';

const HEAD = ['', 'figure', 'ours', 'reference', 'ratio', 'target', 'ok?', 'beside'];
const TO_THE_RIGHT: ReadonlySet<number> = new Set([2, 3, 4, 5]);

export function tableOf(figures: readonly (Figure & { readonly letter: string })[]): string {
  const rows = figures.map((figure) => {
    const { letter, name, unit, ours, reference, ratio, target, beside } = figure;
    const reached = isReached(figure);
    return [
      letter,
      `${name}, ${unit}`,
      shown(ours),
      reference === null ? '' : shown(reference),
      ratio === null ? '' : ratio.toFixed(2),
      target === null ? '' : shownTarget(target),
      reached === null ? '' : reached ? 'yes' : 'NO',
      beside,
    ];
  });
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => (row[column] as string).length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] as number;
        return TO_THE_RIGHT.has(column) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(HEAD), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

function shown(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(value >= 10 ? 1 : 2);
}

function shownTarget(target: Target): string {
  return 'atLeast' in target
    ? `>= ${target.atLeast.toLocaleString('en')}`
    : `<= ${target.atMost.toLocaleString('en')}`;
}
