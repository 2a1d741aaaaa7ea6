/**
 * What a plan asks of several shards whose files are on one connection of SQLite: their rows in the first terms of its
 * order, each with its shard's place behind its columns. SQLite merges them as they are read where an index gives these
 * terms. There is no limit, with which it would keep rows to sort them: whoever reads stops.
 */
import type { Database } from '../host/disk.ts';
import type { Plan } from './plan.ts';
import { type Sql, selectBehind } from './sql.ts';
import { sqliteIn } from './sqlite.ts';

/** One statement after another, as those of `selectRows`. */
export function selectTogether(plan: Plan, schemas: readonly string[], terms: number): Sql[] {
  const order = plan.order
    .slice(0, terms)
    .map(({ at, descending }) => `${at + 1}${descending ? ' DESC' : ''}`)
    .join(', ');
  const arms = schemas.map((schema, i) => selectBehind(plan, sqliteIn(schema), [`${i} AS _shard`]));
  const [first = []] = arms;
  return first.map(({ values }, range) => ({
    text: `${arms.map((arm) => numbered((arm[range] as Sql).text)).join(' UNION ALL ')} ORDER BY ${order}`,
    values,
  }));
}

/** The arms have the same values. */
function numbered(text: string): string {
  let number = 0;
  return text.replaceAll('?', () => {
    number += 1;
    return `?${number}`;
  });
}

/** EXPLAIN QUERY PLAN's words for terms of an order that no index gives. */
const SORTED = 'USE TEMP B-TREE';
const SORTED_LAST = /^USE TEMP B-TREE FOR LAST (?:TERM|(\d+) TERMS) OF ORDER BY$/;

/** How many of the first terms of the plan's order an index gives. A word that SQLite changes costs time, not the answer. */
export function termsByIndex(database: Database, plan: Plan, schema: string): number {
  const all = plan.order.length;
  const given = selectTogether(plan, [schema], all).map(({ text, values }) => {
    const steps = database.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...values);
    const sorted = steps.map(({ detail }) => detail as string).find((step) => step.startsWith(SORTED));
    if (sorted === undefined) return all;
    const last = SORTED_LAST.exec(sorted);
    return last === null ? 0 : all - Number(last[1] ?? 1);
  });
  return Math.min(all, ...given);
}
