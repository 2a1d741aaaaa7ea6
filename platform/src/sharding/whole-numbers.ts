/**
 * Filters of integer columns by whole numbers alone: servers of MySQL's family cut a fraction off when they look it up in
 * an index, so that `= 0.5` finds 0 (MariaDB 10.11).
 */
import type { Filter } from './query.ts';

/** @param filter of an integer column, checked @returns one that means the same, without fractions */
export function byWholeNumbers(filter: Filter): Filter {
  const { column, op } = filter;
  if (op === 'in') return { column, op, value: filter.value.filter((value) => Number.isInteger(value)) };
  if (!('value' in filter) || Number.isInteger(filter.value)) return filter;
  const below = Math.floor(filter.value as number);
  switch (op) {
    case '<':
    case '<=':
      return { column, op: '<=', value: below };
    case '>':
    case '>=':
      return { column, op: '>', value: below };
    case '<>':
      return { column, op: 'is-not-null' };
    default:
      return { column, op: 'in', value: [] };
  }
}
