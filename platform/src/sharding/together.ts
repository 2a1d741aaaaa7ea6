/**
 * Several shards that are asked for the same rows are read together, no further than the answer needs: each returns its
 * part of the plan's first `fetch`, and what is held is the answer and a head of each list.
 *
 * Where an index gives the order's first terms, SQLite merges the shards of a connection by them, and what reaches us is
 * little more than the page. Rows that are equal in these terms come as they stand, and are put in order here; where that
 * are many, and where no index gives the order, each shard gives its own first rows.
 */
import { bytesOf, openMeter, QUERY_BYTES_MAX } from './bytes.ts';
import { mergeLists, type Taken } from './merge-lists.ts';
import { type Plan, rowOrder } from './plan.ts';
import type { ShardReader, Together } from './reader.ts';
import { selectRows } from './sql.ts';
import { sqlite, sqliteIn } from './sqlite.ts';
import type { Value } from './table.ts';

type Row = readonly Value[];
type List = Generator<Value[], void, undefined>;

/** @returns of each shard, in the readers' order, what `ShardReader.read` would, or less where others' rows come first */
export function readTogether(plan: Plan, readers: readonly ShardReader[]): Value[][][] {
  const shards = readers.flatMap((reader) => reader.schemas.map((schema) => ({ reader, schema })));
  if (plan.aggregate !== null || shards.length === 1)
    return shards.map(({ reader, schema }) => reader.read(plan, schema));
  return snapshot(readers, () => byIndex(plan, readers) ?? fromEach(plan, shards));
}

function snapshot<T>([reader, ...others]: readonly ShardReader[], work: () => T): T {
  return reader === undefined ? work() : reader.snapshot(() => snapshot(others, work));
}

/** The first of all lists; they are ended with it. */
function* merged(
  lists: readonly List[],
  compare: (a: Row, b: Row) => number,
  count: number,
): Generator<Taken<Value[]>, void, undefined> {
  try {
    yield* mergeLists(lists, compare, count);
  } finally {
    for (const list of lists) list.return();
  }
}

/** In the whole order; for its limit SQLite sorts no more rows than are wanted. */
function fromEach(
  plan: Plan,
  shards: readonly { readonly reader: ShardReader; readonly schema: string }[],
): Value[][][] {
  const lists = shards.map(({ reader, schema }) => {
    const selects = selectRows(plan, sqliteIn(schema));
    return reader.rows(selects.map(({ text, values }) => ({ text, values: [...values, plan.fetch] })));
  });
  const parts: Value[][][] = shards.map(() => []);
  const meter = openMeter();
  for (const { item, from } of merged(lists, rowOrder(plan), plan.fetch)) {
    meter.add([item]);
    parts[from]?.push(item);
  }
  return parts;
}

/** Null where no index gives the order, or where too many rows are equal in what it gives. */
function byIndex(plan: Plan, readers: readonly ShardReader[]): Value[][][] | null {
  if (plan.joins.length > 0) return null;
  const selects = selectRows(plan, sqlite);
  const together = readers.map((reader) => reader.together(plan, selects));
  const terms = Math.min(...together.map((one) => one.terms));
  if (terms === 0) return null;
  const compare = rowOrder(plan, terms);
  const lists = readers.map(({ rows }, i) => rows((together[i] as Together).selects));
  const found: Taken<Value[]>[] = [];
  let bytes = 0;
  for (const taken of merged(lists, compare, 2 * plan.fetch)) {
    const last = found.at(-1);
    if (last !== undefined && found.length >= plan.fetch && compare(last.item, taken.item) !== 0) break;
    found.push(taken);
    bytes += bytesOf(taken.item);
    if (found.length === 2 * plan.fetch || bytes > QUERY_BYTES_MAX) return null;
  }
  const whole = rowOrder(plan);
  const parts = readers.map(({ schemas }) => schemas.map((): Value[][] => []));
  for (const { item, from } of found.sort((a, b) => whole(a.item, b.item)).slice(0, plan.fetch)) {
    const place = item.pop() as number;
    parts[from]?.[place]?.push(item);
  }
  return parts.flat();
}
