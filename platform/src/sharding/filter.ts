/** Whether a value passes a filter, as SQL would have it: NULL matches nothing but `is-null`. */
import { unreachable } from '../base/assert.ts';
import { compareValues } from './compare.ts';
import type { Filter } from './query.ts';
import type { Value } from './table.ts';

export function matches(value: Value, filter: Filter): boolean {
  if (value === null) return filter.op === 'is-null';
  switch (filter.op) {
    case 'is-null':
      return false;
    case 'is-not-null':
      return true;
    case 'prefix':
      return (value as string).startsWith(filter.value);
    case 'in':
      return filter.value.some((one) => compareValues(value, one) === 0);
    case '=':
      return compareValues(value, filter.value) === 0;
    case '<>':
      return compareValues(value, filter.value) !== 0;
    case '<':
      return compareValues(value, filter.value) < 0;
    case '<=':
      return compareValues(value, filter.value) <= 0;
    case '>':
      return compareValues(value, filter.value) > 0;
    case '>=':
      return compareValues(value, filter.value) >= 0;
    default:
      return unreachable(filter);
  }
}
