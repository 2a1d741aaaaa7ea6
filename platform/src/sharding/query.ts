/**
 * A query over one table of a service's read models, over some or all of its shards. What the type does not say
 * cannot be asked; what a planner cannot answer rightly is refused (`query-refused`), never guessed.
 */
import type { RegionName, ServiceName } from '../topology/topology.ts';
import type { Value } from './table.ts';

export interface Query {
  readonly service: ServiceName;
  readonly table: string;
  readonly where?: readonly Filter[];
  /** Columns to return; all when left out. Not together with `aggregate`. */
  readonly select?: readonly string[];
  readonly orderBy?: readonly Order[];
  /** 1 to 1,000. */
  readonly limit?: number;
  /** Rows that are passed over first; not together with `after`, which costs no rows. At most 10,000. */
  readonly offset?: number;
  /** Continue behind a row of an earlier page: the opaque cursor of its result. */
  readonly after?: string;
  /** Different rows of `select` alone, each once. */
  readonly distinct?: boolean;
  readonly aggregate?: Aggregation;
  /** Only these partitions (place keys), when the caller knows where the rows are. */
  readonly partitions?: readonly number[];
  /** Only partitions whose home is this region. */
  readonly region?: RegionName;
}

export type Filter =
  | {
      readonly column: string;
      readonly op: '=' | '<>' | '<' | '<=' | '>' | '>=';
      readonly value: string | number;
    }
  | { readonly column: string; readonly op: 'prefix'; readonly value: string }
  | { readonly column: string; readonly op: 'in'; readonly value: readonly (string | number)[] }
  | { readonly column: string; readonly op: 'is-null' | 'is-not-null' };

export interface Order {
  readonly column: string;
  readonly direction: 'ascending' | 'descending';
}

export interface Aggregation {
  readonly groupBy: readonly string[];
  /** Output column → what it holds. */
  readonly columns: Readonly<Record<string, Output>>;
  /** Filters of the output columns. */
  readonly having?: readonly Filter[];
}

/**
 * Of a column, over the rows of a group; NULLs are passed over, as in SQL. `count` of `*` counts rows.
 *
 * - `sum` is of integer columns: exact, a bigint, 0 of nothing.
 * - `average` is of integer columns: the exact sum over the count, as a double; null of nothing.
 * - `min` and `max` are of any column that has an order; null of nothing.
 */
export type Output =
  | { readonly sum: string }
  | { readonly count: string }
  | { readonly min: string }
  | { readonly max: string }
  | { readonly average: string }
  | { readonly countDistinct: string };

export interface QueryResult {
  readonly rows: readonly Readonly<Record<string, Value>>[];
  /** Where the next page begins; null when this is the last. */
  readonly next: string | null;
  /** Shards that answered: all that were asked, or the query fails. */
  readonly shards: number;
}
