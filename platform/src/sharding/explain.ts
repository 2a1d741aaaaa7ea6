/** What a query would do, for whoever wonders: which shards it asks, what each returns, how the parts merge. */
import { columnOf, groupColumns } from './aggregates.ts';
import { QUERY_BYTES_MAX } from './bytes.ts';
import { BROADCAST_BYTES_MAX, BROADCAST_ROWS_MAX, type PlannedJoin, type TableOf } from './join.ts';
import { checkSize, ROWS_MERGED_MAX } from './merge.ts';
import { GROUPS_MAX, type Plan, type PlannedQuery, planQuery } from './plan.ts';
import type { Filter, Output, Query, UnionAll } from './query.ts';
import { rowsMax } from './sql.ts';
import type { Target } from './target.ts';
import { planUnion } from './union.ts';

export interface Explanation {
  /** One of a query, one for each query of a union. */
  readonly parts: readonly ExplainedPart[];
  /** What whoever asked does with all parts together, in order; nothing when there is one. */
  readonly merge: readonly string[];
  /** Rows in memory while they merge, at most. */
  readonly rowsMax: number;
  /** What these may take. */
  readonly bytesMax: number;
  /** For all of it. */
  readonly deadlineMs: number;
}

export interface ExplainedPart {
  /** What is read before, and sent along: broadcast tables. */
  readonly reads: readonly ExplainedPart[];
  /** Shards that are asked, all at the same time; each once. */
  readonly targets: readonly Target[];
  /** What each of them does, in order. */
  readonly shard: readonly string[];
  /** What whoever asked does with their answers, in order. */
  readonly merge: readonly string[];
}

type TargetsOf = (query: Query) => Promise<readonly Target[]>;

/** @throws CardumeError as `gather` does for a query that it refuses */
export async function explain(
  query: Query | UnionAll,
  tableOf: TableOf,
  targetsOf: TargetsOf,
  deadlineMs: number,
): Promise<Explanation> {
  const union = 'unionAll' in query ? planUnion(query, tableOf) : null;
  const asked = union?.parts ?? [{ query: query as Query, planned: planQuery(query as Query, tableOf) }];
  const parts = await Promise.all(
    asked.map((part) => explainPart(part.query, part.planned, tableOf, targetsOf, union === null)),
  );
  const sizes = asked.map(({ planned }, i) => ({
    plan: planned.plan,
    shards: (parts[i] as ExplainedPart).targets.length,
  }));
  checkSize(sizes);
  return {
    parts,
    merge: union === null ? [] : unionSteps(union),
    rowsMax: sizes.reduce((sum, { plan, shards }) => sum + shards * rowsMax(plan), 0),
    bytesMax: QUERY_BYTES_MAX,
    deadlineMs,
  };
}

async function explainPart(
  query: Query,
  { plan, reads }: PlannedQuery,
  tableOf: TableOf,
  targetsOf: TargetsOf,
  isWhole: boolean,
): Promise<ExplainedPart> {
  const before = reads.filter((read) => read !== null);
  const targets = await targetsOf(query);
  return {
    reads: await Promise.all(
      before.map((read) => explainPart(read, planQuery(read, tableOf), tableOf, targetsOf, false)),
    ),
    targets,
    shard: shardSteps(plan),
    merge: mergeSteps(plan, targets.length, isWhole),
  };
}

/** As lines of text. */
export function explanationText({ parts, merge, rowsMax, bytesMax, deadlineMs }: Explanation): string {
  const number = (value: number): string => value.toLocaleString('en');
  return [
    ...parts.flatMap((part, i) => [
      ...(parts.length > 1 ? [`query ${i + 1} of the union`] : []),
      ...partLines(part),
    ]),
    ...merge.map((step) => `then: ${step}`),
    `at most ${number(rowsMax)} rows in memory, of ${number(ROWS_MERGED_MAX)} that are allowed`,
    `at most ${number(bytesMax)} bytes, within ${number(deadlineMs)} ms`,
  ].join('\n');
}

