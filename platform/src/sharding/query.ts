/**
 * A query over a table of a service's read models, joined with others or not, over some or all of its shards. What the
 * type does not say cannot be asked; what a planner cannot answer rightly is refused (`query-refused`), never guessed.
 */
import type { RegionName, ServiceName } from '../topology/topology.ts';
import type { Value } from './table.ts';

export interface Query {
  readonly service: ServiceName;
  readonly table: string;
  /** Up to 4, from left to right. Whatever names a column may then name theirs, as `lines.quantity`. */
  readonly join?: readonly Join[];
  /** Of the rows that the joins give. */
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

export interface Join {
  /** `inner`: each pair of rows that match. `left`: rows without a match as well, with NULL in the columns of this table. */
  readonly type: 'inner' | 'left';
  readonly table: string;
  /** What its columns are called by; the table's name when left out. */
  readonly as?: string;
  /**
   * 1 to 8 pairs that are equal: a column of the tables before, and one of this table, without its name. NULL equals
   * nothing. One pair must be of both tables' sharding columns (`Table.shardedBy`), or the table is broadcast.
   */
  readonly on: readonly { readonly left: string; readonly right: string }[];
  /** The table is small: it is read first, from all of its shards, and goes along with the plan. At most 1,000 rows. */
  readonly broadcast?: boolean;
  /** Of a broadcast table; the query's own when left out. */
  readonly service?: ServiceName;
}

/** All rows of 2 to 8 queries, in one list. Columns are called as in the first; the others' meet them by place. */
export interface UnionAll {
  readonly unionAll: readonly UnionPart[];
  /** By columns of the first query. Rows that are equal in them stand in the order of their queries. */
  readonly orderBy?: readonly Order[];
  /** As those of a query, over all rows together. */
  readonly limit?: number;
  readonly offset?: number;
  readonly after?: string;
}

export type UnionPart = Omit<Query, 'orderBy' | 'limit' | 'offset' | 'after'>;

/** What an asker allows. */
export interface QueryBounds {
  /** For all shards, and all that the query reads; the topology's `readDeadlineMs` when left out, which is also the most. */
  readonly deadlineMs?: number;
  /** The asker goes away: scans that run for it are ended where they run. */
  readonly signal?: AbortSignal;
  /** How old the answer may be, so that replicas may give it; when left out it is the newest. */
  readonly freshness?: Freshness | null;
}

/** JSON: it travels with what is asked. */
export interface Freshness {
  /** Every write that was acknowledged longer ago than this is in the answer. More than 60,000 is taken for that; 0 is the newest. */
  readonly maxStalenessMs: number;
  /** Besides, what a consistency token names, if it is of the service that is read. */
  readonly seen?: { readonly service: ServiceName; readonly token: string } | null;
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
