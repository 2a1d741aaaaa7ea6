/**
 * A query over several shards: each is asked for its part at the same time, and the parts merge into what one database
 * with all rows would answer. A shard that fails fails the query: a part of an answer is a wrong answer.
 */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';
import { cursorOf, GROUPS_MAX, type Plan, planQuery, rowOrder } from './plan.ts';
import type { Query, QueryResult } from './query.ts';
import type { Table, Value } from './table.ts';
import { decodeRow } from './wire.ts';

/** Rows in memory while they merge: shards × (limit + 1). */
export const ROWS_MERGED_MAX = 100_000;

type Rows = readonly (readonly Value[])[];

/**
 * @param shards whatever `ask` understands; together they hold every row once
 * @param ask runs the plan on one shard (`ShardReader.read`), here or on a peer
 * @throws CardumeError `query-refused`, `invalid-cursor`, and whatever a shard's `ask` throws
 */
export async function scatter<Shard>(
  query: Query,
  table: Table,
  shards: readonly Shard[],
  ask: (shard: Shard, plan: Plan) => Promise<Rows>,
): Promise<QueryResult> {
  const plan = planQuery(query, table);
  if (plan.aggregate === null && shards.length * plan.fetch > ROWS_MERGED_MAX) {
    const rows = Math.floor(ROWS_MERGED_MAX / shards.length) - 1;
    throw new CardumeError(
      'query-refused',
      `limit: over ${shards.length} shards a page has at most ${rows} rows`,
    );
  }
  const parts = await Promise.all(shards.map((shard) => ask(shard, plan)));
  const rows = plan.aggregate === null ? mergeRows(plan, parts) : mergeGroups(plan, parts);
  const page = rows.slice(0, plan.limit);
  const last = page.at(-1);
  return {
    rows: page.map((row) => shown(plan, row)),
    next: rows.length > plan.limit && last !== undefined ? cursorOf(plan, last) : null,
    shards: shards.length,
  };
}

/** The first `plan.fetch` rows of all parts, each of which is in order. */
export function mergeRows(plan: Plan, parts: readonly Rows[]): Rows {
  const compare = rowOrder(plan);
  const heads = parts.map(() => 0);
  const merged: (readonly Value[])[] = [];
  while (merged.length < plan.fetch) {
    let least: readonly Value[] | undefined;
    let from = 0;
    for (let i = 0; i < parts.length; i += 1) {
      const row = parts[i]?.[heads[i] as number];
      if (row === undefined || (least !== undefined && compare(row, least) >= 0)) continue;
      least = row;
      from = i;
    }
    if (least === undefined) break;
    heads[from] = (heads[from] as number) + 1;
    const before = merged.at(-1);
    // Out of order, or twice: two shards hold the row, or the shard compares otherwise than the merge does.
    assert(
      before === undefined || compare(before, least) < 0,
      `rows of '${plan.table}' arrive in order, each once`,
    );
    merged.push(least);
  }
  return merged;
}

/** All groups behind the cursor, in order; their sums and counts added up over the parts. */
export function mergeGroups(plan: Plan, parts: readonly Rows[]): Rows {
  const outputs = Object.values(plan.aggregate?.columns ?? {});
  const groupsAt = plan.columns.length - outputs.length;
  const merged = new Map<string, Value[]>();
  // Without groups there is one row, also over no shard at all.
  if (groupsAt === 0)
    merged.set(
      '[]',
      outputs.map((output) => ('sum' in output ? 0n : 0)),
    );
  for (const row of parts.flat()) {
    const group = JSON.stringify(row.slice(0, groupsAt));
    const total = merged.get(group);
    if (total === undefined) {
      merged.set(group, [...row]);
      if (merged.size > GROUPS_MAX) {
        throw new CardumeError('query-refused', `groupBy: there are more than ${GROUPS_MAX} groups`);
      }
      continue;
    }
    for (let i = groupsAt; i < row.length; i += 1) {
      total[i] = ((total[i] as number) + (row[i] as number)) as Value;
    }
  }
  const compare = rowOrder(plan);
  const groups = [...merged.values()].sort(compare);
  if (plan.after === null) return groups;
  const after = decodeRow(plan.after);
  const seek: Value[] = plan.columns.map(() => null);
  for (const [i, { at }] of plan.order.entries()) seek[at] = after[i] as Value;
  return groups.filter((group) => compare(group, seek) > 0);
}

function shown(plan: Plan, row: readonly Value[]): Record<string, Value> {
  const result: Record<string, Value> = {};
  for (let i = 0; i < plan.shown; i += 1) result[plan.columns[i] as string] = row[i] as Value;
  return result;
}
