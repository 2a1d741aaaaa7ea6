/**
 * A query over several shards: each is asked for its part at the same time, and the parts merge into what one database
 * with all rows would answer. A shard that fails fails the query: a part of an answer is a wrong answer.
 */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';
import { accumulator } from './aggregates.ts';
import { matches } from './filter.ts';
import { cursorOf, GROUPS_MAX, type Plan, planQuery, rowOrder } from './plan.ts';
import type { Aggregation, Query, QueryResult } from './query.ts';
import { rowsMax } from './sql.ts';
import type { Table, Value } from './table.ts';
import { decodeRow } from './wire.ts';

/** Rows in memory while they merge: shards × (limit + 1). */
export const ROWS_MERGED_MAX = 100_000;

export type Rows = readonly (readonly Value[])[];

/** What a target knows of a plan. */
export interface Answered {
  /** Shards that were asked. */
  readonly shards: number;
  /** Each in the plan's order; together every row, once. */
  readonly parts: readonly Rows[];
}

/** The answer of a target with several shards, as few rows as will do. @param parts of its shards */
export function answered(plan: Plan, parts: readonly Rows[]): Answered {
  checkSize(plan, parts.length);
  return { shards: parts.length, parts: plan.aggregate === null ? [mergeRows(plan, parts)] : parts };
}

/**
 * @param shards whatever `ask` understands; together they hold every row once
 * @param ask runs the plan on one shard (`ShardReader.read`)
 * @throws CardumeError `query-refused`, `invalid-cursor`, and whatever a shard's `ask` throws
 */
export function scatter<Shard>(
  query: Query,
  table: Table,
  shards: readonly Shard[],
  ask: (shard: Shard, plan: Plan) => Promise<Rows>,
): Promise<QueryResult> {
  return gather(query, table, shards, async (shard, plan) => ({
    shards: 1,
    parts: [await ask(shard, plan)],
  }));
}

/** The same over targets that have several shards each: regions. @param ask runs the plan on all shards of a target */
export async function gather<Target>(
  query: Query,
  table: Table,
  targets: readonly Target[],
  ask: (target: Target, plan: Plan) => Promise<Answered>,
): Promise<QueryResult> {
  const plan = planQuery(query, table);
  checkSize(plan, targets.length);
  const answers = await Promise.all(targets.map((target) => ask(target, plan)));
  const parts = answers.flatMap((answer) => answer.parts);
  checkSize(plan, parts.length);
  const rows = plan.aggregate === null ? mergeRows(plan, parts) : mergeGroups(plan, parts);
  const end = plan.offset + plan.limit;
  const page = rows.slice(plan.offset, end);
  const last = page.at(-1);
  return {
    rows: page.map((row) => shown(plan, row)),
    next: rows.length > end && last !== undefined ? cursorOf(plan, last) : null,
    shards: answers.reduce((sum, answer) => sum + answer.shards, 0),
  };
}

/** @throws CardumeError `query-refused` when the parts would not fit in memory */
export function checkSize(plan: Plan, shards: number): void {
  if (plan.aggregate !== null && plan.groups === null) return; // groups are counted as they come
  if (shards * rowsMax(plan) <= ROWS_MERGED_MAX) return;
  const rows = Math.floor(ROWS_MERGED_MAX / shards) - 1;
  throw new CardumeError(
    'query-refused',
    `limit: over ${shards} shards offset and page have at most ${rows} rows`,
  );
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
  const seek: Value[] = plan.columns.map(() => null);
  for (const [i, { at }] of plan.order.entries()) seek[at] = after[i] as Value;
  return rows.filter((row) => compare(row, seek) > 0);
}

function refuseGroups(): never {
  throw new CardumeError(
    'query-refused',
    `groupBy: there are more than ${GROUPS_MAX} groups, or different values that are counted`,
  );
}

function shown(plan: Plan, row: readonly Value[]): Record<string, Value> {
  const result: Record<string, Value> = {};
  for (let i = 0; i < plan.shown; i += 1) result[plan.columns[i] as string] = row[i] as Value;
  return result;
}
