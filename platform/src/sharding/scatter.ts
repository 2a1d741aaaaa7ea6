/**
 * A query over several shards: each is asked for its part at the same time, and the parts merge into what one database
 * with all rows would answer. A shard that fails fails the query: a part of an answer is a wrong answer.
 */
import { assert } from '../base/assert.ts';
import { openMeter } from './bytes.ts';
import { refuse } from './check.ts';
import { unbounded, type Within } from './deadline.ts';
import { BROADCAST_BYTES_MAX, BROADCAST_ROWS_MAX, type PlannedJoin, type TableOf } from './join.ts';
import { checkSize, merged, mergeRows, type Rows } from './merge.ts';
import { cursorOf, type Plan, type PlannedQuery, planQuery } from './plan.ts';
import type { Query, QueryResult, UnionAll } from './query.ts';
import type { Value } from './table.ts';
import { mergeUnion, planUnion, unionCursor } from './union.ts';
import { encodeRow } from './wire.ts';

/** What a target knows of a plan. */
export interface Answered {
  /** Shards that were asked. */
  readonly shards: number;
  /** Each in the plan's order; together every row, once. */
  readonly parts: readonly Rows[];
}

/** Who holds rows, in groups of shards that are asked together: regions. */
export interface Cluster<Target> {
  readonly tableOf: TableOf;
  targetsOf(query: Query): readonly Target[];
  /** Runs the plan on all shards of a target. */
  ask(target: Target, service: string, plan: Plan, within: Within): Promise<Answered>;
}

/** The answer of a target with several shards, as few rows as will do. @param parts of its shards */
export function answered(plan: Plan, parts: readonly Rows[]): Answered {
  checkSize([{ plan, shards: parts.length }]);
  const meter = openMeter();
  for (const part of parts) meter.add(part);
  return { shards: parts.length, parts: plan.aggregate === null ? [mergeRows(plan, parts)] : parts };
}

/**
 * @param within its signal ends when a part has failed: `withDeadline`
 * @throws CardumeError `query-refused`, `invalid-cursor`, and whatever a shard's `ask` throws
 */
export async function gather<Target>(
  query: Query | UnionAll,
  cluster: Cluster<Target>,
  within: Within,
): Promise<QueryResult> {
  return 'unionAll' in query ? gatherUnion(query, cluster, within) : gatherQuery(query, cluster, within);
}

/** The same over shards that are asked one by one. @param shards together they hold every row once */
export function scatter<Shard>(
  query: Query | UnionAll,
  tableOf: TableOf,
  shards: readonly Shard[],
  ask: (shard: Shard, plan: Plan) => Promise<Rows>,
): Promise<QueryResult> {
  const cluster: Cluster<Shard> = {
    tableOf,
    targetsOf: () => shards,
    ask: async (shard, _service, plan) => ({ shards: 1, parts: [await ask(shard, plan)] }),
  };
  return gather(query, cluster, unbounded);
}

async function gatherQuery<Target>(
  query: Query,
  cluster: Cluster<Target>,
  within: Within,
): Promise<QueryResult> {
  const [list] = await listsOf([{ query, planned: planQuery(query, cluster.tableOf) }], cluster, within);
  const { plan, rows, shards } = list as List;
  const end = plan.offset + plan.limit;
  const page = rows.slice(plan.offset, end);
  const last = page.at(-1);
  return {
    rows: page.map((row) => shown(plan.columns.slice(0, plan.shown), row)),
    next: rows.length > end && last !== undefined ? cursorOf(plan, last) : null,
    shards,
  };
}

async function gatherUnion<Target>(
  query: UnionAll,
  cluster: Cluster<Target>,
  within: Within,
): Promise<QueryResult> {
  const union = planUnion(query, cluster.tableOf);
  const lists = await listsOf(union.parts, cluster, within);
  const rows = mergeUnion(union, lists);
  const end = union.offset + union.limit;
  const page = rows.slice(union.offset, end);
  const last = page.at(-1);
  return {
    rows: page.map(({ row }) => shown(union.columns, row)),
    next: rows.length > end && last !== undefined ? unionCursor(union, last) : null,
    shards: lists.reduce((sum, { shards }) => sum + shards, 0),
  };
}

interface Asked {
  readonly query: Query;
  readonly planned: PlannedQuery;
}

interface List {
  readonly plan: Plan;
  /** In order, at least as many as `plan.offset + plan.limit + 1` if there are. */
  readonly rows: Rows;
  readonly shards: number;
}

/** The answers of several plans, side by side, under one cap of rows and bytes. */
async function listsOf<Target>(
  asked: readonly Asked[],
  cluster: Cluster<Target>,
  within: Within,
): Promise<List[]> {
  const aims = asked.map(({ query, planned }) => ({ query, planned, targets: cluster.targetsOf(query) }));
  checkSize(aims.map(({ planned, targets }) => ({ plan: planned.plan, shards: targets.length })));
  const meter = openMeter();
  const answers = await Promise.all(
    aims.map(async ({ query, planned, targets }) => {
      const plan = await withValues(planned, cluster, within);
      const parts = await Promise.all(
        targets.map(async (target) => {
          const answer = await cluster.ask(target, query.service, plan, within);
          for (const rows of answer.parts) meter.add(rows);
          return answer;
        }),
      );
      const lists = parts.flatMap((answer) => answer.parts);
      return { plan, lists, shards: parts.reduce((sum, { shards }) => sum + shards, 0) };
    }),
  );
  checkSize(answers.map(({ plan, lists }) => ({ plan, shards: lists.length })));
  return answers.map(({ plan, lists, shards }) => ({ plan, shards, rows: merged(plan, lists) }));
}

/** The plan with the rows of its broadcast tables, which are read first. */
async function withValues<Target>(
  { plan, reads }: PlannedQuery,
  cluster: Cluster<Target>,
  within: Within,
): Promise<Plan> {
  if (reads.every((read) => read === null)) return plan;
  const joins = await Promise.all(
    plan.joins.map(async (join, i) => {
      const read = reads[i] ?? null;
      return read === null ? join : broadcast(join, read, cluster, within);
    }),
  );
  return { ...plan, joins };
}

async function broadcast<Target>(
  join: PlannedJoin,
  read: Query,
  cluster: Cluster<Target>,
  within: Within,
): Promise<PlannedJoin> {
  const { values, as } = join;
  const planned = planQuery(read, cluster.tableOf);
  assert(
    values !== null && values.columns.join() === planned.plan.columns.join(),
    'it is read as it was planned',
  );
  const [list] = await listsOf([{ query: read, planned }], cluster, within);
  const { rows } = list as List;
  if (rows.length > BROADCAST_ROWS_MAX)
    refuse(
      `join '${as}': a broadcast table has at most ${BROADCAST_ROWS_MAX.toLocaleString('en')} rows, and this one has more`,
    );
  openMeter(BROADCAST_BYTES_MAX, `join '${as}': the rows of a broadcast table take`).add(rows);
  return { ...join, values: { ...values, rows: rows.map(encodeRow) } };
}

function shown(columns: readonly string[], row: readonly Value[]): Record<string, Value> {
  return Object.fromEntries(columns.map((column, i) => [column, row[i] as Value]));
}
