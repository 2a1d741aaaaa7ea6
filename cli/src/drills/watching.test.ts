import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { behindText, type RegionSeen } from './watching.ts';

const follow = (home: string, change: Partial<RegionSeen['follows'][number]> = {}) => ({
  ...{ home, partitions: 8, entries_behind: 3, behind_ms: 200, trouble: null },
  ...change,
});
const seen = (
  region: string,
  follows: RegionSeen['follows'],
  change: Partial<RegionSeen> = {},
): RegionSeen => ({
  ...{ region, reachable: true, lease: true, partitions: 8, adopted: 0, follows },
  ...change,
});
const east = seen('east', [follow('west')]);

test('regions that follow each other in all, a moment behind, are in step', () => {
  equal(behindText([east, seen('west', [follow('east')])], 2_000), '');
});

test('a region that is home to nothing need not be followed', () => {
  const empty = seen('west', [follow('east')], { partitions: 0 });
  equal(behindText([seen('east', [follow('west', { partitions: 0, behind_ms: null })]), empty], 2_000), '');
});

test('what keeps them from it is named', () => {
  const of = (west: RegionSeen): string => behindText([east, west], 2_000);
  deepEqual(
    [
      of(seen('west', [], { reachable: false })),
      of(seen('west', [follow('east')], { lease: false })),
      of(seen('west', [follow('east', { partitions: 7 })])),
      of(seen('west', [follow('east', { behind_ms: null })])),
      of(seen('west', [follow('east', { behind_ms: 2_500 })])),
      of(seen('west', [follow('east', { trouble: 'it is away' })])),
    ],
    [
      'west cannot be reached',
      'west has no lease',
      'west follows 7 of 8 partitions of east',
      'west is 3 entries behind east, since ? ms',
      'west is 3 entries behind east, since 2500 ms',
      'west does not follow east: it is away',
    ],
  );
});
