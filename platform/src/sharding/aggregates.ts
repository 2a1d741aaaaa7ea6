/**
 * Aggregates over shards: what each shard returns for an output, how the parts of a group add up, and what the output is
 * in the end. A sum or count adds, a minimum or maximum is one of the parts', an average is a sum and a count until the
 * end. Different values are counted by value, so shards group by that column as well, and the merge holds the values.
 */
import { unreachable } from '../base/assert.ts';
import { compareValues } from './compare.ts';
import type { Aggregation, Output } from './query.ts';
import type { ColumnType, Table, Value } from './table.ts';

/** One cell of a shard's group. */
export interface Part {
  readonly kind: 'sum' | 'count' | 'min' | 'max';
  /** `*`: of whole rows, for a count. */
  readonly column: string;
}

/** Cells that a shard returns for an output, in order. */
export function partsOf(output: Output): readonly Part[] {
  if ('sum' in output) return [{ kind: 'sum', column: output.sum }];
  if ('count' in output) return [{ kind: 'count', column: output.count }];
  if ('min' in output) return [{ kind: 'min', column: output.min }];
  if ('max' in output) return [{ kind: 'max', column: output.max }];
  if ('average' in output)
    return [
      { kind: 'sum', column: output.average },
      { kind: 'count', column: output.average },
    ];
  if ('countDistinct' in output) return [];
  return unreachable(output);
}

/** The column that an output is of; `*` for a count of rows. */
export function columnOf(output: Output): string {
  return Object.values(output)[0] as string;
}

/** What shards group by: the caller's columns, then those whose values are counted. */
export function groupColumns({ groupBy, columns }: Aggregation): {
  readonly own: string[];
  readonly counted: string[];
} {
  const own = [...new Set(groupBy)];
  const distinct = Object.values(columns).filter((output) => 'countDistinct' in output);
  const counted = [...new Set(distinct.map(columnOf))].filter((column) => !own.includes(column));
  return { own, counted };
}

export type OutputType = ColumnType | 'sum';

export function typeOfOutput(output: Output, table: Table): OutputType {
  if ('sum' in output) return 'sum';
  if ('average' in output) return 'real';
  if ('min' in output || 'max' in output) return table.columns[columnOf(output)] as ColumnType;
  return 'integer';
}

/** A group while its parts arrive. */
interface Group {
  readonly own: readonly Value[];
  readonly parts: Value[];
  /** By counted column: its values. */
  readonly seen: ReadonlyMap<string, Set<Value>>;
}

/** Adds up rows of shards: cells of `groupColumns`, then of all outputs' parts. */
export function accumulator(aggregation: Aggregation) {
  const { own, counted } = groupColumns(aggregation);
  const outputs = Object.values(aggregation.columns);
  const parts = outputs.flatMap(partsOf);
  const partsAt = own.length + counted.length;
  const distinct = [...new Set(outputs.filter((output) => 'countDistinct' in output).map(columnOf))];
  const groups = new Map<string, Group>();

  const newGroup = (cells: readonly Value[]): Group => ({
    own: cells,
    parts: parts.map(({ kind }) => (kind === 'sum' ? 0n : kind === 'count' ? 0 : null)),
    seen: new Map(distinct.map((column) => [column, new Set<Value>()])),
  });
  // Without groups there is one row, also over no shard at all.
  if (own.length === 0) groups.set('[]', newGroup([]));

  return {
    add(row: readonly Value[]): void {
      const cells = row.slice(0, own.length);
      const name = JSON.stringify(cells);
      let group = groups.get(name);
      if (group === undefined) {
        group = newGroup(cells);
        groups.set(name, group);
      }
      for (const [i, { kind }] of parts.entries())
        group.parts[i] = merged(kind, group.parts[i] as Value, row[partsAt + i] as Value);
      for (const [column, values] of group.seen) {
        const at = own.includes(column) ? own.indexOf(column) : own.length + counted.indexOf(column);
        const value = row[at] as Value;
        if (value !== null) values.add(value);
      }
    },
    /** Groups, and values that are remembered to be counted. */
    get held(): number {
      let held = groups.size;
      if (distinct.length > 0)
        for (const { seen } of groups.values()) for (const values of seen.values()) held += values.size;
      return held;
    },
    /** Of the groups' columns and the outputs. */
    rows(): Value[][] {
      return [...groups.values()].map((group) => {
        let at = 0;
        const finished = outputs.map((output): Value => {
          const of = group.parts.slice(at, at + partsOf(output).length);
          at += of.length;
          return finish(output, of, group.seen);
        });
        return [...group.own, ...finished];
      });
    },
  };
}

function merged(kind: Part['kind'], a: Value, b: Value): Value {
  if (kind === 'sum' || kind === 'count') return ((a as number) + (b as number)) as Value;
  if (a === null || b === null) return a ?? b;
  const isLess = compareValues(a, b) < 0;
  return isLess === (kind === 'min') ? a : b;
}

function finish(output: Output, parts: readonly Value[], seen: Group['seen']): Value {
  if ('countDistinct' in output) return (seen.get(output.countDistinct) as Set<Value>).size;
  if (!('average' in output)) return parts[0] as Value;
  const [sum, count] = parts as [bigint, number];
  if (count === 0) return null;
  const by = BigInt(count);
  return Number(sum / by) + Number(sum % by) / count;
}
