/**
 * UNION ALL: each query of it is planned, pushed down and merged as it would be alone, and the lists merge once more.
 *
 * The order is total: by the union's columns, then by the place of the query, then in the query's own order. A cursor
 * names the query of the last row and that query's own cursor. The queries before have given all rows that are equal to
 * it in the union's columns and go on behind them; those after it have given none of these, and begin with them.
 */
import type { OutputType } from './aggregates.ts';
import { refuse } from './check.ts';
import { compareValues } from './compare.ts';
import { decodeCursor, encodeCursor, invalidCursor } from './cursor.ts';
import type { TableOf } from './join.ts';
import type { Rows } from './merge.ts';
import {
  cursorOf,
  orderBy,
  type Plan,
  type PlannedOrder,
  type PlannedQuery,
  pageOf,
  planQuery,
} from './plan.ts';
import type { Query, UnionAll, UnionPart } from './query.ts';
import type { Value } from './table.ts';

export const UNION_PARTS_MAX = 8;

export interface PlannedUnion {
  /** What has nothing left behind the cursor stands no more among them. */
  readonly parts: readonly PlannedPart[];
  /** Of the first query, which names them all. */
  readonly columns: readonly string[];
  /** How many columns the union is ordered by: each plan's order begins with them. */
  readonly ordered: number;
  readonly limit: number;
  readonly offset: number;
  readonly shape: string;
}

export interface PlannedPart {
  /** Its place in the union. */
  readonly at: number;
  readonly query: Query;
  readonly planned: PlannedQuery;
}

/** @throws CardumeError `query-refused` with the reason, `invalid-cursor` */
export function planUnion(union: UnionAll, tableOf: TableOf): PlannedUnion {
  const { unionAll: asked, after } = union;
  if (asked.length < 2 || asked.length > UNION_PARTS_MAX)
    refuse(`unionAll: expected 2 to ${UNION_PARTS_MAX} queries, got ${asked.length}`);
  const { limit, offset } = pageOf(union);
  const order = orderBy(union);
  for (const [i, part] of asked.entries()) checkPart(part, i);
  // A first time without an order, since the columns of the others meet those of the first by place.
  const outputs = asked.map((part) => outputOf(planQuery(part, tableOf)));
  const [first] = outputs as [Output];
  for (const [i, output] of outputs.entries()) checkOutput(first, output, i);
  const places = order.map(({ column }) => {
    const at = first.columns.indexOf(column);
    if (at < 0)
      refuse(
        `orderBy: '${column.slice(0, 60)}' is not a column of the first query; they are ${first.columns.join(', ')}`,
      );
    return at;
  });
  const queries = asked.map((part, i): Query => {
    const { columns } = outputs[i] as Output;
    const own = order.map(({ direction }, j) => ({
      column: columns[places[j] as number] as string,
      direction,
    }));
    return { ...part, orderBy: own, limit, offset };
  });
  const planned = queries.map((query) => planQuery(query, tableOf));
  const shape = JSON.stringify(['union all', order.length, ...planned.map(({ plan }) => plan.shape)]);
  const all = queries.map((query, at): PlannedPart => ({ at, query, planned: planned[at] as PlannedQuery }));
  const parts = after === undefined ? all : behind(all, after, shape, order.length, tableOf);
  return { parts, columns: first.columns, ordered: order.length, limit, offset, shape };
}

interface Output {
  readonly columns: readonly string[];
  readonly types: readonly OutputType[];
}

function outputOf({ plan, types }: PlannedQuery): Output {
  return { columns: plan.columns.slice(0, plan.shown), types: types.slice(0, plan.shown) };
}

/** For callers without types. */
function checkPart(part: UnionPart, i: number): void {
  for (const name of ['orderBy', 'limit', 'offset', 'after', 'unionAll'])
    if (Object.hasOwn(part, name))
      refuse(`unionAll: query ${i + 1} has ${name}; it is for the whole union alone`);
}

function checkOutput(first: Output, { columns, types }: Output, i: number): void {
  if (columns.length !== first.columns.length)
    refuse(
      `unionAll: the first query has ${first.columns.length} columns, query ${i + 1} has ${columns.length}`,
    );
  for (const [at, type] of types.entries()) {
    if (type !== first.types[at])
      refuse(
        `unionAll: '${columns[at]}' of query ${i + 1} is ${type}, '${first.columns[at]}' of the first is ${first.types[at]}`,
      );
  }
}

function behind(
  parts: readonly PlannedPart[],
  cursor: string,
  shape: string,
  ordered: number,
  tableOf: TableOf,
): PlannedPart[] {
  const [last, own] = decodeCursor(cursor, shape, ['integer', 'text']) as [number | null, string | null];
  const part = parts[last ?? -1];
  if (part === undefined || own === null) throw invalidCursor(cursor);
  const continued = { ...part, planned: planQuery({ ...part.query, after: own }, tableOf) };
  const common = (continued.planned.plan.after ?? []).slice(0, ordered);
  return parts
    .filter(({ at }) => at >= part.at || ordered > 0)
    .map((one) => {
      if (one === part) return continued;
      const plan: Plan = { ...one.planned.plan, after: common, isInclusive: one.at > part.at };
      return { ...one, planned: { ...one.planned, plan } };
    });
}

export interface UnionRow {
  readonly part: PlannedPart;
  readonly row: readonly Value[];
}

/** The first `offset + limit + 1` rows. @param lists of the parts, in their order */
export function mergeUnion(
  { parts, ordered, offset, limit }: PlannedUnion,
  lists: readonly { readonly rows: Rows }[],
): UnionRow[] {
  const heads = parts.map(() => 0);
  const found: UnionRow[] = [];
  while (found.length <= offset + limit) {
    let least: UnionRow | undefined;
    let from = 0;
    for (const [i, part] of parts.entries()) {
      const row = lists[i]?.rows[heads[i] as number];
      if (row === undefined) continue;
      const head = { part, row };
      if (least !== undefined && compareHeads(head, least, ordered) >= 0) continue; // the earlier query first
      least = head;
      from = i;
    }
    if (least === undefined) break;
    heads[from] = (heads[from] as number) + 1;
    found.push(least);
  }
  return found;
}

function compareHeads(a: UnionRow, b: UnionRow, ordered: number): number {
  for (let i = 0; i < ordered; i += 1) {
    const { at, descending } = a.part.planned.plan.order[i] as PlannedOrder;
    const other = b.part.planned.plan.order[i] as PlannedOrder;
    const difference = compareValues(a.row[at] as Value, b.row[other.at] as Value);
    if (difference !== 0) return descending ? -difference : difference;
  }
  return 0;
}

export function unionCursor({ shape }: PlannedUnion, { part, row }: UnionRow): string {
  return encodeCursor(shape, [part.at, cursorOf(part.planned.plan, row)]);
}
