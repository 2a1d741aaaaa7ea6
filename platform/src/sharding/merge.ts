/** Rows of several shards become one list: ordered ones by taking the least of their heads, groups by adding them up. */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';
import { accumulator } from './aggregates.ts';
import { matches } from './filter.ts';
import { mergeLists } from './merge-lists.ts';
import { GROUPS_MAX, type Plan, placeOf, rowOrder } from './plan.ts';
import type { Aggregation } from './query.ts';
import { rowsMax } from './sql.ts';
import type { Value } from './table.ts';
import { decodeRow } from './wire.ts';

/** Rows in memory while they merge: for each part of a union, shards × (offset + limit + 1). */
export const ROWS_MERGED_MAX = 100_000;

export type Rows = readonly (readonly Value[])[];

/** Plans, and how many shards answer each. @throws CardumeError `query-refused` when the rows would not fit in memory */
export function checkSize(asked: readonly { readonly plan: Plan; readonly shards: number }[]): void {
  const ordered = asked.filter(({ plan }) => plan.aggregate === null || plan.groups !== null);
  const rows = ordered.reduce((sum, { plan, shards }) => sum + shards * rowsMax(plan), 0);
  if (rows <= ROWS_MERGED_MAX) return; // other groups are counted as they come
  const lists = ordered.reduce((sum, { shards }) => sum + shards, 0);
  throw new CardumeError(
    'query-refused',
    `limit: over ${lists} shards offset and page have at most ${Math.floor(ROWS_MERGED_MAX / lists) - 1} rows`,
  );
}

/** Of a plan's parts, in order. */
export function merged(plan: Plan, parts: readonly Rows[]): Rows {
  return plan.aggregate === null ? mergeRows(plan, parts) : mergeGroups(plan, parts);
}

/** The first `plan.fetch` rows of all parts, each of which is in order. */
export function mergeRows(plan: Plan, parts: readonly Rows[]): Rows {
  const compare = rowOrder(plan);
  const merged: (readonly Value[])[] = [];
  const lists = parts.map((part) => part.values());
  for (const { item: row } of mergeLists(lists, compare, plan.fetch)) {
    const before = merged.at(-1);
    // Out of order, or twice: two shards hold the row, or the shard compares otherwise than the merge does.
    assert(
      before === undefined || compare(before, row) < 0,
      `rows of '${plan.table}' arrive in order, each once`,
    );
    merged.push(row);
  }
  return merged;
}

/** All groups behind the cursor, in order; each added up over the parts. */
export function mergeGroups(plan: Plan, parts: readonly Rows[]): Rows {
  const aggregation = plan.aggregate as Aggregation;
  const groups = accumulator(aggregation);
  const heldMax = plan.groups === null ? GROUPS_MAX : ROWS_MERGED_MAX;
  for (const part of parts) {
    // Also where groups are pushed down: a shard of the version before returns all of them, or as many as it may.
    if (part.length > GROUPS_MAX && part.length > (plan.groups ?? 0)) refuseGroups();
    for (const row of part) groups.add(row);
    if (groups.held > heldMax) refuseGroups();
  }
  const { having = [] } = aggregation;
  const places = having.map(({ column }) => plan.columns.indexOf(column));
  const compare = rowOrder(plan);
  const rows = groups
    .rows()
    .filter((row) => having.every((filter, i) => matches(row[places[i] as number] as Value, filter)))
    .sort(compare);
  if (plan.after === null) return rows;
  const after = decodeRow(plan.after);
  return rows.filter((row) => {
    const place = placeOf(plan, row, after);
    return place > 0 || (place === 0 && plan.isInclusive);
  });
}

function refuseGroups(): never {
  throw new CardumeError(
    'query-refused',
    `groupBy: there are more than ${GROUPS_MAX} groups, or different values that are counted`,
  );
}