function partLines({ reads, targets, shard, merge }: ExplainedPart): string[] {
  const asked = targets.map(({ region, shard }) => `${region}/${shard}`);
  return [
    ...reads.flatMap((read) => [
      'before: a table that is broadcast',
      ...partLines(read).map((line) => `  ${line}`),
    ]),
    `${targets.length} ${targets.length === 1 ? 'shard' : 'shards'}: ${asked.join(', ') || 'none'}`,
    ...shard.map((step) => `  each: ${step}`),
    ...merge.map((step) => `  then: ${step}`),
  ];
}

function shardSteps(plan: Plan): string[] {
  const { aggregate } = plan;
  const where = plan.where.map(filterText).join('');
  const steps =
    plan.joins.length === 0
      ? [`read ${plan.table}${where}`]
      : [`read ${plan.table}`, ...plan.joins.map(joinText)];
  if (plan.joins.length > 0 && where !== '') steps.push(`keep rows${where}`);
  if (plan.partitions !== null) steps.push(`only partitions ${plan.partitions.join(', ')}`);
  if (aggregate !== null) {
    const { own, counted } = groupColumns(aggregate);
    const by = [...own, ...counted];
    const outputs = Object.entries(aggregate.columns).map(
      ([name, output]) => `${name} = ${outputText(output)}`,
    );
    steps.push(
      `group by ${by.join(', ') || 'nothing'}${outputs.length > 0 ? `: ${outputs.join(', ')}` : ''}`,
    );
  }
  if (aggregate === null || plan.groups !== null) {
    if (plan.after !== null) steps.push('begin behind the cursor');
    steps.push(`order by ${orderText(plan)}`, `return the first ${rowsMax(plan)}`);
  } else steps.push(`return all groups, at most ${GROUPS_MAX.toLocaleString('en')}`);
  return steps;
}

/** @param isWhole its page is the caller's, not what a union or a join goes on with */
function mergeSteps(plan: Plan, shards: number, isWhole: boolean): string[] {
  const { aggregate } = plan;
  const steps: string[] = [];
  if (aggregate === null) {
    if (shards > 1) steps.push(`merge ${shards} ordered lists`);
  } else {
    steps.push('add up the parts of each group');
    const { having = [] } = aggregate;
    if (having.length > 0) steps.push(`keep groups${having.map(filterText).join('')}`);
    steps.push(`order by ${orderText(plan)}`);
    if (plan.after !== null) steps.push('begin behind the cursor');
  }
  if (isWhole) steps.push(...pageSteps(plan));
  return steps;
}

function pageSteps({ offset, limit }: { readonly offset: number; readonly limit: number }): string[] {
  return [...(offset > 0 ? [`pass over ${offset}`] : []), `take ${limit}`];
}

function unionSteps(union: ReturnType<typeof planUnion>): string[] {
  const [first] = union.parts;
  const order = (first?.planned.plan.order ?? []).slice(0, union.ordered);
  const by = [...order.map(columnText), 'the place of the query'].join(', ');
  return [`merge ${union.parts.length} lists by ${by}`, ...pageSteps(union)];
}

function orderText({ order }: Plan): string {
  return order.map(columnText).join(', ');
}

function columnText({
  column,
  descending,
}: {
  readonly column: string;
  readonly descending: boolean;
}): string {
  return `${column}${descending ? ' descending' : ''}`;
}

function joinText({ type, table, as, on, values }: PlannedJoin): string {
  const name = as === table ? table : `${table} as ${as}`;
  const where =
    values === null
      ? 'of the same partition'
      : `sent along, at most ${BROADCAST_ROWS_MAX.toLocaleString('en')} rows and ${BROADCAST_BYTES_MAX.toLocaleString('en')} bytes`;
  const equal = on.map(({ left, right }) => `${left} = ${as}.${right}`).join(' and ');
  return `${type} join ${name} on ${equal} (${where})`;
}

function outputText(output: Output): string {
  return `${Object.keys(output)[0]}(${columnOf(output)})`;
}

function filterText(filter: Filter, i: number): string {
  const value = 'value' in filter ? ` ${JSON.stringify(filter.value)}` : '';
  return `${i === 0 ? ' where' : ' and'} ${filter.column} ${filter.op}${value}`;
}
