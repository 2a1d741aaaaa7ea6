/** What a query would do, for whoever wonders: which shards it asks, what each returns, how the parts merge. */
import { columnOf, groupColumns } from './aggregates.ts';
import { GROUPS_MAX, type Plan, planQuery } from './plan.ts';
import type { Filter, Output, Query } from './query.ts';
import { checkSize, ROWS_MERGED_MAX } from './scatter.ts';
import { rowsMax } from './sql.ts';
import type { Table } from './table.ts';
import type { Target } from './target.ts';

export interface Explanation {
  /** Shards that are asked, all at the same time; each once. */
  readonly targets: readonly Target[];
  /** What each of them does, in order. */
  readonly shard: readonly string[];
  /** What whoever asked does with their answers, in order. */
  readonly merge: readonly string[];
  /** Rows in memory while they merge, at most. */
  readonly rowsMax: number;
}

/** @throws CardumeError as `scatter` does for a query that it refuses */
export function explain(query: Query, table: Table, targets: readonly Target[]): Explanation {
  const plan = planQuery(query, table);
  checkSize(plan, targets.length);
  return {
    targets,
    shard: shardSteps(plan),
    merge: mergeSteps(plan, targets.length),
    rowsMax: targets.length * rowsMax(plan),
  };
}

/** As lines of text. */
export function explanationText({ targets, shard, merge, rowsMax }: Explanation): string {
  const asked = targets.map(({ region, shard }) => `${region}/${shard}`);
  return [
    `${targets.length} ${targets.length === 1 ? 'shard' : 'shards'}: ${asked.join(', ') || 'none'}`,
    ...shard.map((step) => `  each: ${step}`),
    ...merge.map((step) => `  then: ${step}`),
    `  at most ${rowsMax.toLocaleString('en')} rows in memory, of ${ROWS_MERGED_MAX.toLocaleString('en')} that are allowed`,
  ].join('\n');
}

function shardSteps(plan: Plan): string[] {
  const { aggregate } = plan;
  const steps = [`read ${plan.table}${plan.where.map(filterText).join('')}`];
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

function mergeSteps(plan: Plan, shards: number): string[] {
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
  if (plan.offset > 0) steps.push(`pass over ${plan.offset}`);
  steps.push(`take ${plan.limit}`);
  return steps;
}

function orderText({ order }: Plan): string {
  return order.map(({ column, descending }) => `${column}${descending ? ' descending' : ''}`).join(', ');
}

function outputText(output: Output): string {
  return `${Object.keys(output)[0]}(${columnOf(output)})`;
}

function filterText(filter: Filter, i: number): string {
  const value = 'value' in filter ? ` ${JSON.stringify(filter.value)}` : '';
  return `${i === 0 ? ' where' : ' and'} ${filter.column} ${filter.op}${value}`;
}
