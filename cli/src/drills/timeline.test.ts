import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Mark, MarkKind } from './record.ts';
import { markText, timelineOf } from './timeline.ts';

const counted = (kind: MarkKind, atMs: number, region: string, count: number): Mark => ({
  ...{ kind, atMs, text: 'a step', region, count },
});

test('many small steps are one line, at the time of the first', () => {
  const marks: Mark[] = [
    { kind: 'struck', atMs: 1_000, text: 'us-east is killed' },
    counted('homes-moved', 4_000, 'us-west', 24),
    counted('homes-moved', 4_000, 'eu-west', 24),
    counted('homes-moved', 4_100, 'us-west', 6),
    { kind: 'healed', atMs: 8_000, text: 'us-east is started again' },
    counted('quarantined', 8_500, 'us-east', 2),
    counted('quarantined', 8_600, 'us-east', 1),
    counted('homes-moved', 20_000, 'us-west', 1),
  ];
  deepEqual(timelineOf(marks).map(markText), [
    '   1.00 s  us-east is killed',
    '   4.00 s  30 partitions have their home in us-west now',
    '   4.00 s  a step',
    '   8.00 s  us-east is started again',
    '   8.50 s  us-east quarantines 3 entries that no other region had',
    '  20.00 s  a step',
  ]);
});
